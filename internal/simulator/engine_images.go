package simulator

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	imagetypes "github.com/moby/moby/api/types/image"
	"github.com/moby/moby/api/types/jsonstream"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

const (
	imageSize    = 64 << 20
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
)

// imageAPI is the part of the Engine API about images.
type imageAPI struct {
	engine   *engine
	registry *registry
}

func (a imageAPI) routes() []engineRoute {
	return []engineRoute{
		{"GET", "/images/json", a.list, answered},
		{"GET", "/images/*/json", a.inspect, answered},
		{"POST", "/images/create", a.pull, answered},
		{"POST", "/images/load", a.load, answered},
		{"GET", "/distribution/*/json", a.distribution, answered},
	}
}

func (a imageAPI) list(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := knownFilters(r, "node", "reference", "dangling", "label")
	if err != nil {
		return err
	}
	byRef := map[string]image{}
	a.engine.mu.Lock()
	for _, n := range a.engine.nodes {
		// Of a node that is gone, UCP knows the images still.
		if !s.covers(n) || len(filter["node"]) > 0 && !slices.Contains(filter["node"], n.name) {
			continue
		}
		for ref, img := range n.images {
			if matchesReference(filter["reference"], ref) {
				byRef[ref] = img
			}
		}
	}
	a.engine.mu.Unlock()
	list := []imagetypes.Summary{}
	for ref, img := range byRef {
		list = append(list, imagetypes.Summary{
			ID: img.id, RepoTags: []string{ref}, RepoDigests: img.repoDigests(ref),
			Created: time.Now().Unix(), Size: imageSize, SharedSize: -1, Containers: -1,
		})
	}
	slices.SortFunc(list, func(a, b imagetypes.Summary) int { return strings.Compare(a.RepoTags[0], b.RepoTags[0]) })
	return writeJSON(w, http.StatusOK, list)
}

func matchesReference(patterns []string, ref string) bool {
	repository, _ := release.SplitRef(ref)
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool {
		whole, _ := path.Match(p, ref)
		short, _ := path.Match(p, repository)
		return whole || short
	})
}

func (a imageAPI) inspect(s scope, w http.ResponseWriter, _ *http.Request, name string) error {
	a.engine.mu.Lock()
	defer a.engine.mu.Unlock()
	for _, n := range a.engine.nodes {
		if !s.covers(n) || n.down {
			continue
		}
		for ref, img := range n.images {
			if ref == release.NormalRef(name) || img.id == name || strings.TrimPrefix(img.id, "sha256:") == name || slices.Contains(img.repoDigests(ref), name) {
				return writeJSON(w, http.StatusOK, imagetypes.InspectResponse{
					ID: img.id, RepoTags: []string{ref}, RepoDigests: img.repoDigests(ref),
					Architecture: "amd64", Os: "linux", Size: imageSize,
					RootFS: imagetypes.RootFS{Type: "layers"},
				})
			}
		}
	}
	missing := errorf(http.StatusNotFound, "No such image: %s", name)
	if s.cluster() {
		return missing
	}
	return errorf(http.StatusNotFound, "no such image: %s: %v", name, missing)
}

func (a imageAPI) pull(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	ref := r.URL.Query().Get("fromImage")
	if tag := r.URL.Query().Get("tag"); tag != "" {
		ref += ":" + tag
	}
	repository, tag := release.SplitRef(ref)
	ref = repository + ":" + tag
	digest, found := a.registry.digest(ref)
	bring := func(n *node) error {
		switch {
		case !found:
			return errorf(http.StatusNotFound, "manifest for %s not found: manifest unknown: manifest unknown", ref)
		case n.os == windows:
			return errorf(http.StatusNotFound, `image operating system "linux" cannot be used on this platform`)
		}
		n.put(ref, digest)
		return nil
	}
	wait := func() error { return a.engine.clock.Sleep(r.Context(), imagePullTime) }
	if s.cluster() {
		return a.everywhere(w, transfer{"Pulling " + ref + "...", "downloaded", wait, bring})
	}
	if !found {
		return bring(a.engine.nodeByName(s.node)) // with an error status: nothing was sent yet
	}
	out := messageStream{w}
	out.send(jsonstream.Message{ID: tag, Status: "Pulling from " + repository})
	if err := wait(); err != nil {
		return err // the client has gone
	}
	if err := a.engine.on(s.node, bring); err != nil {
		out.fail(err)
		return nil
	}
	out.send(jsonstream.Message{Status: "Digest: " + digest})
	out.send(jsonstream.Message{Status: "Status: Downloaded newer image for " + ref})
	return nil
}

// load loads an archive in the format of docker save, compressed or not.
func (a imageAPI) load(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	refs, err := release.ArchiveTags(r.Body)
	bring := func(n *node) error {
		switch {
		case err != nil:
			return errorf(http.StatusInternalServerError, "Error processing tar file: %v", err)
		case n.os == windows:
			return errorf(http.StatusInternalServerError, "cannot load linux image on windows")
		}
		for _, ref := range refs {
			n.put(ref, "")
		}
		return nil
	}
	if s.cluster() {
		return a.everywhere(w, transfer{"Loading Image...", "", func() error { return nil }, bring})
	}
	if err := a.engine.on(s.node, bring); err != nil {
		return err
	}
	for _, ref := range refs {
		messageStream{w}.send(jsonstream.Message{Stream: "Loaded image: " + ref + "\n"})
	}
	return nil
}

func (a imageAPI) distribution(_ scope, w http.ResponseWriter, _ *http.Request, name string) error {
	digest, ok := a.registry.digest(name)
	if !ok {
		return errorf(http.StatusNotFound, "manifest unknown: manifest unknown")
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"Descriptor": map[string]any{"mediaType": manifestType, "digest": digest, "size": 2048},
		"Platforms":  []map[string]string{{"architecture": "amd64", "os": "linux"}},
	})
}

// messageStream writes JSON messages one after the other, as pulls and loads do.
type messageStream struct{ w http.ResponseWriter }

func (s messageStream) send(m any) {
	s.w.Header().Set("Content-Type", "application/json")
	line, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	_, _ = s.w.Write(append(line, '\n'))
	_ = http.NewResponseController(s.w).Flush()
}

// fail sends an error in both forms that Docker's own messages have.
func (s messageStream) fail(err error) { s.failWith(jsonstream.Error{Message: err.Error()}) }

func (s messageStream) failWith(err jsonstream.Error) {
	s.send(map[string]any{"error": err.Message, "errorDetail": err})
}
