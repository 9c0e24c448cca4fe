package ucp

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
)

// FuzzAnswers gives one answer to each question that UCP and an engine are asked: it is a value or an error.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		recorded("cache.json"), `[{"Id":"a","Names":["/worker1/dtr-api-0123456789ab"],"Labels":null,"Created":-1},null,{"Names":[]}]`,
		`[{"ID":"n","Description":{"Hostname":"worker1","Resources":{"MemoryBytes":1e3}}},{"Spec":null}]`,
		`{"ApiVersion":"1.37","Version":"ucp/3.0.0"}`, "[trust_configuration]\nrequire_content_trust = true\n", "a = [[[", `{"auth_token":1}`, `{"message":"m"}`,
		`{"Id":"x","State":null,"Config":{"Labels":null},"Created":"x"}`, `{"errors":[{"message":""}]}`, ``, `null`, `[`,
	} {
		f.Add([]byte(seed), 200)
		f.Add([]byte(seed), 500)
		f.Add([]byte(seed), 401)
	}
	var mu sync.Mutex
	var body []byte
	status := 200
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
			w.Header().Set("Api-Version", "1.37")
			answer(w, 200, "OK")
		case r.URL.Path == loginPath:
			answer(w, 200, `{"auth_token":"t"}`)
		default:
			mu.Lock()
			defer mu.Unlock()
			answer(w, status, string(body))
		}
	}))
	f.Cleanup(s.Close)
	c, err := New(Config{URL: s.URL, CACert: endpointtest.CA(s), Username: "admin", Password: "pa55word", Retry: endpoint.Retry{Max: -1, WaitMin: time.Millisecond, WaitMax: time.Millisecond}, Patience: time.Millisecond})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte, code int) {
		if code < 200 || code > 599 || code == 204 || code >= 300 && code < 400 { // without a body, or a redirect
			return
		}
		mu.Lock()
		body, status = text, code
		mu.Unlock()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ok := func(what string, err error) {
			if err == nil && (code < 200 || code > 299) {
				t.Errorf("%s: status %d is taken for an answer", what, code)
			}
			if ctx.Err() != nil {
				t.Errorf("%s: it did not end, error %v", what, err)
			}
		}
		e, err := c.Engine(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = e.Containers(ctx, nil)
		ok("list", err)
		_, err = e.Container(ctx, "x")
		ok("inspection", err)
		_, err = e.Nodes(ctx)
		ok("nodes", err)
		_, err = e.Version(ctx)
		ok("version", err)
		_, err = c.RequireContentTrust(ctx)
		ok("configuration", err)
	})
}
