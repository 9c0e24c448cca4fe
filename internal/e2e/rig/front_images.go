//go:build linux

package rig

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/moby/moby/api/types/image"
)

// images merges the lists of the nodes: an image is listed once, with every
// tag that it has anywhere.
func (f front) images(w http.ResponseWriter, c *call) error {
	nodes, query, err := c.perNode(f.up())
	if err != nil {
		return err
	}
	merged := []image.Summary{}
	for _, n := range nodes {
		var list []image.Summary
		if err := c.ask(c.Context(), n, "/images/json", query, &list); err != nil {
			return err
		}
		for _, img := range list {
			i := slices.IndexFunc(merged, func(o image.Summary) bool { return o.ID == img.ID })
			if i < 0 {
				merged = append(merged, img)
				continue
			}
			merged[i].RepoTags = union(merged[i].RepoTags, img.RepoTags)
			merged[i].RepoDigests = union(merged[i].RepoDigests, img.RepoDigests)
		}
	}
	return writeJSON(w, http.StatusOK, merged)
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// image has a node answer that has the image.
func (f front) image(w http.ResponseWriter, c *call) error {
	name := strings.TrimPrefix(c.path, "/images/")
	if i := strings.LastIndexByte(name, '/'); i >= 0 && slices.Contains([]string{"json", "history", "push", "tag", "get"}, name[i+1:]) {
		name = name[:i]
	}
	nodes := f.up()
	for _, n := range nodes {
		var found json.RawMessage
		if c.ask(c.Context(), n, "/images/"+name+"/json", nil, &found) == nil {
			f.pass(w, c, n)
			return nil
		}
	}
	return refuse(http.StatusNotFound, "No such image: %s", name)
}

// message is one of the stream of a pull or load.
type message struct {
	ID          string       `json:"id,omitempty"`
	Status      string       `json:"status,omitempty"`
	Error       string       `json:"error,omitempty"`
	ErrorDetail *errorDetail `json:"errorDetail,omitempty"`
}

type errorDetail struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// pull pulls on all nodes, those that are down included, and says of each how that
// went. One that fails makes the whole end in an error.
func (f front) pull(w http.ResponseWriter, c *call) error {
	ref := c.URL.Query().Get("fromImage")
	if tag := c.URL.Query().Get("tag"); tag != "" {
		ref += ":" + tag
	}
	out := newStream(w)
	onAll(f.rig.Nodes, func(n *Node) {
		out.send(message{ID: n.Name, Status: "Pulling " + ref + "..."})
		if err := c.stream(n, nil); err != nil {
			out.fail(n, "Pulling "+ref+"...", err)
			return
		}
		out.send(message{ID: n.Name, Status: "Pulling " + ref + "... : downloaded"})
	})
	out.end()
	return nil
}

// load loads the archive on all nodes, those that are down included, and tells of
// those that fail.
func (f front) load(w http.ResponseWriter, c *call) error {
	archive, err := os.CreateTemp(f.rig.dir, "load-")
	if err != nil {
		return err
	}
	defer os.Remove(archive.Name())
	defer archive.Close()
	size, err := io.Copy(archive, c.Body)
	if err != nil {
		return err
	}
	out := newStream(w)
	onAll(f.rig.Nodes, func(n *Node) {
		if err := c.stream(n, io.NewSectionReader(archive, 0, size)); err != nil {
			out.fail(n, "Loading Image...", err)
		}
	})
	out.end()
	return nil
}

func onAll(nodes []*Node, f func(*Node)) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { f(n) })
	}
	wg.Wait()
}

// stream makes the call to a node and reads the messages of the answer. The first
// error among them is the result.
func (c *call) stream(n *Node, body io.Reader) error {
	answer, err := c.send(c.Context(), n, c.Method, c.path, c.URL.Query(), body)
	if err != nil {
		return unreachable(n, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return refusalOf(answer)
	}
	decoder := json.NewDecoder(bufio.NewReader(answer.Body))
	var failed error
	for {
		var m message
		switch err := decoder.Decode(&m); {
		case err == io.EOF:
			return failed
		case err != nil:
			return err
		case m.Error != "" && failed == nil:
			failed = fmt.Errorf("%s", m.Error)
		}
	}
}

// stream writes messages of several nodes, one at a time.
type stream struct {
	mu     sync.Mutex
	w      http.ResponseWriter
	failed error
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	return &stream{w: w}
}

func (s *stream) send(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = json.NewEncoder(s.w).Encode(m)
	_ = http.NewResponseController(s.w).Flush()
}

// fail tells of a node that failed at what it was doing.
func (s *stream) fail(n *Node, doing string, err error) {
	s.send(message{ID: n.Name, Status: doing + " : " + err.Error()})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
}

// end ends the stream with the error of a node, if one has failed.
func (s *stream) end() {
	if s.failed != nil {
		s.send(message{Error: s.failed.Error(), ErrorDetail: &errorDetail{1, s.failed.Error()}})
	}
}
