// Package s3test is an object store for tests: a server of S3 that is not the project's
// own, and checks signatures as Amazon's does. Its URLs are signed by Amazon's library.
// No other package but tests imports it.
package s3test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/rclone/gofakes3"
	"github.com/rclone/gofakes3/s3mem"
)

const (
	bucket = "backups"
	region = "us-east-1"
)

var keys = aws.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "correct-horse-battery-staple"} //nolint:gosec // of the documentation

// Store is a server with one bucket.
type Store struct {
	URL string

	backend *s3mem.Backend
	mu      sync.Mutex
	puts    []*http.Request
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Store {
	t.Helper()
	s := &Store{backend: s3mem.New()}
	if err := s.backend.CreateBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	s3 := gofakes3.New(s.backend, gofakes3.WithV4Auth(map[string]string{keys.AccessKeyID: keys.SecretAccessKey})).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			s.mu.Lock()
			s.puts = append(s.puts, r.Clone(t.Context()))
			s.mu.Unlock()
		}
		s3.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Presigned is a URL that puts one object from the given time on, for an hour. The headers, by name and value in turn, have to come with the request.
func (s *Store) Presigned(t testing.TB, object string, at time.Time, headers ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/"+bucket+"/"+object+"?X-Amz-Expires=3600", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true })
	url, _, err := signer.PresignHTTP(t.Context(), keys, r, "UNSIGNED-PAYLOAD", "s3", region, at)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// Object is the content of an object, nil if there is none.
func (s *Store) Object(t testing.TB, name string) []byte {
	t.Helper()
	o, err := s.backend.GetObject(t.Context(), bucket, name, nil)
	if gofakes3.HasErrorCode(err, gofakes3.ErrNoSuchKey) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer o.Contents.Close()
	content, err := io.ReadAll(o.Contents)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// Puts are the requests to put an object so far.
func (s *Store) Puts() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.puts...)
}
