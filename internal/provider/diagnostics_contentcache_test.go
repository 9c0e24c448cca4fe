package provider

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/contentcache"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// TestCacheDiagnostics holds the whole text of the diagnostics of content caches.
func TestCacheDiagnostics(t *testing.T) {
	t.Parallel()
	const host = "https://cache.example.com"
	main := dtr.ContentCache{ID: "f7d4f3c2", Name: "main", Host: host}
	refused := errors.New("dial tcp 192.0.2.1:443: connect: connection refused")
	otherName := x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"node1.example.com"}}, Host: "cache.example.com"}
	back, notBack := &contentcache.PutBack{Container: "dtr-cache"}, &contentcache.PutBack{Container: "dtr-cache", Err: errors.New("no space left on device")}
	var b bytes.Buffer
	for _, c := range []struct {
		name string
		err  error
	}{
		{"name taken", &contentcache.TakenError{Cache: main, Wanted: "https://other.example.com"}},
		{"another DTR", &cluster.OtherClusterError{Want: "dtr.example.com", Got: "registry.example.com"}},
		{"no service", &contentcache.MissingError{Kind: contentcache.KindService, Name: "dtr-cache_cache"}},
		{"no container on the node", &contentcache.MissingError{Kind: contentcache.KindContainer, Name: "dtr-cache", Node: "worker1"}},
		{"several containers", &contentcache.AmbiguousError{Name: "dtr-cache", Nodes: []string{"worker1", "worker2"}}},
		{"several containers to replace", &contentcache.AmbiguousError{Name: "dtr-cache", Nodes: []string{"worker1", "worker2"}, Node: "worker1"}},
		{"node is down", &contentcache.NodeDownError{Container: "dtr-cache", Node: "worker2"}},
		{"left over", &contentcache.LeftoverError{Container: "dtr-cache", Leftover: "dtr-cache.replaced", Node: "worker1"}},
		{"removes itself", &contentcache.AutoRemoveError{Container: "dtr-cache", Node: "worker1"}},
		{"service paused", &contentcache.UpdateError{
			Kind: contentcache.KindService, Name: "dtr-cache_cache", Image: cacheAfter, State: "paused",
			Message: "update paused due to failure or early termination of task 0kxk", Problems: []string{"task 0kxk is rejected: No such image: " + cacheAfter},
		}},
		{"container put back", &contentcache.UpdateError{Kind: contentcache.KindContainer, Name: "dtr-cache", Image: cacheAfter, State: "container dtr-cache is exited, its exit status is 1", PutBack: back}},
		{"container not put back", &contentcache.UpdateError{Kind: contentcache.KindContainer, Name: "dtr-cache", Image: cacheAfter, State: "container dtr-cache is exited, its exit status is 1", PutBack: notBack}},
		{"probe in vain", &contentcache.ProbeError{Host: host, After: 2 * time.Minute, Err: &endpoint.UnreachableError{Service: "the content cache", Method: "GET", URL: host + "/v2/_catalog", Attempts: 1, Err: refused}}},
		{"probe in vain, put back", &contentcache.ProbeError{Host: host, After: 2 * time.Minute, PutBack: back, Err: errors.New("it answered GET /v2/_catalog with status 503, where a registry answers with 200 or 401")}},
		{"probe without the CA", &contentcache.ProbeError{Host: host, Err: &endpoint.CertificateError{Service: "the content cache", Host: "cache.example.com", Roots: "the system's root certificates", Err: errors.New("x509: certificate signed by unknown authority")}}},
		{"probe with another name", &contentcache.ProbeError{Host: host, Err: &endpoint.CertificateError{Service: "the content cache", Host: "cache.example.com", Roots: "the given CA certificates", Err: otherName}}},
		{"interrupted", &wait.DetachedError{Step: contentcache.Step, Name: "main", Seen: []string{"task 0kxk is preparing"}, Cause: context.Canceled}},
		{"time-out", &wait.DetachedError{Step: contentcache.Step, Name: "main", Cause: limitPassed("update", 30*time.Minute)}},
		{"registration lost", &dtr.LostCacheError{Name: "main", Err: refused}},
	} {
		writeDiagnostics(&b, c.name, diagnose(c.err))
	}
	was := cacheModel{ID: types.StringValue("f7d4f3c2"), Name: types.StringValue("main"), Host: types.StringValue(host)}
	next := cacheModel{Name: types.StringValue("main"), Host: types.StringValue("https://new.example.com")}
	for _, c := range []struct {
		name string
		diag diag.Diagnostic
	}{
		{"gone", cacheGone(&was)},
		{"destroy", cacheLeft(&was)},
		{"registered anew", cacheReplaced(&was, &next)},
		{"newer than wanted", cacheNewer("main", v("2.6.15"), v("2.6.8"))},
		{"import of nobody", cacheNotOne("nobody", []dtr.ContentCache{main}, nil)},
		{"import with no caches", cacheNotOne("nobody", nil, nil)},
		{"import of two", cacheNotOne("main", nil, []dtr.ContentCache{main, {ID: "00aa", Name: "main", Host: "https://two.example.com"}})},
	} {
		writeDiagnostics(&b, c.name, diag.Diagnostics{c.diag})
	}
	golden(t, "diagnostics_contentcache.txt", b.Bytes())
}
