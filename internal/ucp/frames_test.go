package ucp

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/moby/moby/api/pkg/stdcopy"
)

//nolint:paralleltest // it measures memory
func TestFrameThatIsTooLong(t *testing.T) {
	s := serveUCP(t, "1.40", handlers{
		"GET /containers/x/json": always(200, `{"Id":"x","Config":{}}`),
		"GET /containers/x/logs": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte{1, 0, 0, 0, 0, 0, 0, 2, 'a', '\n', 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'b'})
		},
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l, err := s.engine().Logs(t.Context(), "x", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	read, err := io.ReadAll(l)
	runtime.ReadMemStats(&after)
	if err == nil || !strings.Contains(err.Error(), "bytes at once") || len(read) > 0 && string(read) != "a\n" {
		t.Errorf("read %q, error %v", read, err)
	}
	if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 100 {
		t.Errorf("%d MiB", mib)
	}
}

func TestMessageThatIsTooLong(t *testing.T) {
	t.Parallel()
	stream := io.MultiReader(strings.NewReader(`{"status":"a"}{"status":"`), io.LimitReader(endless{}, 10*maxMessage))
	var lines []string
	err := follow(stream, func(line string) { lines = append(lines, line) })
	if err == nil || !strings.Contains(err.Error(), "is longer than") || len(lines) != 1 {
		t.Errorf("lines %q, error %v", lines, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// frames changes nothing, however it is read.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 2, 'a', '\n', 2, 0, 0, 0, 0, 0, 0, 1, 'b'})
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'a'})
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, err := io.ReadAll(&frames{r: bytes.NewReader(stream)})
		bytewise, errBytewise := io.ReadAll(&frames{r: iotest.OneByteReader(bytes.NewReader(stream))})
		if (err == nil) != (errBytewise == nil) || err == nil && (!bytes.Equal(whole, stream) || !bytes.Equal(bytewise, stream)) {
			t.Errorf("%q and %q of %q, errors %v and %v", whole, bytewise, stream, err, errBytewise)
		}
		lines := &lineWriter{to: io.Discard, mark: &LogMark{}}
		_, _ = stdcopy.StdCopy(lines, lines, &frames{r: bytes.NewReader(stream)})
	})
}

func FuzzFollow(f *testing.F) {
	f.Add([]byte(`{"status":"x","id":"y","progressDetail":{"current":1}}{"errorDetail":{"message":"m","code":500},"error":"e"}`))
	f.Fuzz(func(_ *testing.T, stream []byte) { _ = follow(bytes.NewReader(stream), func(string) {}) })
}

// An attached connection takes the same way as all others.
func TestAttachThroughAProxy(t *testing.T) {
	t.Parallel()
	s := serveUCP(t, "1.40", handlers{
		"GET /containers/x/json": always(200, `{"Id":"x","Config":{}}`),
		"POST /containers/x/attach": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, _ = conn.Write([]byte("HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n" +
				"\x01\x00\x00\x00\x00\x00\x00\x05hello"))
		},
	})
	proxy, connects := connectProxy(t, strings.TrimPrefix(s.URL, "https://"))
	e := s.engine()
	e.connection.endpoint.Transport().Proxy = http.ProxyURL(proxy)
	e.connection.endpoint.Transport().CloseIdleConnections()
	a, err := e.Attach(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	before := connects.Load()
	var stdout bytes.Buffer
	if err := a.Copy(t.Context(), &stdout, io.Discard); err != nil || stdout.String() != "hello" {
		t.Errorf("%q, error %v", &stdout, err)
	}
	if before != 2 { // the inspection's, and the attached one
		t.Errorf("%d connections through the proxy", before)
	}
}

// connectProxy is a proxy that connects to one address, and counts how often.
func connectProxy(t *testing.T, to string) (*url.URL, *atomic.Int32) {
	t.Helper()
	var connects atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != to {
			t.Errorf("the proxy was asked %s %s", r.Method, r.Host)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		connects.Add(1)
		there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", to)
		if err != nil {
			t.Error(err)
			return
		}
		defer there.Close()
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer here.Close()
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(there, here)
			_ = there.Close()
		}()
		_, _ = io.Copy(here, there)
	}))
	t.Cleanup(proxy.Close)
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	return address, &connects
}

// TestAttachedFrameThatIsTooLong has a container that is attached to say that it writes more
// at once than is kept.
func TestAttachedFrameThatIsTooLong(t *testing.T) {
	t.Parallel()
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		_, _ = there.Write([]byte{1, 0, 0, 0, 0, 0, 0, 2, 'a', '\n', 2, 0, 0, 0, 0, 0x40, 0, 1, 'b'})
		_ = there.Close()
	}()
	a := &Attachment{engine: serveUCP(t, "1.40", handlers{}).engine(), id: "x", conn: here}
	var out bytes.Buffer
	if err := a.Copy(t.Context(), &out, &out); err == nil || !strings.Contains(err.Error(), "bytes at once") {
		t.Errorf("wrote %q, error %v", out.String(), err)
	}
}
