package simulator

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types"
)

// logDriverNone keeps nothing of what a container writes.
const logDriverNone = "none"

// attachment is one that reads a container's output while it is written.
type attachment struct {
	conn           net.Conn
	tty            bool
	stdout, stderr bool
	ended          chan struct{}
	once           sync.Once

	mu sync.Mutex // one frame at a time
}

func (a *attachment) write(s stdcopy.StdType, p []byte) {
	if s == stdcopy.Stdout && !a.stdout || s == stdcopy.Stderr && !a.stderr {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.tty {
		p = append(streamHeader(s, len(p)), p...)
	}
	if _, err := a.conn.Write(p); err != nil {
		a.end() // whoever it was has gone; the container goes on
	}
}

func (a *attachment) end() {
	a.once.Do(func() {
		close(a.ended)
		_ = a.conn.Close()
	})
}

// serveAttach takes the connection over and writes what the container writes
// from now on, until it ends.
func (e *engine) serveAttach(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	e.mu.Lock()
	c, err := e.reachable(s, name)
	if err != nil {
		e.mu.Unlock()
		if refusal := (*engineError)(nil); !s.cluster() && errors.As(err, &refusal) {
			// The engine has left HTTP's ways already; UCP finds the container first.
			w.Header().Set("Content-Type", types.MediaTypeRawStream)
			w.WriteHeader(refusal.status)
			_, err = fmt.Fprintln(w, refusal.Error())
		}
		return err
	}
	log, tty := c.log, c.config.Tty
	e.mu.Unlock()

	contentType := types.MediaTypeRawStream
	if !tty && compareAPI(e.apiVersion, "1.42") >= 0 && r.Header.Get("Upgrade") != "" {
		contentType = types.MediaTypeMultiplexedStream
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	a := &attachment{conn: conn, tty: tty, stdout: isSet(r, "stdout"), stderr: isSet(r, "stderr"), ended: make(chan struct{})}
	defer a.end()
	status := "200 OK\r\nContent-Type: " + contentType
	if r.Header.Get("Upgrade") != "" {
		status = "101 UPGRADED\r\nContent-Type: " + contentType + "\r\nConnection: Upgrade\r\nUpgrade: tcp"
	}
	if !isSet(r, "stream") {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", status)
		return nil
	}
	// Before the answer: the client may start the container as soon as it has it.
	a.mu.Lock()
	log.attach(a)
	_, err = fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", status)
	a.mu.Unlock()
	if err != nil {
		return nil
	}
	select {
	case <-e.ctx.Done():
	case <-a.ended:
	}
	return nil
}

// CutAttached breaks the connections of those that are attached to a container,
// which goes on.
func (c *Cluster) CutAttached(name string) {
	c.engine.mu.Lock()
	ct, err := c.engine.find(scope{}, name)
	c.engine.mu.Unlock()
	must(err)
	ct.log.mu.Lock()
	defer ct.log.mu.Unlock()
	ct.log.detach()
}
