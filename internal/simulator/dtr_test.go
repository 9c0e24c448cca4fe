package simulator_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

func TestVersionOnTheWire(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"2.4.3": `^2\.4\.3$`, "2.6.0": `^2\.6\.0$`, "2.7.0": `^2\.7\.0-[0-9a-f]{8}$`, "2.9.30": `^2\.9\.30-[0-9a-f]{8}$`,
		"2.6.0-tp9": `^2\.6\.0-tp9$`,
	} {
		c := simulatortest.Start(t, simulator.Options{Version: version, Replicas: 1})
		var docs struct{ Info struct{ Version string } }
		do(t, httpClient(t, c), request{url: c.DTRURL() + "/api/v0/docs.json"}).decode(t, &docs) // without login
		if !regexp.MustCompile(want).MatchString(docs.Info.Version) {
			t.Errorf("%s: docs.json says %q, want %s", version, docs.Info.Version, want)
		}
		var admin struct{ Version string }
		newAPI(t, c).get("/api/v0/admin/version", &admin)
		if admin.Version != docs.Info.Version {
			t.Errorf("%s: admin/version says %q, docs.json %q", version, admin.Version, docs.Info.Version)
		}
	}
}

func TestDTRRefusals(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	c.AddUser("reader", "reader-password")
	h := httpClient(t, c)
	admin := func(method, path, contentType, body string) request {
		return request{
			method: method, url: c.DTRURL() + path, body: body, contentType: contentType,
			user: c.Username(), password: c.Password(),
		}
	}
	wrong := admin(http.MethodGet, "/api/v0/meta/settings", "", "")
	wrong.password = "wrong"
	reader := admin(http.MethodGet, "/api/v0/meta/settings", "", "")
	reader.user, reader.password = "reader", "reader-password"
	for name, tc := range map[string]struct {
		request request
		status  int
		code    string
	}{
		"no login":             {request{url: c.DTRURL() + "/api/v0/jobs"}, 401, "NOT_AUTHENTICATED"},
		"wrong password":       {wrong, 401, "NOT_AUTHENTICATED"},
		"not an administrator": {reader, 403, "NOT_AUTHORIZED"},
		"form instead of JSON": {admin("POST", "/api/v0/jobs", "application/x-www-form-urlencoded", "action=gc"), 415, "UNSUPPORTED_MEDIA_TYPE"},
		"not JSON":             {admin("POST", "/api/v0/jobs", "", "{"), 400, "INVALID_JSON"},
		"unknown action":       {admin("POST", "/api/v0/jobs", "", `{"action":"nonsense"}`), 400, "INVALID_PARAMETERS"},
		"unknown job":          {admin("GET", "/api/v0/jobs/x", "", ""), 404, "NO_SUCH_JOB"},
		"unknown cache":        {admin("GET", "/api/v0/content_caches/x", "", ""), 404, "NO_SUCH_CONTENT_CACHE"},
		"unknown token":        {admin("DELETE", "/api/v0/api_tokens/x", "", ""), 404, "NO_SUCH_API_TOKEN"},
		"unknown path":         {admin("GET", "/api/v0/nonsense", "", ""), 404, "NOT_FOUND"},
		"wrong method":         {admin("PATCH", "/api/v0/jobs", "", ""), 405, "NOT_ALLOWED"},
	} {
		got := do(t, h, tc.request)
		if got.status != tc.status || got.code(t) != tc.code {
			t.Errorf("%s: %d %s, want %d %s", name, got.status, got.body, tc.status, tc.code)
		}
	}
}

func TestHealthPathByVersion(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]int{"2.2.11": 200, "2.3.0": 404, "2.8.0": 404, "2.9.0": 200} {
		c := simulatortest.Start(t, simulator.Options{Version: version, Replicas: 1})
		h := httpClient(t, c)
		if got := do(t, h, request{url: c.DTRURL() + "/health"}); got.status != want {
			t.Errorf("%s: /health answers %d, want %d", version, got.status, want)
		}
		if got := do(t, h, request{url: c.DTRURL() + "/_ping"}); got.status != http.StatusOK {
			t.Errorf("%s: /_ping answers %d", version, got.status)
		}
	}
}

func TestAccessTokenInThePlaceOfThePassword(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	a := newAPI(t, c)
	var token struct{ Token, HashedToken string }
	a.post("/api/v0/api_tokens?username="+c.Username(), `{"tokenLabel":"ci"}`).decode(t, &token)
	r := a.request(http.MethodGet, "/api/v0/jobs", "")
	r.password = token.Token
	if got := do(t, a.h, r); got.status != http.StatusOK {
		t.Fatalf("with the token: %d", got.status)
	}
	do(t, a.h, a.request(http.MethodDelete, "/api/v0/api_tokens/"+token.HashedToken, ""))
	if got := do(t, a.h, r); got.status != http.StatusUnauthorized {
		t.Errorf("with the deleted token: %d", got.status)
	}
}

func TestSetPassword(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	a := newAPI(t, c)
	c.SetPassword("another")
	if got := a.get("/api/v0/jobs", nil); got.status != http.StatusUnauthorized {
		t.Errorf("with the old password: %d", got.status)
	}
	r := a.request(http.MethodGet, "/api/v0/jobs", "")
	r.password = "another"
	if got := do(t, a.h, r); got.status != http.StatusOK {
		t.Errorf("with the new password: %d", got.status)
	}
}

func TestJobsArePagedNewestFirst(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	a := newAPI(t, c)
	var posted []string
	for range 23 {
		var j simulator.Job
		a.post("/api/v0/jobs", `{"action":"false"}`).decode(t, &j)
		if j.RetryFromID != j.ID || j.WorkerID != "" || j.Status != "waiting" {
			t.Fatalf("a fresh job: %+v", j)
		}
		posted = append([]string{j.ID}, posted...)
	}
	page := func(query string) []string {
		t.Helper()
		var list struct{ Jobs []simulator.Job }
		a.get("/api/v0/jobs"+query, &list)
		ids := []string{}
		for _, j := range list.Jobs {
			ids = append(ids, j.ID)
		}
		return ids
	}
	for query, want := range map[string][]string{
		"":                                 posted[:10],
		"?start=20":                        posted[20:],
		"?start=30":                        {},
		"?start=5&limit=3":                 posted[5:8],
		"?limit=100":                       posted,
		"?action=gc":                       {},
		"?action=false&worker=any&limit=1": posted[:1],
		"?worker=nobody":                   {},
	} {
		if diff := cmp.Diff(want, page(query)); diff != "" {
			t.Errorf("jobs%s: %s", query, diff)
		}
	}
	eventually(t, "no job runs", func() bool { return len(page("?running=true")) == 0 && len(page("?running=false&limit=100")) == 23 })
}

func TestJobLogKeysByVersion(t *testing.T) {
	t.Parallel()
	for version, keys := range map[string][2]string{"2.4.3": {"Data", "LineNum"}, "2.5.6": {"data", "lineNum"}} {
		c := simulatortest.Start(t, simulator.Options{Version: version, Replicas: 1})
		a := newAPI(t, c)
		var j simulator.Job
		a.post("/api/v0/jobs", `{"action":"false"}`).decode(t, &j)
		eventually(t, "the job has failed", func() bool { return c.Jobs()[0].Status == "errored" })
		var all, some []map[string]any
		a.get("/api/v0/jobs/"+j.ID+"/logs", &all)
		a.get("/api/v0/jobs/"+j.ID+"/logs?offset=1&limit=1", &some)
		if len(all) < 2 || all[0][keys[0]] == "" || all[0][keys[1]] != 0.0 {
			t.Errorf("%s: %v", version, all)
		}
		if len(some) != 1 || some[0][keys[1]] != 1.0 {
			t.Errorf("%s: second line: %v", version, some)
		}
	}
}

func TestJobCanBeCanceledAndDeleted(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Speed: 1})
	a := newAPI(t, c)
	var j simulator.Job
	a.post("/api/v0/jobs", `{"action":"sleep"}`).decode(t, &j)
	if got := a.post("/api/v0/jobs/"+j.ID+"/cancel", ""); got.status != http.StatusNoContent {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if got := c.Jobs()[0].Status; got != "canceled" {
		t.Errorf("status %s", got)
	}
	if got := do(t, a.h, a.request(http.MethodDelete, "/api/v0/jobs/"+j.ID, "")); got.status != http.StatusNoContent || len(c.Jobs()) != 0 {
		t.Errorf("%d, %d jobs left", got.status, len(c.Jobs()))
	}
}

func TestContentCaches(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	a := newAPI(t, c)
	if got := a.get("/api/v0/content_caches", nil); string(got.body) != "[]\n" {
		t.Errorf("at first: %s", got.body)
	}
	var cache struct{ ID, Name, Host string }
	a.post("/api/v0/content_caches", `{"name":"far","host":"https://cache.example.com"}`).decode(t, &cache)
	var again struct{ ID, Name, Host string }
	a.get("/api/v0/content_caches/"+cache.ID, &again)
	if diff := cmp.Diff(cache, again); diff != "" {
		t.Error(diff)
	}
	if got := a.post("/api/v0/content_caches", `{"name":"far"}`); got.status != http.StatusBadRequest {
		t.Errorf("without a host: %d", got.status)
	}
	for range 2 { // the second time there is none
		if got := do(t, a.h, a.request(http.MethodDelete, "/api/v0/content_caches/"+cache.ID, "")); got.status != http.StatusNoContent {
			t.Errorf("delete: %d", got.status)
		}
	}
}

func TestSettingsNameTheReplicasAndTheirNodes(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Host: "dtr.example.com"})
	var settings struct {
		DTRHost         string
		ReplicaSettings map[string]struct{ Node string }
	}
	newAPI(t, c).get("/api/v0/meta/settings", &settings)
	got := map[string]string{}
	for id, r := range settings.ReplicaSettings {
		got[id] = r.Node
	}
	ids := c.ReplicaIDs()
	want := map[string]string{ids[0]: "worker1", ids[1]: "worker2", ids[2]: "worker3"}
	if diff := cmp.Diff(want, got); diff != "" || settings.DTRHost != "dtr.example.com" {
		t.Errorf("host %q, replicas %s", settings.DTRHost, diff)
	}
}

func TestOldFeaturesAndSettings(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.4.3", Replicas: 1})
	var features, settings map[string]json.RawMessage
	newAPI(t, c).get("/api/v0/meta/features", &features)
	newAPI(t, c).get("/api/v0/meta/settings", &settings)
	if features["metadataStoreOptedIn"] != nil || settings["gcMode"] == nil {
		t.Errorf("features %v, gcMode %s", features, settings["gcMode"])
	}
}

func TestEveryReplicaAnswersInTurn(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	c.SetReplicaVersion(c.ReplicaIDs()[1], "2.6.8")
	a := newAPI(t, c)
	got := map[string]int{}
	for range 6 {
		var docs struct{ Info struct{ Version string } }
		a.get("/api/v0/docs.json", &docs)
		got[docs.Info.Version]++
	}
	if diff := cmp.Diff(map[string]int{"2.5.6": 4, "2.6.8": 2}, got); diff != "" {
		t.Error(diff)
	}
}
