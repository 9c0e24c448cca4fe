package release

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
)

// manifestEntry is an image in the table of contents of an archive, manifest.json.
type manifestEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// layerSize is the size of the one layer that each image of a bundle has.
const layerSize = 8 << 10

// WriteBundle writes every image of a version in the format of docker save, which
// is how the vendor publishes them for sites without a registry.
func WriteBundle(w io.Writer, repository, version string) error {
	archive := tar.NewWriter(w)
	add := func(name string, content []byte) error {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err := archive.Write(content)
		return err
	}
	var manifest []manifestEntry
	for _, ref := range Bundle(repository, version) {
		id := StableID("config", ref)
		entry := manifestEntry{Config: id + ".json", RepoTags: []string{ref}, Layers: []string{StableID("layer", ref) + "/layer.tar"}}
		if err := add(entry.Config, []byte(`{"architecture":"amd64","os":"linux"}`)); err != nil {
			return err
		}
		if err := add(entry.Layers[0], bytes.Repeat([]byte(id[:8]), layerSize/8)); err != nil {
			return err
		}
		manifest = append(manifest, entry)
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	if err := add("manifest.json", text); err != nil {
		return err
	}
	return archive.Close()
}

// ArchiveTags reads the tags in the manifest of an image archive, compressed or
// not. A file that the manifest lists and the archive lacks is an error.
func ArchiveTags(body io.Reader) ([]string, error) {
	buffered := bufio.NewReader(body)
	body = buffered
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		defer unzipped.Close()
		body = unzipped
	}
	var manifest []manifestEntry
	present := map[string]bool{"": true}
	archive := tar.NewReader(body)
	for {
		entry, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		present[entry.Name] = true
		if entry.Name == "manifest.json" {
			if err := json.NewDecoder(archive).Decode(&manifest); err != nil {
				return nil, err
			}
		}
	}
	var refs []string
	for _, m := range manifest {
		for _, file := range append(m.Layers, m.Config) {
			if !present[file] {
				return nil, fmt.Errorf("open %s: no such file or directory", file)
			}
		}
		refs = append(refs, m.RepoTags...)
	}
	return refs, nil
}
