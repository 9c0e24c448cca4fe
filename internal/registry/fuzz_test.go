package registry

import (
	"net/url"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// FuzzHeaders reads a Link and a WWW-Authenticate header: neither leads to another host of the registry's, or out of TLS.
func FuzzHeaders(f *testing.F) {
	for _, seed := range [][2]string{
		{`</v2/x/y/tags/list?n=1&last=a>; rel="next"`, `realm="https://auth.example.com/token",service="registry"`},
		{`<//evil.example.com/v2>; rel=next`, `realm="http://auth.example.com/token"`},
		{`<https:@evil.example.com/x>; rel="next"`, `REALM="https://u:p@auth.example.com"`},
		{`<?n=1>;rel=next`, `realm="https:///x"`},
		{`</%2e%2e/x>; a=b; rel="next"`, `realm="`},
		{`<`, ``},
	} {
		f.Add(seed[0], seed[1])
	}
	e, err := endpoint.New(endpoint.Config{Service: "the registry", URL: "https://registry.example.com"})
	if err != nil {
		f.Fatal(err)
	}
	l := &lister{endpoint: e, repository: "registry.example.com/x/y", path: "x/y"}
	f.Fuzz(func(t *testing.T, link, challenge string) {
		next, err := l.link(link, &url.URL{Path: "/v2/x/y/tags/list", RawQuery: "n=1000"})
		if next != nil && (err != nil || next.Scheme != "" || next.Host != "" || next.User != nil) {
			t.Errorf("%q leads to %q, error %v", link, next, err)
		}
		realm, _, err := l.tokenService(challenge)
		if err == nil && (realm.Scheme != "https" || realm.Host == "") {
			t.Errorf("%q leads to %q", challenge, realm)
		}
	})
}
