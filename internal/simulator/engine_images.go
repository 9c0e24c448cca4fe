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
		{"GET", "/images/json", a.list},
		{"GET", "/images/*/json", a.inspect},
		{"POST", "/images/create", a.pull},
		{"POST", "/images/load", a.load},
		{"GET", "/distribution/*/json", a.distribution},
	}
}

func (a imageAPI) list(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	filter, err := filters(r, "node", "reference", "dangling", "label")
	if err != nil {
		return err
	}
	byRef := map[string]image{}
	a.engine.mu.Lock()
	for _, n := range a.engine.nodes {
		if !s.covers(n) || n.down || len(filter["node"]) > 0 && !slices.Contains(filter["node"], n.name) {
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

// pull pulls on every node of the scope. Docker reports a missing image with an
// error status; UCP has already sent its status by then, and puts the error into the
// stream.
func (a imageAPI) pull(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	ref := r.URL.Query().Get("fromImage")
	if tag := r.URL.Query().Get("tag"); tag != "" {
		ref += ":" + tag
	}
	repository, tag := release.SplitRef(ref)
	ref = repository + ":" + tag
	digest, found := a.registry.digest(ref)
	missing := errorf(http.StatusNotFound, "manifest for %s not found: manifest unknown: manifest unknown", ref)
	if !found && !s.cluster() {
		return missing
	}
	out := messageStream{w}
	a.engine.mu.Lock()
	nodes := slices.DeleteFunc(slices.Clone(a.engine.nodes), func(n *node) bool { return !s.covers(n) || n.down })
	a.engine.mu.Unlock()
	for _, n := range nodes {
		out.send(jsonstream.Message{ID: n.name, Status: "Pulling " + ref + "..."})
	}
	if !found {
		out.fail(missing)
		return nil
	}
	if err := a.engine.clock.Sleep(r.Context(), imagePullTime); err != nil {
		return err // the client has gone
	}
	a.engine.mu.Lock()
	for _, n := range nodes {
		n.put(ref, digest)
	}
	a.engine.mu.Unlock()
	out.send(jsonstream.Message{Status: "Digest: " + digest})
	for _, n := range nodes {
		out.send(jsonstream.Message{ID: n.name, Status: "Pulling " + ref + "... : downloaded"})
	}
	return nil
}

// load loads an archive in the format of docker save, compressed or not.
func (a imageAPI) load(s scope, w http.ResponseWriter, r *http.Request, _ string) error {
	refs, err := release.ArchiveTags(r.Body)
	if err != nil {
		return errorf(http.StatusInternalServerError, "Error processing tar file: %v", err)
	}
	out := messageStream{w}
	a.engine.mu.Lock()
	for _, n := range a.engine.nodes {
		for _, ref := range refs {
			if s.covers(n) && !n.down {
				n.put(ref, "")
			}
		}
	}
	a.engine.mu.Unlock()
	for _, ref := range refs {
		out.send(jsonstream.Message{Stream: "Loaded image: " + ref + "\n"})
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
func (s messageStream) fail(err error) {
	s.send(map[string]any{"error": err.Error(), "errorDetail": jsonstream.Error{Message: err.Error()}})
}
