package endpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// defaultMaxBody bounds an answer.
const defaultMaxBody = 16 << 20

// Retry bounds one call. Zero fields take the defaults; tests shorten them.
type Retry struct {
	// Max is how often a harmless request is repeated after its first attempt: 5; negative means never.
	Max int
	// WaitMin and WaitMax bound the pause between two attempts, which doubles from one to the next: 500 ms, 5 s.
	WaitMin, WaitMax time.Duration
	// Attempt limits a single attempt, its answer included: 30 s.
	Attempt time.Duration
	// Total limits the call, all attempts and pauses included: 1 min.
	Total time.Duration
}

func (r Retry) withDefaults() Retry {
	return Retry{
		Max:     max(cmp.Or(r.Max, 5), 0),
		WaitMin: cmp.Or(r.WaitMin, 500*time.Millisecond),
		WaitMax: cmp.Or(r.WaitMax, 5*time.Second),
		Attempt: cmp.Or(r.Attempt, 30*time.Second),
		Total:   cmp.Or(r.Total, time.Minute),
	}
}

// Pause is how long to wait after the given attempt, counted from 0.
func (r Retry) Pause(attempt int, resp *http.Response) time.Duration {
	// A Retry-After header counts, but not beyond the longest pause of our own.
	return min(retryablehttp.DefaultBackoff(r.WaitMin, r.WaitMax, attempt, resp), r.WaitMax)
}

// send makes the request, repeats it at most so often, and returns what became of the last attempt. The body of a success goes to stream, unless that is nil.
func (e *Endpoint) send(req *http.Request, repeats int, stream func(io.Reader) error, read func(*Answer) error) error {
	caller := req.Context()
	ctx, cancel := context.WithTimeout(e.Mask(caller), e.config.Retry.Total)
	defer cancel()
	again, err := retryablehttp.FromRequest(req.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	return e.repeat(caller, again, repeats, stream, read)
}

// repeat is send of a request whose body can be read again, within the limit of its own context. The caller's says why it was ended.
func (e *Endpoint) repeat(caller context.Context, again *retryablehttp.Request, repeats int, stream func(io.Reader) error, read func(*Answer) error) error {
	req := again.Request
	var last error
	attempts := 0
	c := retryablehttp.Client{
		HTTPClient:   e.client,
		RetryMax:     repeats,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
		Backoff: func(_, _ time.Duration, attempt int, resp *http.Response) time.Duration {
			return e.config.Retry.Pause(attempt, resp)
		},
		CheckRetry: func(_ context.Context, resp *http.Response, err error) (bool, error) {
			attempts++
			if err != nil {
				last = e.explain(req.Method, address(req), attempts, err)
			} else {
				last = e.take(req, resp, stream, read)
			}
			return worthRepeating(resp, last) && (attempts == 1 || !passedOn(caller, resp)), nil
		},
	}
	// Every attempt has been looked at by then, so neither the answer nor the error says anything new.
	resp, err := c.Do(again)
	if resp != nil {
		_ = resp.Body.Close()
	}

	if attempts == 0 { // its body could not be read
		return err
	}
	if last == nil {
		return nil
	}
	if err := context.Cause(caller); err != nil {
		return e.interrupted(caller, req, attempts, err, last)
	}
	return last
}

// interrupted is the error of a call that its caller ended. A deadline leaves the last failure visible, since it is the reason.
func (e *Endpoint) interrupted(caller context.Context, req *http.Request, attempts int, cause, last error) error {
	asked := e.config.Secrets.Mask(address(req))
	if errors.Is(caller.Err(), context.Canceled) {
		return fmt.Errorf("%s %s: %w", req.Method, asked, cause)
	}
	if u, ok := errors.AsType[*UnreachableError](last); ok {
		last = u.Err
	}
	if !errors.Is(last, context.DeadlineExceeded) && !errors.Is(last, cause) {
		cause = fmt.Errorf("%w (before that: %w)", cause, last)
	}
	return &UnreachableError{Service: e.config.Service, Method: req.Method, URL: asked, Attempts: attempts, Err: cause}
}

// take reads a whole answer and hands it on.
func (e *Endpoint) take(req *http.Request, resp *http.Response, stream func(io.Reader) error, read func(*Answer) error) error {
	defer resp.Body.Close()
	if err := e.elsewhere(req, resp); err != nil {
		return err
	}
	a := &Answer{Method: req.Method, Path: req.URL.Path, StatusCode: resp.StatusCode, Header: resp.Header}
	var err error
	if !a.OK() { // its beginning is enough
		a.Body, err = io.ReadAll(io.LimitReader(resp.Body, min(maxRefusal, e.config.MaxBody)))
	} else if stream != nil {
		cut := &cutBody{Reader: resp.Body}
		if err := stream(cut); err != nil && cut.err == nil {
			return e.Unusable(a, err)
		}
		err = cut.err
	} else if a.Body, err = io.ReadAll(io.LimitReader(resp.Body, e.config.MaxBody+1)); int64(len(a.Body)) > e.config.MaxBody {
		return e.Unusable(a, errTooLarge)
	}
	if err != nil {
		return e.Unusable(a, fmt.Errorf("it was cut short: %w", stripURL(err)))
	}
	return read(a)
}

// cutBody keeps the error with which a body broke off, of which whoever reads it makes another one.
type cutBody struct {
	io.Reader
	err error
}

func (c *cutBody) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// worthRepeating decides by the status and by the type of the error, either of which may be missing.
func worthRepeating(resp *http.Response, err error) bool {
	if resp != nil && (resp.StatusCode == http.StatusTooManyRequests ||
		resp.StatusCode >= http.StatusInternalServerError && resp.StatusCode != http.StatusNotImplemented) {
		return true
	}
	if _, ok := errors.AsType[*ResponseError](err); ok {
		return !errors.Is(err, errTooLarge)
	}
	if _, ok := errors.AsType[*UnreachableError](err); ok {
		dns, ok := errors.AsType[*net.DNSError](err)
		return !ok || !dns.IsNotFound // a name that does not exist is a mistake in the configuration
	}
	return false
}

type passedOnKey struct{}

// WithErrorsPassedOn returns a context for a call whose server passes another server's failure on as a status of 500.
// That is repeated once, and not waited out as a fault of the server itself would be.
func WithErrorsPassedOn(ctx context.Context) context.Context {
	return context.WithValue(ctx, passedOnKey{}, true)
}

func passedOn(ctx context.Context, resp *http.Response) bool {
	return resp != nil && resp.StatusCode == http.StatusInternalServerError && ctx.Value(passedOnKey{}) != nil
}

// address is the request's URL for errors.
func address(req *http.Request) string { return place(req.URL) }
