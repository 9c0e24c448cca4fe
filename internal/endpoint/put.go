package endpoint

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // what stores say of an object to tell whether it is whole
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// putIdle bounds how long nothing goes on while a file is sent, or until it is answered. A store may look at the whole of it first.
const putIdle = 5 * time.Minute

// ObjectConfig describes one object of a store that takes it by PUT.
type ObjectConfig struct {
	// URL leads to the object, and may be all that it takes to write it: a pre-signed one. Its query is secret.
	URL string
	// Headers go with the request. Their values are secret.
	Headers   map[string]string
	UserAgent string
	// Secrets get what is in no text by chance of the URL's query and of the headers; nil is none.
	Secrets *scrub.Secrets
	// Retry bounds the attempts. Attempt limits how long nothing goes on in one; how long it may take in all, a call's context says.
	Retry Retry

	dial func(ctx context.Context, network, address string) (net.Conn, error) // of tests
}

// Object is one object of a store. None of its errors and lines of the log has more of its URL than the host.
type Object struct {
	endpoint *Endpoint
	url      *url.URL
	header   http.Header
}

// NewObject checks the configuration. It makes no request.
func NewObject(c ObjectConfig) (*Object, error) {
	if err := errors.Join(CheckObjectURL(c.URL), CheckHeaders(c.Headers)); err != nil {
		return nil, err
	}
	u, _ := url.Parse(c.URL)
	o := &Object{url: u, header: http.Header{}}
	own := scrub.NewSecrets(u.RawQuery)
	for _, values := range u.Query() { // among them are dates and the names of headers
		own.AddLong(values...)
		c.Secrets.AddLong(values...)
	}
	c.Secrets.AddLong(u.RawQuery)
	if c.UserAgent != "" {
		o.header.Set("User-Agent", c.UserAgent)
	}
	for name, value := range c.Headers {
		o.header.Set(name, value)
		own.Add(value)
		own.AddLong(strings.Fields(value)...) // a store may repeat a token without its scheme
		c.Secrets.AddLong(append(strings.Fields(value), value)...)
	}

	idle := cmp.Or(c.Retry.Attempt, putIdle)
	transport := NewTransport()
	transport.TLSClientConfig, _, _ = ClientTLS("")
	transport.ExpectContinueTimeout = continueTimeout
	transport.ResponseHeaderTimeout = idle
	dial := transport.DialContext
	if c.dial != nil {
		dial = c.dial
	}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return impatient{conn, idle}, nil
	}
	o.endpoint = &Endpoint{
		config: Config{Service: "the store", Secrets: own, Retry: c.Retry.withDefaults(), MaxBody: maxOutcome},
		base:   u, roots: systemRoots, transport: transport,
		client: &http.Client{Transport: brief{transport, idle}, CheckRedirect: sameHost}, // with no line a request, which would have the path
	}
	return o, nil
}

// impatient is a connection that fails if it takes nothing for so long.
type impatient struct {
	net.Conn
	limit time.Duration
}

func (c impatient) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.limit)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// brief cuts answers that take longer to read: they are no more than a few lines.
type brief struct {
	http.RoundTripper
	limit time.Duration
}

func (b brief) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err == nil {
		body := resp.Body
		resp.Body = timed{body, time.AfterFunc(b.limit, func() { _ = body.Close() })}
	}
	return resp, err
}

type timed struct {
	io.ReadCloser
	timer *time.Timer
}

func (t timed) Close() error {
	t.timer.Stop()
	return t.ReadCloser.Close()
}

// CheckObjectURL checks the URL of an object. Its errors repeat nothing of it.
func CheckObjectURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return errors.New("is empty")
	case strings.TrimSpace(s) != s:
		return errors.New("begins or ends in white space, as the text of a file does: remove it with trimspace()")
	case err != nil:
		return errors.New(`is not valid: write it like "https://bucket.s3.example.com/dtr.tar?..."`)
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("does not begin with https:// or http://")
	case u.User != nil:
		return errors.New("holds a user name or a password: write them into headers, as Authorization")
	case u.Hostname() == "":
		return errors.New("names no host")
	case u.Fragment != "":
		return errors.New("has a part after #, which is never sent")
	}
	return nil
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// ownHeaders are those that a request has of its own.
var ownHeaders = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Expect": true, "Trailer": true}

// CheckHeaders checks headers for an object. Its errors repeat no value.
func CheckHeaders(headers map[string]string) error {
	seen := map[string]bool{}
	for name, value := range headers {
		canonical := http.CanonicalHeaderKey(name)
		switch {
		case !headerName.MatchString(name):
			return fmt.Errorf("%q is not the name of a header", name)
		case ownHeaders[canonical]:
			return fmt.Errorf("%s is set by the provider itself", canonical)
		case seen[canonical]:
			return fmt.Errorf("%s is set twice", canonical)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == '\x7f' }):
			return fmt.Errorf("the value of %s has a line break or another control character; remove it, for example with trimspace()", canonical)
		}
		seen[canonical] = true
	}
	return nil
}

// Host is where the object is, for people.
func (o *Object) Host() string { return o.url.Host }

// StatusError says that a store refuses an object.
type StatusError struct {
	StatusCode int
	// Code and Message are what the store says about it, as S3, Google Cloud Storage and Azure do; empty if it says nothing.
	Code, Message string
}

func (e *StatusError) Error() string {
	text := strings.TrimSpace(fmt.Sprintf("status %d %s", e.StatusCode, http.StatusText(e.StatusCode)))
	if e.Code != "" {
		text += ", " + e.Code
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// ErrChanged says that a file is not, or no longer, the one that was to be sent.
var ErrChanged = errors.New("the file has been changed since it was checked")

// Put sends a file with the SHA-256 sum as the object, and all of it again where that may help. It returns nil once the store has answered that it has the
// object, after it was sent the whole, and has named no checksum of another one. Each attempt has a progress of its own, which gets what is sent. A file that
// has another sum is not sent, and one that gets another sum meanwhile was not: that is ErrChanged.
//
// A checksum is not sent along: with a pre-signed URL, stores refuse a header that was not signed, and nobody can sign what does not exist yet.
func (o *Object) Put(ctx context.Context, file io.ReaderAt, size int64, sum string, progress func() io.Writer) error {
	sums, err := sumsOf(io.NewSectionReader(file, 0, size))
	if err != nil {
		return err
	}
	if sums.sha256 != sum {
		return ErrChanged
	}
	var sent *atomic.Int64 // of the last attempt, as is the hash; the ones before may still be read for
	var hash hash.Hash
	body := func() (io.Reader, error) {
		sent, hash = new(atomic.Int64), sha256.New()
		return io.TeeReader(io.NewSectionReader(file, 0, size), io.MultiWriter(progress(), hash, counted{sent})), nil
	}
	req, err := retryablehttp.NewRequestWithContext(o.endpoint.Mask(ctx), http.MethodPut, o.url.String(), retryablehttp.ReaderFunc(body))
	if err != nil {
		return errors.New("the URL makes no valid request")
	}
	req.Header = o.header.Clone()
	req.Header.Set("Expect", "100-continue") // so that what is refused is refused before it is sent
	req.ContentLength = size
	defer o.endpoint.transport.CloseIdleConnections()
	err = o.endpoint.repeat(ctx, req, o.endpoint.config.Retry.Max, nil, func(a *Answer) error {
		if !a.OK() {
			return &StatusError{a.StatusCode, o.said(code, a), o.said(message, a)}
		}
		err := sums.compare(a.Header)
		if n := sent.Load(); n < size {
			err = fmt.Errorf("it came after %d of %d bytes", n, size)
		} else if hex.EncodeToString(hash.Sum(nil)) != sum {
			return ErrChanged
		}
		if err != nil {
			return o.endpoint.Unusable(a, err)
		}
		return nil
	})
	return withoutPath(ctx, err)
}

// withoutPath is an error without paths, which may be all that it takes to write an object.
func withoutPath(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) && errors.Is(err, context.Cause(ctx)) {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*UnreachableError](err); ok {
		e.URL = site(e.URL)
	}
	if e, ok := errors.AsType[*RedirectError](err); ok {
		return &RedirectError{From: site(e.From), To: site(e.To)}
	}
	if e, ok := errors.AsType[*ResponseError](err); ok {
		e.Path = ""
	}
	return err
}

// site is a URL up to its path.
func site(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "another address"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}

type counted struct{ n *atomic.Int64 }

func (c counted) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

var (
	code    = regexp.MustCompile(`<Code>([^<]*)</Code>`)
	message = regexp.MustCompile(`<Message>([^<]*)</Message>`)
)

func (o *Object) said(what *regexp.Regexp, a *Answer) string {
	if m := what.FindSubmatch(a.Body); m != nil {
		path := scrub.NewSecrets()
		path.AddLong(o.url.Path, o.url.EscapedPath())
		return o.endpoint.Quote(path.Mask(string(m[1])))
	}
	return ""
}

// sums are the checksums of a file: those that stores name in their answers, S3 the first one, Google Cloud Storage and Azure the second, and the one that
// it is known by.
type sums struct{ crc64nvme, md5, sha256 string }

func sumsOf(r io.Reader) (sums, error) {
	crc := crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) // CRC-64/NVME
	digest := md5.New()                                   //nolint:gosec // see the import
	own := sha256.New()
	if _, err := io.Copy(io.MultiWriter(crc, digest, own), r); err != nil {
		return sums{}, err
	}
	encode := base64.StdEncoding.EncodeToString
	return sums{encode(binary.BigEndian.AppendUint64(nil, crc.Sum64())), encode(digest.Sum(nil)), hex.EncodeToString(own.Sum(nil))}, nil
}

// compare is an error if an answer names a checksum of another file. An ETag is none: it is that of what is stored, which may be encrypted.
func (s sums) compare(answer http.Header) error {
	named := map[string]string{answer.Get("X-Amz-Checksum-Crc64nvme"): s.crc64nvme, answer.Get("Content-Md5"): s.md5}
	for _, line := range answer.Values("X-Goog-Hash") {
		for hash := range strings.SplitSeq(line, ",") {
			if sum, ok := strings.CutPrefix(strings.TrimSpace(hash), "md5="); ok {
				named[sum] = s.md5
			}
		}
	}
	delete(named, "")
	for got, want := range named {
		if got != want {
			return errors.New("it names the checksum of another file than was sent")
		}
	}
	return nil
}
