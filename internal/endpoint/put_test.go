package endpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/s3test"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// file is larger than what connections keep in their buffers.
var file = bytes.Repeat([]byte("0123456789abcdef"), 1<<18)

func unseen() io.Writer { return io.Discard }

func sumOf(content []byte) string { return fmt.Sprintf("%x", sha256.Sum256(content)) }

func put(ctx context.Context, o *Object) error {
	return o.Put(ctx, bytes.NewReader(file), int64(len(file)), sumOf(file), unseen)
}

// object is one with a secret in its path and its query.
func object(t *testing.T, base string, change ...func(*ObjectConfig)) *Object {
	t.Helper()
	c := ObjectConfig{URL: base + "/s3cret-path?X-Amz-Signature=s3cret-signature", Retry: quick}
	for _, f := range change {
		f(&c)
	}
	o, err := NewObject(c)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// wantNoSecrets fails if an error tells more of an object's URL than its host.
func wantNoSecrets(t *testing.T, err error) {
	t.Helper()
	if err != nil && strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error tells it all: %v", err)
	}
}

// taken is a store that has taken the whole, and says so with some headers.
func taken(t *testing.T, headers ...string) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, file) || r.ContentLength != int64(len(file)) || r.Method != http.MethodPut || r.RequestURI != "/s3cret-path?X-Amz-Signature=s3cret-signature" {
			t.Errorf("%s %s with %d bytes of %d, error %v", r.Method, r.RequestURI, len(got), r.ContentLength, err)
		}
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
	}
}

func cutHalfWay(w http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, int64(len(file)/2))
	reset(w, r)
}

// unasked answers without a look at what comes.
func unasked(http.ResponseWriter, *http.Request) {}

func TestPut(t *testing.T) {
	t.Parallel()
	good, err := sumsOf(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	const refusal = `<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>The signature s3cret-signature is another.</Message></Error>`
	refused := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, refusal)
	}
	other := "AAAAAAAAAAA="
	for name, tt := range map[string]struct {
		handlers []http.HandlerFunc
		attempts int32
		says     string // "" for no error
	}{
		"at once":                  {[]http.HandlerFunc{taken(t)}, 1, ""},
		"201":                      {[]http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { taken(t)(w, r); w.WriteHeader(http.StatusCreated) }}, 1, ""},
		"500, then well":           {[]http.HandlerFunc{text(500, ""), taken(t)}, 2, ""},
		"cut half way, then well":  {[]http.HandlerFunc{cutHalfWay, taken(t)}, 2, ""},
		"cut half way for ever":    {[]http.HandlerFunc{cutHalfWay}, 4, "did not answer"},
		"503 for ever":             {[]http.HandlerFunc{text(503, "")}, 4, "status 503 Service Unavailable"},
		"refused":                  {[]http.HandlerFunc{refused, taken(t)}, 1, "status 403 Forbidden, SignatureDoesNotMatch: The signature *** is another."},
		"unasked":                  {[]http.HandlerFunc{unasked}, 4, "it came after 0 of 4194304 bytes"},
		"unasked, then well":       {[]http.HandlerFunc{unasked, taken(t)}, 2, ""},
		"checksums of S3":          {[]http.HandlerFunc{taken(t, "X-Amz-Checksum-Crc64nvme", good.crc64nvme, "ETag", `"0123456789abcdef0123456789abcdef"`)}, 1, ""},
		"another checksum of S3":   {[]http.HandlerFunc{taken(t, "X-Amz-Checksum-Crc64nvme", other), taken(t)}, 2, ""},
		"checksums of Azure":       {[]http.HandlerFunc{taken(t, "Content-MD5", good.md5)}, 1, ""},
		"another one of Azure":     {[]http.HandlerFunc{taken(t, "Content-MD5", other)}, 4, "the checksum of another file"},
		"checksums of Google":      {[]http.HandlerFunc{taken(t, "X-Goog-Hash", "crc32c=AAAAAA==,md5="+good.md5)}, 1, ""},
		"apart":                    {[]http.HandlerFunc{taken(t, "X-Goog-Hash", "crc32c=AAAAAA==", "X-Goog-Hash", "md5="+good.md5)}, 1, ""},
		"another one of Google":    {[]http.HandlerFunc{taken(t, "X-Goog-Hash", "crc32c=AAAAAA==, md5="+other)}, 4, "the checksum of another file"},
		"a page in place of it":    {[]http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { taken(t)(w, r); _, _ = io.WriteString(w, "<html>") }}, 1, ""},
		"an answer without an end": {[]http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { taken(t)(w, r); truncate(w, r) }, taken(t)}, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requests := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h := tt.handlers[min(requests, len(tt.handlers)-1)]
				requests++
				h(w, r)
			}))
			t.Cleanup(s.Close)
			err := put(t.Context(), object(t, s.URL))
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
			wantNoSecrets(t, err)
			s.Close()
			if int32(requests) != tt.attempts {
				t.Errorf("%d attempts, want %d", requests, tt.attempts)
			}
		})
	}
}

// changing is a file that is replaced after it was read once.
type changing struct {
	first, then *bytes.Reader
	begun       int
}

func (c *changing) ReadAt(p []byte, at int64) (int, error) {
	if at == 0 {
		c.begun++
	}
	if c.begun > 1 {
		return c.then.ReadAt(p, at)
	}
	return c.first.ReadAt(p, at)
}

// TestPutOfAFileThatChanges holds that nothing but the file with the sum is taken for sent, and that what is another one from the start is not sent.
func TestPutOfAFileThatChanges(t *testing.T) {
	t.Parallel()
	half, other := file[:len(file)/2], bytes.ToUpper(file)
	for name, tt := range map[string]struct {
		first, then []byte
		changed     bool // is said
		attempts    int32
	}{
		"before":                      {other, other, true, 0},
		"before, and it is shorter":   {half, half, true, 0},
		"while it is sent":            {file, other, true, 1},
		"while it is sent, and again": {other, file, true, 0},
		"it shrinks meanwhile":        {file, half, false, 4},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var attempts atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				attempts.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
			}))
			t.Cleanup(s.Close)
			err := object(t, s.URL).Put(t.Context(), &changing{first: bytes.NewReader(tt.first), then: bytes.NewReader(tt.then)}, int64(len(file)), sumOf(file), unseen)
			if err == nil || errors.Is(err, ErrChanged) != tt.changed || attempts.Load() != tt.attempts {
				t.Errorf("error %v after %d attempts", err, attempts.Load())
			}
		})
	}
}

// TestPutSendsWhatWasSigned holds that a request has no header that a pre-signed URL would be refused for.
func TestPutSendsWhatWasSigned(t *testing.T) {
	t.Parallel()
	headers := make(chan http.Header, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		taken(t)(w, r)
		headers <- r.Header
	}))
	t.Cleanup(s.Close)
	o := object(t, s.URL, func(c *ObjectConfig) {
		c.UserAgent, c.Headers = "terraform-provider-dtr/test", map[string]string{"x-ms-blob-type": "BlockBlob"}
	})
	if err := put(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	sent := <-headers
	for name, want := range map[string]string{"User-Agent": "terraform-provider-dtr/test", "X-Ms-Blob-Type": "BlockBlob", "Accept-Encoding": "gzip", "Expect": "100-continue", "Content-Length": "4194304"} {
		if sent.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, sent.Get(name), want)
		}
		sent.Del(name)
	}
	if len(sent) > 0 {
		t.Errorf("headers besides: %v", sent)
	}
}

func TestPutIsNotRedirected(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		asked := make(chan string, 9)
		elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Method }))
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/s3cret-place?s3cret=1", status)
		}))
		err := put(t.Context(), object(t, s.URL))
		redirect, ok := errors.AsType[*RedirectError](err)
		if !ok || redirect.From != s.URL || redirect.To != elsewhere.URL {
			t.Errorf("%d: error %v", status, err)
		}
		wantNoSecrets(t, err)
		s.Close()
		elsewhere.Close()
		if len(asked) > 0 {
			t.Errorf("%d: it was followed by a %s", status, <-asked)
		}
	}
}

func TestPutFailures(t *testing.T) {
	t.Parallel()
	t.Run("a certificate", func(t *testing.T) {
		t.Parallel()
		s := serve(t, taken(t))
		err := put(t.Context(), object(t, s.URL))
		if _, ok := errors.AsType[*CertificateError](err); !ok || s.requests.Load() > 0 {
			t.Errorf("error %v after %d requests", err, s.requests.Load())
		}
		wantNoSecrets(t, err)
	})
	t.Run("nobody", func(t *testing.T) {
		t.Parallel()
		s := httptest.NewServer(taken(t))
		s.Close()
		err := put(t.Context(), object(t, s.URL))
		if e, ok := errors.AsType[*UnreachableError](err); !ok || e.URL != s.URL || e.Attempts != 4 {
			t.Errorf("error %v", err)
		}
		wantNoSecrets(t, err)
	})
	t.Run("a body that is not there", func(t *testing.T) {
		t.Parallel()
		o := object(t, "http://127.0.0.1:1")
		missing := errors.New("it is gone")
		calls := 0
		req, err := retryablehttp.NewRequestWithContext(t.Context(), http.MethodPut, o.url.String(), retryablehttp.ReaderFunc(func() (io.Reader, error) {
			if calls++; calls > 1 { // the first one is for its length
				return nil, missing
			}
			return bytes.NewReader(file), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := o.endpoint.repeat(t.Context(), req, 0, nil, func(*Answer) error { return nil }); !errors.Is(err, missing) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a cancel", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.CopyN(io.Discard, r.Body, int64(len(file)/2))
			cancel()
			_, _ = io.Copy(io.Discard, r.Body)
		}))
		t.Cleanup(s.Close)
		if err := put(ctx, object(t, s.URL)); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("error %v", err)
		}
	})
}

// TestPutMayTakeLong has a store that takes a little at a time, and one that takes nothing any more, or does not answer.
func TestPutMayTakeLong(t *testing.T) {
	t.Parallel()
	small := file[:1<<20]
	for name, tt := range map[string]struct {
		pause time.Duration // before each 64th of it
		last  time.Duration // before the answer
		ok    bool
	}{
		"slow":   {pause: 4 * time.Second, ok: true},
		"stuck":  {pause: time.Hour},
		"silent": {last: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dial := func(context.Context, string, string) (net.Conn, error) {
					here, there := net.Pipe()
					one := make(oneConn, 1)
					one <- there
					go func() {
						_ = http.Serve(one, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
							for {
								<-time.After(tt.pause)
								if _, err := io.CopyN(io.Discard, r.Body, int64(len(small)/64)); err != nil {
									break
								}
							}
							<-time.After(tt.last)
						}))
					}()
					return here, nil
				}
				o := object(t, "http://store.example.com", func(c *ObjectConfig) { c.dial = dial })
				began := time.Now()
				err := o.Put(t.Context(), bytes.NewReader(small), int64(len(small)), sumOf(small), unseen)
				if (err == nil) != tt.ok {
					t.Errorf("error %v after %s", err, time.Since(began))
				}
				if _, unreachable := errors.AsType[*UnreachableError](err); !tt.ok && (!unreachable || time.Since(began) > 5*time.Minute) {
					t.Errorf("error %v after %s", err, time.Since(began))
				}
				<-time.After(200 * time.Hour) // until the server has noticed
			})
		})
	}
}

// oneConn is a listener with one connection to accept.
type oneConn chan net.Conn

func (l oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l:
		return c, nil
	default:
		return nil, net.ErrClosed
	}
}
func (oneConn) Close() error   { return nil }
func (oneConn) Addr() net.Addr { return &net.UnixAddr{} }

func TestObjectRefuses(t *testing.T) {
	t.Parallel()
	for url, says := range map[string]string{
		"":                                     "is empty",
		"s3cret.example.com/x":                 "does not begin with https://",
		"s3://bucket/s3cret":                   "does not begin with https://",
		"https:///s3cret":                      "names no host",
		"https://user:s3cret@host.example.com": "holds a user name or a password",
		"https://host.example.com/?s3cret\n":   "trimspace()",
		"https://host.example.com/%zz?s3cret":  "is not valid",
		"https://host.example.com/#s3cret":     "after #",
	} {
		_, err := NewObject(ObjectConfig{URL: url})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want %q", url, err, says)
		}
		wantNoSecrets(t, err)
	}
	for says, headers := range map[string]map[string]string{
		"is not the name of a header":  {"x ms": "s3cret"},
		"Content-Length is set by the": {"content-length": "s3cret"},
		"Host is set by":               {"host": "s3cret"},
		"X-A is set twice":             {"x-a": "s3cret", "X-A": "s3cret"},
		"the value of X-A has":         {"x-a": "s3cret\n"},
	} {
		_, err := NewObject(ObjectConfig{URL: "https://host.example.com", Headers: headers})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: error %v, want %q", headers, err, says)
		}
		wantNoSecrets(t, err)
	}
}

// TestStoreRepeats has a store repeat in its refusal a part of what it was sent.
func TestStoreRepeats(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]string{
		"the token of a header": "Token s3cret-Zr4kPw2Lm8 has expired",
		"the path":              "No permission for /u/s3cret9x7Zr4kPw2Lm8/dtr.tar",
		"the signature":         "bad signature s3cret%2Bx7%3DZr4kPw2Lm8",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>"+said+"</Message></Error>")
			}))
			defer server.Close()
			o, err := NewObject(ObjectConfig{
				URL:     server.URL + "/u/s3cret9x7Zr4kPw2Lm8/dtr.tar?sig=s3cret%2Bx7%3DZr4kPw2Lm8",
				Headers: map[string]string{"Authorization": "Bearer s3cret-Zr4kPw2Lm8"}, Retry: Retry{Max: -1},
			})
			if err != nil {
				t.Fatal(err)
			}
			err = o.Put(t.Context(), bytes.NewReader(file), int64(len(file)), sumOf(file), func() io.Writer { return io.Discard })
			if err == nil || !strings.Contains(err.Error(), "AccessDenied") {
				t.Errorf("got error %v", err)
			}
			wantNoSecrets(t, err)
		})
	}
}

// TestAnswerThatNeverEnds has a store take the whole, and never end its answer.
func TestAnswerThatNeverEnds(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "10")
		w.WriteHeader(http.StatusOK)
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		<-done
	}))
	defer server.Close()
	defer close(done)
	o, err := NewObject(ObjectConfig{URL: server.URL + "/x", Retry: Retry{Max: -1, Attempt: 50 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := o.Put(ctx, bytes.NewReader(file), int64(len(file)), sumOf(file), func() io.Writer { return io.Discard }); err == nil || ctx.Err() != nil {
		t.Errorf("got error %v, context %v", err, ctx.Err())
	}
}

// TestObjectSecrets holds what of an object is masked everywhere, and what only in what its store says.
func TestObjectSecrets(t *testing.T) {
	t.Parallel()
	var all scrub.Secrets
	const query = "X-Amz-SignedHeaders=host&X-Amz-Signature=0123456789abcdef0123"
	o, err := NewObject(ObjectConfig{
		URL: "https://host.example.com/x?" + query, Secrets: &all,
		Headers: map[string]string{"x-token": "fedcba98765432100000", "x-short": "brief"},
	})
	if err != nil {
		t.Fatal(err)
	}
	const said = query + ", 0123456789abcdef0123, fedcba98765432100000"
	if got := all.Hide(said); got != "***, ***, ***" {
		t.Errorf("masked: %s", got)
	}
	if got := all.Hide("the host is brief"); got != "the host is brief" {
		t.Errorf("masked: %s", got)
	}
	if got := o.endpoint.Quote("the host is brief"); got != "***" {
		t.Errorf("of the store: %s", got)
	}
	if got := o.endpoint.Quote("the host of " + said); got != "the host of ***, ***, ***" {
		t.Errorf("of the store: %s", got)
	}
}

// TestPutToS3 holds what is sent against a server that is not the project's own.
func TestPutToS3(t *testing.T) {
	t.Parallel()
	store := s3test.Start(t)
	for name, tt := range map[string]struct {
		url     string
		headers map[string]string
		says    string
	}{
		"signed":                 {store.Presigned(t, "signed", time.Now()), nil, ""},
		"signed with a header":   {store.Presigned(t, "header", time.Now(), "X-Amz-Meta-Of", "dtr"), map[string]string{"x-amz-meta-of": "dtr"}, ""},
		"an unsigned header":     {store.Presigned(t, "unsigned", time.Now()), map[string]string{"x-amz-meta-of": "dtr"}, "status 403"},
		"without what is signed": {store.Presigned(t, "without", time.Now(), "X-Amz-Meta-Of", "dtr"), nil, "status 403"},
		"of another object":      {strings.Replace(store.Presigned(t, "signed", time.Now()), "signed?", "forged?", 1), nil, "status 403 Forbidden, SignatureDoesNotMatch"},
		"expired":                {store.Presigned(t, "expired", time.Now().Add(-2*time.Hour)), nil, "status 403"},
	} {
		o, err := NewObject(ObjectConfig{URL: tt.url, Headers: tt.headers, Retry: quick})
		if err != nil {
			t.Fatal(err)
		}
		err = put(t.Context(), o)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want %q", name, err, tt.says)
		}
		u, _ := url.Parse(tt.url)
		if got := store.Object(t, u.Path[strings.LastIndex(u.Path, "/")+1:]); name != "of another object" && bytes.Equal(got, file) != (err == nil) {
			t.Errorf("%s: the store has %d bytes", name, len(got))
		}
	}
	if got := store.Object(t, "forged"); got != nil {
		t.Errorf("the store has %d bytes that were not signed for", len(got))
	}
}
