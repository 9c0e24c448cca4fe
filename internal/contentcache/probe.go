package contentcache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// Probe says how to ask a content cache whether it lives.
type Probe struct {
	CACert             string // PEM text; "" is the system's
	InsecureSkipVerify bool
	UserAgent          string
}

// catalogPath is what every registry answers. A cache asks for DTR's login there.
const catalogPath = "/v2/_catalog"

// ask asks once. A registry that wants a login lives.
func (p Probe) ask(ctx context.Context, host string) error {
	e, err := endpoint.New(endpoint.Config{
		Service: "the content cache", URL: host, CACert: p.CACert, InsecureSkipVerify: p.InsecureSkipVerify,
		UserAgent: p.UserAgent, Retry: endpoint.Retry{Max: -1, Attempt: probeLimit, Total: probeLimit},
	})
	if err != nil {
		return &addressError{err}
	}
	request := endpoint.Request{Path: catalogPath, Query: url.Values{"n": {"1"}}, NewConnection: true}
	return e.Once(ctx, request, func(a *endpoint.Answer) error {
		if a.OK() || a.StatusCode == http.StatusUnauthorized {
			return nil
		}
		return fmt.Errorf("it answered GET %s with status %d, where a registry answers with 200 or 401", catalogPath, a.StatusCode)
	})
}

// probeLimit is how long one answer may take.
const probeLimit = 10 * time.Second

// addressError is an address that cannot be asked at all.
type addressError struct{ error }

// isPermanent reports whether retrying cannot help: with a wrong address, or one
// whose certificate is not trusted.
func isPermanent(err error) bool {
	var address *addressError
	var certificate *endpoint.CertificateError
	var redirect *endpoint.RedirectError
	return errors.As(err, &address) || errors.As(err, &certificate) || errors.As(err, &redirect)
}

// checkProbe finds out, before anything is changed, whether the probe can succeed
// at all. A cache that is down may be so for the reason that it is to be changed.
func (r *run) checkProbe(ctx context.Context) error {
	if r.o.Probe == nil {
		return nil
	}
	if err := r.o.Probe.ask(ctx, r.o.Host); isPermanent(err) {
		return &ProbeError{Host: r.o.Host, Err: err}
	}
	return nil
}

// probe waits until the cache answers.
func (r *run) probe(ctx context.Context) error {
	if r.o.Probe == nil {
		return nil
	}
	began := time.Now()
	var last error
	seen := func() []string {
		if last == nil {
			return nil
		}
		return []string{last.Error()}
	}
	return r.until(ctx, seen, func(ctx context.Context) (bool, error) {
		last = r.o.Probe.ask(ctx, r.o.Host)
		after := time.Since(began)
		if last == nil {
			return true, nil
		}
		if isPermanent(last) || after > r.pace.CacheAnswer {
			return false, wait.Fail(&ProbeError{Host: r.o.Host, After: after, Err: last})
		}
		return false, nil
	})
}
