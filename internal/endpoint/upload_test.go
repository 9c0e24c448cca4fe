package endpoint

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// counting counts what is read, and fails at its end where it is told to.
type counting struct {
	r    io.Reader
	read int64
	err  error
}

func (c *counting) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.read += int64(n)
	if errors.Is(err, io.EOF) && c.err != nil {
		err = c.err
	}
	return n, err
}

// large is a body that no buffer on the way takes in.
func large() (*counting, int64) {
	const length = 32 << 20
	return &counting{r: io.LimitReader(strings.NewReader(strings.Repeat("x", length)), length)}, length
}

func send(e *Endpoint, ctx context.Context, body io.Reader, length int64, v *answer) error { //nolint:revive // the endpoint is what the test is about
	return e.Send(ctx, Request{Method: http.MethodPut, Path: "/up"}, Upload{Body: body, ContentType: "application/x-test", Length: length}, reader(e, v))
}

func TestSend(t *testing.T) {
	var header string
	var got, announced int64
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header, announced = r.Header.Get("Content-Type"), r.ContentLength
		got, _ = io.Copy(io.Discard, r.Body)
		text(200, `{"Value":"in"}`)(w, r)
	})
	// The limits of a single call are over before an upload begins.
	e := s.endpoint(t, func(c *Config) { c.Retry.Attempt, c.Retry.Total = 1, 1 })
	body, length := large()
	var v answer
	if err := send(e, t.Context(), body, length, &v); err != nil {
		t.Fatal(err)
	}
	if v.Value != "in" || got != length || announced != length || header != "application/x-test" {
		t.Errorf("answer %q; %d of %d bytes, announced as %d; type %q", v.Value, got, length, announced, header)
	}
}

func TestSendIsRefusedBeforeItIsSent(t *testing.T) {
	s := serve(t, text(413, "too large"))
	body, length := large()
	if err := send(s.endpoint(t), t.Context(), body, length, &answer{}); !errors.Is(err, errStatus) {
		t.Errorf("error %v, want that of the answer", err)
	}
	if body.read > 0 || s.requests.Load() != 1 {
		t.Errorf("%d bytes were read for %d requests", body.read, s.requests.Load())
	}
}

func TestSendFailsOnce(t *testing.T) {
	broken := errors.New("disk on fire")
	half := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1<<10)
		reset(w, r)
	}
	swallow := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		text(200, "{}")(w, r)
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		file  error
	}{"reset in the middle": {half, nil}, "file unreadable": {swallow, broken}} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.serve)
			body, length := large()
			body.err = c.file
			err := send(s.endpoint(t), t.Context(), body, length+1, &answer{})
			var unreachable *UnreachableError
			if !errors.As(err, &unreachable) || unreachable.Attempts != 1 || c.file != nil && !errors.Is(err, c.file) {
				t.Errorf("error %v", err)
			}
			if n := s.requests.Load(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	sent := make(chan struct{})
	inTheMiddle := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, 1<<10)
		cancel(why)
		<-sent
	}
	limited, cancelLimit := context.WithTimeoutCause(t.Context(), time.Millisecond, why)
	defer cancelLimit()
	noAnswer := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hang(w, r)
	}
	for name, c := range map[string]struct {
		ctx   context.Context
		serve http.HandlerFunc
	}{"in the middle": {ctx, inTheMiddle}, "no answer": {limited, noAnswer}} {
		body, length := large()
		if err := send(serve(t, c.serve).endpoint(t), c.ctx, body, length, &answer{}); !errors.Is(err, why) {
			t.Errorf("%s: error %v, want the cause", name, err)
		}
		if name == "in the middle" {
			close(sent)
			if body.read == length {
				t.Error("all of the body was read, and hardly any of it was taken")
			}
		}
	}
}
