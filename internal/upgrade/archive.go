package upgrade

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
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
)

// manifestName is the table of contents of what docker save writes.
const manifestName = "manifest.json"

// maxManifest bounds it: eleven images have some kilobytes.
const maxManifest = 16 << 20

// openArchive opens a file that docker save wrote, compressed or not. Where it is
// not, the reader can seek, and what is skipped is not read.
func openArchive(name string) (content io.Reader, closer io.Closer, err error) {
	f, err := os.Open(name) //nolint:gosec // the user's own file
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	if info, err := f.Stat(); err != nil {
		return nil, nil, err
	} else if !info.Mode().IsRegular() {
		return nil, nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a regular file")}
	}
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

var errNoArchive = errors.New("it is no archive of images: neither a tar file nor one compressed with gzip")

// lookAtArchive says what speaks against a file at first sight. To read it to its
// end takes too long for a plan.
func lookAtArchive(name string) error {
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

// archiveTags reads an archive to its end, and returns the tags of the images in
// it.
func archiveTags(ctx context.Context, name string) (map[string]bool, error) {
	content, closer, err := openArchive(name)
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	var tags map[string]bool
	archive := tar.NewReader(content)
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("it is not whole: %w", err)
		}
		if strings.TrimPrefix(entry.Name, "./") != manifestName {
			continue
		}
		if tags, err = manifestTags(archive); err != nil {
			return nil, err
		}
	}
	if _, err := io.Copy(io.Discard, content); err != nil { // gzip has its sum there
		return nil, fmt.Errorf("it is not whole: %w", err)
	}
	if tags == nil {
		return nil, fmt.Errorf("it holds no %s: docker save did not write it", manifestName)
	}
	return tags, nil
}

func manifestTags(r io.Reader) (map[string]bool, error) {
	var manifest []struct{ RepoTags []string }
	if err := json.NewDecoder(io.LimitReader(r, maxManifest)).Decode(&manifest); err != nil {
		return nil, fmt.Errorf("its %s cannot be read: %w", manifestName, err)
	}
	tags := map[string]bool{}
	for _, image := range manifest {
		for _, tag := range image.RepoTags {
			tags[familiar(tag)] = true
		}
	}
	return tags, nil
}

// familiar is a reference as Docker shows it: its own registry goes without
// saying.
func familiar(ref string) string {
	for _, registry := range []string{"docker.io/", "index.docker.io/"} {
		if after, ok := strings.CutPrefix(ref, registry); ok {
			return strings.TrimPrefix(after, "library/")
		}
	}
	return ref
}

// imagesOf are all images of a version: the bootstrapper's and its parts'.
func (o Options) imagesOf(v *semver.Version) []string {
	return append([]string{bootstrap.Image(o.Repository, v)}, bootstrap.ComponentImages(o.Repository, v)...)
}

// checkArchives reads the archives of all hops whose images are not all there yet:
// the last of them must not turn out to be the wrong one after the first hop.
func (r *run) checkArchives(ctx context.Context, obs *Observation, plan Plan) error {
	var findings Findings
	for _, hop := range plan.Hops {
		if ours, found := obs.bootstrapper(); found && running(ours) && isForHop(ours.Labels, hop) {
			continue // the run only sees it through
		}
		version := hop.To.String()
		name := r.o.Archives[version]
		if name == "" || len(obs.absentImages(r.o, hop.To)) == 0 {
			continue
		}
		tags, err := archiveTags(ctx, name)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			findings = append(findings, archiveFinding(version, name, sentence(err), archiveAdvice))
			continue
		}
		missing := slices.DeleteFunc(r.o.imagesOf(hop.To), func(image string) bool { return tags[familiar(image)] })
		if len(missing) > 0 {
			findings = append(findings, archiveFinding(version, name,
				fmt.Sprintf("Missing: %s\nIt holds: %s", strings.Join(missing, "\nMissing: "), strings.Join(slices.Sorted(maps.Keys(tags)), ", ")),
				"Name the archive of this version, or set image.repository to where its images come from."))
		}
	}
	if len(findings) > 0 {
		return &PreflightError{Findings: findings}
	}
	return nil
}

const archiveAdvice = "Name a file that docker save wrote, such as dtr_images_2.6.15.tar.gz, on the machine that runs Terraform."

// archiveFinding cannot be skipped: nothing else brings the images.
func archiveFinding(version, name, seen, todo string) Finding {
	return Finding{
		Check: CheckImage, Severity: Error, Attribute: fmt.Sprintf("image.archives[%q]", version),
		Summary: fmt.Sprintf("The image archive of DTR %s cannot be used", version),
		Detail:  fmt.Sprintf("File: %s\n%s\n\n%s", name, seen, todo),
	}
}

// absentImages are the images of a version that are not on every node that needs
// them, as far as the nodes were asked.
func (obs *Observation) absentImages(o Options, v *semver.Version) []string {
	nodes := obs.replicaNodes()
	bootstrapper := bootstrap.Image(o.Repository, v)
	var absent []string
	for _, image := range o.imagesOf(v) {
		state := obs.Images[image]
		if image == bootstrapper && !state.Present {
			absent = append(absent, image)
			continue
		}
		if missing := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return state.Nodes[n] }); len(missing) > 0 {
			absent = append(absent, fmt.Sprintf("%s on %s", image, strings.Join(missing, ", ")))
		}
	}
	return absent
}

// archives checks that what is to be loaded can be.
func (p *preflight) archives() {
	for i, hop := range p.Hops {
		version := hop.To.String()
		err := p.obs.Archives[version]
		if err == nil || i == 0 && p.adopts() || len(p.obs.absentImages(p.o, hop.To)) == 0 {
			continue
		}
		p.findings = append(p.findings, archiveFinding(version, p.o.Archives[version], sentence(err), archiveAdvice))
	}
}
