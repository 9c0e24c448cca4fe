package simulator

import (
	"net/http"
	"slices"

	"github.com/moby/moby/api/types/jsonstream"
)

// transfer brings images to every node of the cluster.
type transfer struct {
	doing string // what a node is doing
	done  string // what it has done, "" for nothing to say
	wait  func() error
	bring func(n *node) error // the lock is held
}

// everywhere has every engine that UCP knows make the transfer, dead ones and those
// of Windows nodes included, as classic Swarm does. The answer's status says nothing:
// the stream has a line for a node that begins, ends or fails, and ends with one of
// the nodes' errors if there is any, though the other nodes have the images.
func (a imageAPI) everywhere(w http.ResponseWriter, t transfer) error {
	a.engine.mu.Lock()
	nodes := slices.DeleteFunc(slices.Clone(a.engine.nodes), func(n *node) bool { return !(scope{}).covers(n) })
	a.engine.mu.Unlock()
	out := messageStream{w}
	for _, n := range nodes {
		if t.done != "" {
			out.send(jsonstream.Message{ID: n.name, Status: t.doing})
		}
	}
	if err := t.wait(); err != nil {
		return err // the client has gone
	}
	var failed error
	for _, n := range nodes {
		err := a.engine.on(n.name, t.bring)
		if err != nil {
			failed = err
			out.send(jsonstream.Message{ID: n.name, Status: t.doing + " : " + err.Error()})
		} else if t.done != "" {
			out.send(jsonstream.Message{ID: n.name, Status: t.doing + " : " + t.done})
		}
	}
	if failed != nil {
		out.failWith(jsonstream.Error{Code: 1, Message: failed.Error()})
	}
	return nil
}

// on changes a node that answers.
func (e *engine) on(nodeName string, change func(n *node) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodeByName(nodeName)
	if n.down {
		return errorf(http.StatusInternalServerError, "Cannot connect to the Docker daemon at tcp://%s:12376. Is the docker daemon running?", n.addr)
	}
	return change(n)
}
