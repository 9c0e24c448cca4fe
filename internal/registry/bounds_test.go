package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/registry"
)

// TestListsWithoutAnEnd has a registry give pages without an end, tags without an end, and a token that grows in memory.
//
//nolint:paralleltest // it measures memory
func TestListsWithoutAnEnd(t *testing.T) {
	if !endpointtest.Measured(t) {
		return
	}
	full := `{"tags":[` + strings.Repeat(`"a",`, 50_000) + `"a"]}`
	for name, tt := range map[string]struct {
		page func(n int) string
		says string
	}{
		"pages": {func(int) string { return full }, "the list has more than"},
		"tag":   {func(int) string { return `{"tags":["` + strings.Repeat("a", 1<<20) + `"]}` }, "one of more than"},
		"empty": {func(int) string { return `{"tags":[]}` }, "the list has no end"},
	} {
		n := 0
		s := serve(t, func(_ *server, w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			n++
			w.Header().Set("Link", fmt.Sprintf(`</v2/x/y/tags/list?n=1&last=%d>; rel="next"`, n))
			_, _ = fmt.Fprint(w, tt.page(n))
		})
		_, err := registry.Tags(t.Context(), strings.TrimPrefix(s.URL, "https://")+"/x/y", registry.Config{CACert: s.ca, Retry: endpoint.Retry{Max: -1}})
		if err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	s := serve(t, func(s *server, w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if r.URL.Path == "/token" {
			_, _ = fmt.Fprint(w, `{"x":[`+strings.Repeat("{},", 200_000)+`{}],"token":"t"}`)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+s.URL+`/token"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	_, err := registry.Tags(t.Context(), strings.TrimPrefix(s.URL, "https://")+"/x/y", registry.Config{CACert: s.ca, Retry: endpoint.Retry{Max: -1}})
	if err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("token: error %v", err)
	}
	if mib := endpointtest.Mapped(); mib > 200 {
		t.Errorf("it took %d MiB", mib)
	}
}
