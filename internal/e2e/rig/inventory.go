//go:build linux

package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// lookAgain is how often a node is looked at without an event: that is how
// it is noticed to be down.
const lookAgain = time.Second

// Event is something that happened to a container.
type Event struct {
	Action          string // "create", "start", "die", "destroy", ...
	Node, ID, Name  string
	Image, ExitCode string
	Command         string // that the provider's label names, "" of an upgrade
	At              time.Time
}

// watch keeps what the nodes last said of their containers.
type watch struct {
	cancel context.CancelFunc
	done   sync.WaitGroup

	// observing is held while those who watch are told, one after another.
	observing sync.Mutex

	mu        sync.Mutex
	lists     map[string][]container.Summary // by node; kept while it is down
	down      map[string]bool
	ended     []simulator.Container
	events    []Event       // since the last Watch
	watched   time.Time     // when that was
	changed   chan struct{} // closed and replaced at every event
	observe   func()
	observeID int
}

func newWatch(nodes []*Node) *watch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watch{cancel: cancel, lists: map[string][]container.Summary{}, down: map[string]bool{}, changed: make(chan struct{})}
	for _, n := range nodes {
		poke := make(chan struct{}, 1)
		w.done.Go(func() { w.follow(ctx, n, poke) })
		w.done.Go(func() { w.keep(ctx, n, poke) })
	}
	return w
}

func (w *watch) close() {
	w.cancel()
	w.done.Wait()
}

// keep looks at a node when it is poked, and otherwise now and then.
func (w *watch) keep(ctx context.Context, n *Node, poke <-chan struct{}) {
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for {
		w.look(ctx, n)
		select {
		case <-ctx.Done():
			return
		case <-poke:
		case <-ticker.C:
		}
	}
}

func (w *watch) look(ctx context.Context, n *Node) {
	list, err := n.list(ctx, url.Values{"all": {"1"}})
	w.mu.Lock()
	changed := w.down[n.Name] != (err != nil)
	w.down[n.Name] = err != nil
	if err == nil {
		changed = changed || !slices.EqualFunc(w.lists[n.Name], list, func(a, b container.Summary) bool {
			return a.ID == b.ID && a.State == b.State && a.Names[0] == b.Names[0]
		})
		w.lists[n.Name] = list
	}
	w.mu.Unlock()
	if changed {
		w.tell()
	}
}

func (w *watch) tell() {
	w.observing.Lock()
	defer w.observing.Unlock()
	w.mu.Lock()
	observe := w.observe
	w.mu.Unlock()
	if observe != nil {
		observe()
	}
}

// list is the engine's list of containers, by the network.
func (n *Node) list(ctx context.Context, query url.Values) ([]container.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout)
	defer cancel()
	var list []container.Summary
	err := n.get(ctx, "/containers/json?"+query.Encode(), &list)
	return list, err
}

// get asks the engine for JSON.
func (n *Node) get(ctx context.Context, path string, into any) error {
	answer, err := n.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s of %s: %s", path, n.Name, answer.Status)
	}
	return decode(answer.Body, into)
}

// decode reads JSON, and to the end: else the connection could not be used again.
func decode(body io.Reader, into any) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// send makes a request to the engine, by the network.
func (n *Node) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "https"+strings.TrimPrefix(n.Host(), "tcp")+"/v"+apiVersion+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return n.transport.RoundTrip(request)
}

// follow follows the events of a node.
func (w *watch) follow(ctx context.Context, n *Node, poke chan<- struct{}) {
	since := time.Now()
	for ctx.Err() == nil {
		filter := `{"type":{"container":true}}`
		query := url.Values{"filters": {filter}, "since": {fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond())}}
		answer, err := n.send(ctx, http.MethodGet, "/events?"+query.Encode(), nil)
		if err == nil {
			decoder := json.NewDecoder(answer.Body)
			for {
				var m events.Message
				if err := decoder.Decode(&m); err != nil {
					break
				}
				since = time.Unix(0, m.TimeNano+1)
				w.happened(n, m)
				select {
				case poke <- struct{}{}:
				default:
				}
			}
			_ = answer.Body.Close()
		}
		wait(ctx, lookAgain/10)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (w *watch) happened(n *Node, m events.Message) {
	about := m.Actor.Attributes
	e := Event{
		Action: string(m.Action), Node: n.Name, ID: m.Actor.ID, Name: about["name"],
		Image: about["image"], ExitCode: about["exitCode"], At: time.Unix(0, m.TimeNano),
		Command: about["com.github.dtr-upgrade.command"],
	}
	w.mu.Lock()
	if !e.At.Before(w.watched) { // an engine tells a little late
		w.events = append(w.events, e)
	}
	close(w.changed)
	w.changed = make(chan struct{})
	if e.Action == "die" {
		status, _ := strconv.Atoi(e.ExitCode)
		w.ended = append(w.ended, simulator.Container{
			ID: e.ID, Name: e.Name, Node: e.Node, Image: e.Image, State: "exited", ExitCode: status, FinishedAt: e.At,
		})
	}
	w.mu.Unlock()
	if e.Action == "die" {
		w.tell()
	}
}

// List implements [simulator.Inventory].
func (r *Rig) List() []simulator.Container {
	w := r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []simulator.Container
	for _, n := range r.Nodes {
		if w.down[n.Name] {
			continue
		}
		for _, c := range w.lists[n.Name] {
			all = append(all, simulator.Container{
				ID: c.ID, Name: strings.TrimPrefix(c.Names[0], "/"), Node: n.Name, Image: c.Image,
				Labels: c.Labels, State: string(c.State), Created: time.Unix(c.Created, 0), Ports: ports(c),
			})
		}
	}
	return all
}

// ports are the ports that are published, by the container's own.
func ports(c container.Summary) map[uint16]uint16 {
	published := map[uint16]uint16{}
	for _, p := range c.Ports {
		if p.PublicPort > 0 {
			published[p.PrivatePort] = p.PublicPort
		}
	}
	return published
}

// WaitUntilDown waits until the node counts as down.
func (r *Rig) WaitUntilDown(ctx context.Context, n *Node) error {
	return poll(ctx, func() (bool, error) {
		r.watch.mu.Lock()
		defer r.watch.mu.Unlock()
		return r.watch.down[n.Name], nil
	})
}

// Ended implements [simulator.Inventory].
func (r *Rig) Ended() []simulator.Container {
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	list := r.watch.ended
	r.watch.ended = nil
	return list
}

// Watch implements [simulator.Engines].
func (r *Rig) Watch(observe func()) (stop func()) {
	w := r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	w.observe, w.ended, w.events, w.watched = observe, nil, nil, time.Now()
	w.observeID++
	id := w.observeID
	return func() {
		w.observing.Lock() // whoever is being told is done then
		defer w.observing.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.observeID == id {
			w.observe = nil
		}
	}
}

// APIVersion implements [simulator.Engines].
func (r *Rig) APIVersion() string { return apiVersion }

// Events lists what happened since the last Watch.
func (r *Rig) Events() []Event {
	r.watch.mu.Lock()
	defer r.watch.mu.Unlock()
	return slices.Clone(r.watch.events)
}

// WaitFor waits for an event since the last Watch, in the past or to come.
func (r *Rig) WaitFor(ctx context.Context, is func(Event) bool) (Event, error) {
	for next := 0; ; {
		r.watch.mu.Lock()
		all, changed := r.watch.events, r.watch.changed
		r.watch.mu.Unlock()
		for ; next < len(all); next++ {
			if is(all[next]) {
				return all[next], nil
			}
		}
		select {
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		case <-changed:
		}
	}
}
