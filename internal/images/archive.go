package images

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// manifestName is the table of contents of what docker save writes.
const manifestName = "manifest.json"

// maxManifest bounds it: eleven images have some kilobytes. What it decodes to can be ten
// times as large.
const maxManifest = 1 << 20

// openFile opens a regular file. Opening a pipe would wait for somebody to write to it, whatever a context says.
func openFile(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a regular file")}
	}
	return os.Open(name) //nolint:gosec // the user's own file
}

// openArchive opens a file that docker save wrote, compressed or not. Where it is
// not, the reader can seek, and what is skipped is not read.
func openArchive(name string) (content io.Reader, closer io.Closer, err error) {
	f, err := openFile(name)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	magic := make([]byte, 2)
	if _, err := io.ReadFull(f, magic); err != nil {
		return nil, nil, errNoArchive
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, nil, err
	}
	if string(magic) != "\x1f\x8b" {
		return f, f, nil
	}
	unzipped, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<20))
	if err != nil {
		return nil, nil, errNoArchive
	}
	return unzipped, f, nil
}

var errNoArchive = errors.New("it is not an archive of images: neither a tar file nor one compressed with gzip")

// checkFirstEntry says what is wrong with an archive at first sight. To read it to
// its end takes too long for a plan.
func checkFirstEntry(name string) error {
	content, closer, err := openArchive(name)
	if err != nil {
		return err
	}
	defer closer.Close()
	if _, err := tar.NewReader(content).Next(); err != nil {
		return errNoArchive
	}
	return nil
}

// ArchiveTags reads an archive to its end, and returns the tags of the images in
// it, as Docker shows them.
func ArchiveTags(ctx context.Context, name string) (map[string]bool, error) {
	content, closer, err := openArchive(name)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	var tags map[string]bool
	if _, seeks := content.(io.Seeker); !seeks { // a single entry may take hours to unzip
		content = untilDone{ctx, content}
	}
	archive := tar.NewReader(content)
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		entry, err := archive.Next()
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is not complete: %w", err)
		}
		if strings.TrimPrefix(entry.Name, "./") != manifestName {
			continue
		}
		if entry.Size > maxManifest {
			return nil, fmt.Errorf("its %s has %d bytes, and no more than %d are read", manifestName, entry.Size, maxManifest)
		}
		if tags, err = manifestTags(archive); err != nil {
			return nil, err
		}
	}
	if _, err := io.Copy(io.Discard, content); err != nil { // gzip has its sum there
		return nil, fmt.Errorf("it is not complete: %w", err)
	}
	if tags == nil {
		return nil, fmt.Errorf("it holds no %s: docker save did not write it", manifestName)
	}
	return tags, nil
}

// untilDone reads until its context is done.
type untilDone struct {
	ctx context.Context //nolint:containedctx // a reader for one call
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// RepositoryAmong is the repository of which the tags hold all images of a version,
// "" where there is none. The vendor's archives have content caches beside the other
// images: the bootstrapper's name is the shortest.
func RepositoryAmong(tags map[string]bool, v *semver.Version) string {
	found := ""
	for tag := range tags {
		repository, version := cluster.ParseImage(tag)
		missing := func(image string) bool { return !tags[ucp.FamiliarImage(image)] }
		if version != v.String() || slices.ContainsFunc(Source{Repository: repository}.All(v), missing) {
			continue
		}
		if found == "" || len(repository) < len(found) {
			found = repository
		}
	}
	return found
}

func manifestTags(r io.Reader) (map[string]bool, error) {
	var manifest []struct{ RepoTags []string }
	if err := json.NewDecoder(io.LimitReader(r, maxManifest)).Decode(&manifest); err != nil {
		return nil, fmt.Errorf("its %s cannot be read: %w", manifestName, err)
	}
	tags := map[string]bool{}
	for _, image := range manifest {
		for _, tag := range image.RepoTags {
			tags[scrub.Line(ucp.FamiliarImage(tag))] = true
		}
	}
	return tags, nil
}
