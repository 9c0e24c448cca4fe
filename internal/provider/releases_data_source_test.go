package provider

import (
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// registryOf is an image registry with some tags of mirror/dtr. With a password it
// wants a login.
func registryOf(t *testing.T, username, password string, tags ...string) (s *httptest.Server, ca string) {
	t.Helper()
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	back := httptest.NewServer(h)
	t.Cleanup(back.Close)
	for _, tag := range tags {
		ref, err := name.ParseReference(strings.TrimPrefix(back.URL, "http://")+"/mirror/dtr:"+tag, name.Insecure)
		must(err)
		must(remote.Write(ref, empty.Image))
	}
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); password != "" && (u != username || p != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func TestReleasesData(t *testing.T) {
	t.Parallel()
	p := newProtocol(t, quick()...)
	offline := values{"url": "https://dtr.example.com", "username": "admin", "password": "x", "ucp": values{"url": "https://ucp.example.com", "username": "admin", "password": "x"}}
	p.ok(nil, p.configure(offline))

	got := p.data("dtr_releases", values{"line": "2.4"})
	p.ok(nil, got.diags)
	versions := []any{}
	for patch := range 15 {
		versions = append(versions, fmt.Sprintf("2.4.%d", patch))
	}
	want := values{
		"line": "2.4", "repository": nil, "ca_cert": nil, "versions": versions, "latest": "2.4.14", "tags": nil, "available": nil,
		"lines": []any{values{"line": "2.4", "first_released": "2017-11-02", "latest": "2.4.14", "versions": versions}},
	}
	if diff := cmp.Diff(want, got.plain()); diff != "" {
		t.Error(diff)
	}

	all := p.data("dtr_releases", values{}).plain()
	lines := all["lines"].([]any)
	known := transition.Releases()
	last := known[len(known)-1].Version.String()
	if n := len(known); len(all["versions"].([]any)) != n || all["latest"] != last || len(lines) < 10 || lines[len(lines)-1].(values)["latest"] != last {
		t.Errorf("%d versions of %d, latest %v, %d lines", len(all["versions"].([]any)), n, all["latest"], len(lines))
	}
	unheard := p.data("dtr_releases", values{"line": "9.9"}).plain()
	if len(unheard["versions"].([]any)) != 0 || unheard["latest"] != nil {
		t.Errorf("an unknown line: %v", unheard)
	}
	for name, c := range map[string]struct {
		config values
		want   string
	}{
		"not a line":       {values{"line": "2"}, "Not a minor version"},
		"a tag":            {values{"repository": "docker/dtr:2.6.15"}, "at repository"},
		"a CA for nothing": {values{"ca_cert": "x"}, "ca_cert needs repository."},
	} {
		if text := render(p.data("dtr_releases", c.config).diags); !strings.Contains(text, c.want) {
			t.Errorf("%s: got:\n%s\nwant %q", name, text, c.want)
		}
	}
}

func TestReleasesOfARegistry(t *testing.T) {
	t.Parallel()
	tags := []string{"2.5.6", "2.10.0", "2.9.30", "2.6.15", "2.6.8", "2.6.0-tp9", "latest"}
	s, ca := registryOf(t, "", "", tags...)
	login := values{"username": "admin", "password": "pa55word", "ucp": values{"url": "https://ucp.example.com", "username": "admin", "password": "x"}}
	read := func(provider, config values) (values, string) {
		p := newProtocol(t, quick()...)
		p.ok(nil, p.configure(provider))
		got := p.data("dtr_releases", config)
		return got.plain(), render(got.diags)
	}
	elsewhere := in(login, values{"url": "https://dtr.example.com"})
	mirror := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "https://") + "/mirror/dtr" }

	got, text := read(elsewhere, values{"repository": mirror(s), "ca_cert": ca})
	if text != "" {
		t.Fatal(text)
	}
	listed := []string{}
	for _, tag := range got["tags"].([]any) {
		listed = append(listed, tag.(string))
	}
	slices.Sort(listed)
	slices.Sort(tags)
	if !slices.Equal(listed, tags) {
		t.Errorf("tags %q, want %q", listed, tags)
	}
	if diff := cmp.Diff([]any{"2.5.6", "2.6.8", "2.6.15", "2.9.30", "2.10.0"}, got["available"]); diff != "" {
		t.Error(diff)
	}
	got, _ = read(in(elsewhere, values{"password": unknown{}}), values{"repository": mirror(s), "ca_cert": ca, "line": "2.6"}) // a provider that is not connected
	if diff := cmp.Diff([]any{"2.6.8", "2.6.15"}, got["available"]); diff != "" {
		t.Error(diff)
	}

	locked, lockedCA := registryOf(t, "admin", "pa55word", "2.6.15")
	own := in(login, values{"url": locked.URL, "ca_cert": lockedCA})
	if got, text = read(own, values{"repository": mirror(locked)}); text != "" || len(got["tags"].([]any)) != 1 {
		t.Errorf("the provider's own DTR: %v\n%s", got, text)
	}
	if _, text = read(elsewhere, values{"repository": mirror(locked), "ca_cert": lockedCA}); !strings.Contains(text, "Error: The registry does not list the tags of the repository\n") || strings.Contains(text, "pa55word") {
		t.Errorf("a registry that wants a login:\n%s", text)
	}
	if _, text = read(elsewhere, values{"repository": mirror(locked)}); !strings.Contains(text, "is not trusted") {
		t.Errorf("a registry of another CA:\n%s", text)
	}
}

func TestSameAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		address, host string
		want          bool
	}{
		{"https://dtr.example.com", "dtr.example.com", true},
		{"https://DTR.example.com/", "dtr.example.com:443", true},
		{"dtr.example.com:4443", "dtr.example.com:4443", true},
		{"https://dtr.example.com", "dtr.example.com:4443", false},
		{"https://dtr.example.com", "registry.example.com", false},
		{"https://dtr.example.com", "dtr.example.com.example.org", false},
	} {
		if got := sameAddress(c.address, c.host); got != c.want {
			t.Errorf("%s and %s: %t", c.address, c.host, got)
		}
	}
}
