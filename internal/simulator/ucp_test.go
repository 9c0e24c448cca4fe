package simulator_test

import (
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

func TestUCPLogin(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	h := httpClient(t, c)
	got := do(t, h, request{method: http.MethodPost, url: c.UCPURL() + "/auth/login", body: `{"username":"admin","password":"wrong"}`})
	if got.status != http.StatusUnauthorized {
		t.Errorf("wrong password: %d", got.status)
	}
	for _, path := range []string{"/containers/json", "/v1.39/containers/json", "/api/ucp/config-toml", "/version", "/v1.39/_ping"} {
		for token, want := range map[string]int{"": 401, "made-up": 401, login(t, c, h): 200} {
			if got := do(t, h, request{url: c.UCPURL() + path, bearer: token}); got.status != want {
				t.Errorf("%s with token %.8s: %d, want %d", path, token, got.status, want)
			}
		}
	}
}

func TestUCPTokensExpire(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	h := httpClient(t, c)
	token := login(t, c, h)
	c.ExpireTokens()
	if got := do(t, h, request{url: c.UCPURL() + "/info", bearer: token}); got.status != http.StatusUnauthorized {
		t.Errorf("with the expired token: %d", got.status)
	}
	if got := do(t, h, request{url: c.UCPURL() + "/info", bearer: login(t, c, h)}); got.status != http.StatusOK {
		t.Errorf("with a new token: %d", got.status)
	}
}

func TestUCPWithoutLogin(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	h := httpClient(t, c)
	ca := do(t, h, request{url: c.UCPURL() + "/ca"})
	if block, _ := pem.Decode(ca.body); block == nil || string(ca.body) != c.CACert() {
		t.Errorf("/ca: %s", ca.body)
	}
	ping := do(t, h, request{url: c.UCPURL() + "/_ping"})
	if ping.status != http.StatusOK || ping.header.Get("Api-Version") != "1.39" {
		t.Errorf("/_ping: %d, API %q", ping.status, ping.header.Get("Api-Version"))
	}
}

func TestContentTrust(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	h := httpClient(t, c)
	for _, required := range []string{"false", "true"} {
		c.SetContentTrust(required == "true")
		got := do(t, h, request{url: c.UCPURL() + "/api/ucp/config-toml", bearer: login(t, c, h)})
		if !strings.Contains(string(got.body), "[trust_configuration]\n  require_content_trust = "+required) {
			t.Errorf("%s", got.body)
		}
	}
	got := do(t, h, request{
		method: http.MethodPost, url: c.UCPURL() + "/v1.39/containers/create", body: `{"Image":"docker/dtr:2.6.8"}`, bearer: login(t, c, h),
	})
	if got.status != http.StatusForbidden || !strings.Contains(string(got.body), "signing policy") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestVersionsReleasedTogether(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]struct{ api, engine, ucp string }{
		"2.4.3": {"1.30", "17.06", "2.2."}, "2.5.6": {"1.37", "18.03", "3.0."},
		"2.6.8": {"1.39", "18.09", "3.1."}, "2.7.4": {"1.40", "19.03", "3.2."},
	} {
		c := simulatortest.Start(t, simulator.Options{Version: version, Replicas: 1})
		through, err := docker(t, c).ServerVersion(t.Context(), client.ServerVersionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		direct, err := directDocker(t, c, want.api).ServerVersion(t.Context(), client.ServerVersionOptions{})
		if err != nil {
			t.Fatal(err)
		}
		component := through.Components[0]
		if through.APIVersion != want.api || component.Name != "Universal Control Plane" || !strings.HasPrefix(component.Version, want.ucp) {
			t.Errorf("%s: API %s, %+v", version, through.APIVersion, component)
		}
		if !strings.HasPrefix(direct.Version, want.engine) {
			t.Errorf("%s: engine %s", version, direct.Version)
		}
	}
}
