package ucp

import (
	"context"
	"net"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
)

// stalling is a listener that accepts connections and, once it stalls, never answers on them.
type stalling struct {
	net.Listener
	stall    atomic.Bool
	accepted chan net.Conn
}

func (l *stalling) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || !l.stall.Load() {
			return c, err
		}
		l.accepted <- c
	}
}

// moby/client before 0.6.3 waited for the TLS handshake and the answer to an attach for ever, whatever the context said.
func TestAttachEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newServer(t, "1.40", handlers{"GET /containers/x/json": always(200, `{"Id":"x","Config":{}}`)})
	s.Server = httptest.NewUnstartedServer(s)
	t.Cleanup(s.Close)
	l := &stalling{Listener: s.Listener, accepted: make(chan net.Conn, 10)}
	s.Listener = l
	s.StartTLS()
	e, err := NewEngine(t.Context(), DockerConfig{Host: "tcp://" + l.Addr().String(), CACert: endpointtest.CA(s.Server), Retry: quick})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Container(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	l.stall.Store(true) // the connection for the inspection is open, that for the attach is not
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		c := <-l.accepted
		cancel()
		<-t.Context().Done()
		_ = c.Close()
	}()
	if a, err := e.Attach(ctx, "x"); err == nil {
		a.Close()
		t.Error("attached to what does not answer")
	}
}
