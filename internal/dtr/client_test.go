package dtr

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

const notDTR = "not DTR"

func TestVersion(t *testing.T) {
	tests := map[string]struct {
		status   int
		body     string
		insecure bool
		want     string // version, notDTR, or empty for any other error
	}{
		"release":               {200, `{"info":{"title":"Docker Trusted Registry","version":"2.6.0"}}`, false, "2.6.0"},
		"with a commit":         {200, `{"info":{"title":"Docker Trusted Registry","version":"2.7.0-29094adc"},"paths":{"/api/v0/jobs":{}}}`, false, "2.7.0-29094adc"},
		"renamed":               {200, `{"info":{"title":"Mirantis Secure Registry","version":"2.9.1"}}`, false, "2.9.1"},
		"renamed once more":     {200, `{"info":{"title":"Brand New Name","version":"2.10.0"},"paths":{"/api/v0/jobs":{}}}`, false, "2.10.0"},
		"no title":              {200, `{"info":{"version":"2.5.6"}}`, false, "2.5.6"},
		"page not found":        {404, `<html>not found</html>`, false, notDTR},
		"nothing at all":        {404, ``, false, notDTR},
		"another's 404":         {404, `{"message":"page not found"}`, false, notDTR},
		"another's docs":        {200, `{"info":{"title":"Pet store","version":"1.0.0"},"paths":{"/pets":{}}}`, false, notDTR},
		"docs without version":  {200, `{"info":{"title":"Docker Trusted Registry"}}`, false, notDTR},
		"other JSON":            {200, `{"status":"ok"}`, false, notDTR},
		"a list":                {200, `[1]`, false, notDTR},
		"null":                  {200, `null`, false, notDTR},
		"DTR's own 404":         {404, `{"errors":[{"code":"NOT_FOUND","message":"Not Found"}]}`, false, ""},
		"not JSON":              {200, `<html>Welcome to nginx!</html>`, false, ""},
		"unauthorized":          {401, ``, false, ""},
		"forbidden":             {403, `<html>`, false, ""},
		"internal error":        {500, ``, false, ""},
		"bad gateway":           {502, `<html>502 Bad Gateway</html>`, false, ""},
		"unavailable":           {503, `{"status":"starting"}`, false, ""},
		"unverified 404":        {404, `<html>`, true, ""},
		"unverified other JSON": {200, `{"status":"ok"}`, true, ""},
		"unverified DTR":        {200, `{"info":{"version":"2.5.6"}}`, true, "2.5.6"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "" {
					t.Error("the password was sent where none is asked for")
				}
				answer(w, tt.status, tt.body)
			})
			c := s.client(t, func(c *Config) {
				if tt.insecure {
					c.CACert, c.InsecureSkipVerify = "", true
				}
			})
			got, err := c.Version(t.Context())
			var no *NotDTRError
			switch isNot := errors.As(err, &no); {
			case isNot != (tt.want == notDTR):
				t.Errorf("error %v", err)
			case isNot:
				if no.URL != s.URL {
					t.Errorf("error %v", err)
				}
			case got != tt.want || (err == nil) != (tt.want != ""):
				t.Errorf("version %q, error %v", got, err)
			}
			if a := s.asked(); a[0] != "GET /api/v0/docs.json" || err == nil && len(a) != 1 {
				t.Errorf("asked %q", a)
			}
		})
	}
	t.Run("refused connection", func(t *testing.T) {
		s := serve(t, lose)
		c := s.client(t)
		s.Close()
		_, err := c.Version(t.Context())
		if _, ok := errors.AsType[*endpoint.UnreachableError](err); !ok {
			t.Errorf("error %v", err)
		}
	})
}

func TestPing(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		want   Ping
		ok     bool
	}{
		"healthy":             {200, `{"Error":"","Healthy":true}`, Ping{Healthy: true}, true},
		"unhealthy":           {503, `{"Error":"no database","Healthy":false}`, Ping{Error: "no database"}, true},
		"unhealthy, with 200": {200, `{"Error":"no database","Healthy":false}`, Ping{Error: "no database"}, true},
		"says only OK":        {200, `{}`, Ping{Healthy: true}, true},
		"load balancer":       {503, `<html>`, Ping{}, false},
		"other JSON":          {503, `{}`, Ping{}, false},
		"bad gateway":         {502, `{"Healthy":false}`, Ping{}, false},
		"garbage":             {200, `?`, Ping{}, false},
		"not there":           {404, ``, Ping{}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if !r.Close || r.Header.Get("Authorization") != "" {
					t.Errorf("close %t, header %v", r.Close, r.Header)
				}
				answer(w, tt.status, tt.body)
			})
			got, err := s.client(t).Ping(t.Context(), DefaultPingPath)
			if got != tt.want && tt.ok || (err == nil) != tt.ok {
				t.Errorf("%+v, error %v", got, err)
			}
			if a := s.asked(); len(a) != 1 || a[0] != "GET /_ping" {
				t.Errorf("asked %q, want one attempt", a)
			}
		})
	}
	t.Run("lost", func(t *testing.T) {
		s := serve(t, lose)
		if _, err := s.client(t).Ping(t.Context(), HealthPath); err == nil {
			t.Error("no error")
		}
		if a := s.asked(); len(a) != 1 || a[0] != "GET /health" {
			t.Errorf("asked %q, want one attempt", a)
		}
	})
}

func TestReads(t *testing.T) {
	at := time.Date(2018, 11, 8, 12, 0, 0, 5e8, time.UTC)
	tests := map[string]struct {
		path, body string
		read       func(*Client) (any, error)
		want       any
	}{
		"settings of 2.5": {
			"/api/v0/meta/settings",
			`{"dtrHost":"dtr.example.com","replicaID":"0123456789ab","scanningEnabled":true,"scanningSyncOnline":true,
			  "replicaSettings":{"0123456789ab":{"HTTPPort":80,"HTTPSPort":443,"node":"worker1"}},"sso":true,"jobHistoryToKeep":0}`,
			func(c *Client) (any, error) { return c.Settings(t.Context()) },
			Settings{
				DTRHost:  "dtr.example.com",
				Replicas: map[string]ReplicaSettings{"0123456789ab": {HTTPPort: 80, HTTPSPort: 443, Node: "worker1"}},
			},
		},
		"settings of 2.7": {
			"/api/v0/meta/settings", `{"dtrHost":"dtr.example.com","disableUpgrades":true,"readOnlyRegistry":true,"replicaSettings":null}`,
			func(c *Client) (any, error) { return c.Settings(t.Context()) },
			Settings{DTRHost: "dtr.example.com"},
		},
		"features": {
			"/api/v0/meta/features", `{"db_version":1200,"metadataStoreOptedIn":true,"onlineGCEnabled":true,"scanningEnabled":true,"scanningLicensed":true,"ucpHost":"ucp.example.com"}`,
			func(c *Client) (any, error) { return c.Features(t.Context()) },
			Features{OnlineGCEnabled: true},
		},
		"features of 2.4": {
			"/api/v0/meta/features", `{"scanningEnabled":false}`,
			func(c *Client) (any, error) { return c.Features(t.Context()) },
			Features{},
		},
		"cluster status": {
			"/api/v0/meta/cluster_status",
			`{"replica_health":{"a":"OK","b":"Rethink replica is currently in state: disconnected"},
			  "replica_timestamp":{"a":"2018-11-08T12:00:00.5Z","b":"2018-11-08 12:00:00.5 +0000 UTC m=+12.3","c":"yesterday","d":5},
			  "replica_readonly":{"a":false},"gc_lock_holder":"a","rethink_system_tables":{"stats":[]}}`,
			func(c *Client) (any, error) { return c.ClusterStatus(t.Context()) },
			ClusterStatus{
				Health:       map[string]string{"a": HealthOK, "b": "Rethink replica is currently in state: disconnected"},
				Timestamp:    map[string]time.Time{"a": at, "b": at},
				GCLockHolder: "a", Date: at.Truncate(time.Second),
			},
		},
		"scanner": {
			"/api/v0/imagescan/status", `{"state":0,"db_version":7,"db_updated_at":"2018-11-08T12:00:00.5Z","lastDBUpdateFailed":true,"scanner_version":3,"scannerUpdatedAt":null}`,
			func(c *Client) (any, error) { return c.Database().Status(t.Context()) },
			ScanStatus{DBVersion: 7, DBUpdatedAt: at, LastDBUpdateFailed: true},
		},
		"caches": {
			"/api/v0/content_caches", `[{"id":"1","name":"site-b","host":"https://cache.example.com"}]`,
			func(c *Client) (any, error) { return c.Caches().List(t.Context()) },
			[]ContentCache{{ID: "1", Name: "site-b", Host: "https://cache.example.com"}},
		},
		"job": {
			"/api/v0/jobs/a%2Fb",
			`{"id":"a/b","retryFromID":"a/b","workerID":"0123456789ab","status":"running","scheduledAt":"2018-11-08T12:00:00.5Z","lastUpdated":"",
			  "action":"onlinegc","retriesLeft":1,"retriesTotal":2,"capacityMap":{"scan":2,"gc":"many"},"parameters":{"dry":"yes","keep":3},"deadline":"1h","stopTimeout":""}`,
			func(c *Client) (any, error) { return c.Job(t.Context(), "a/b") },
			Job{
				ID: "a/b", RetryFromID: "a/b", WorkerID: "0123456789ab", Status: "running", ScheduledAt: at,
				Action: "onlinegc", RetriesLeft: 1, RetriesTotal: 2, Deadline: "1h",
				CapacityMap: map[string]int{"scan": 2}, Parameters: map[string]string{"dry": "yes", "keep": "3"},
			},
		},
		"log": {
			"/api/v0/jobs/1/logs", `[{"data":"three","lineNum":3},{"data":"one","lineNum":1},{"data":"two","lineNum":2}]`,
			func(c *Client) (any, error) { return c.JobLogs(t.Context(), "1", 0) },
			[]string{"one", "two", "three"},
		},
		"log of 2.4": {
			"/api/v0/jobs/1/logs", `[{"Data":"one","LineNum":1},{"Data":"two","LineNum":2}]`,
			func(c *Client) (any, error) { return c.JobLogs(t.Context(), "1", 5) },
			[]string{"one", "two"},
		},
		"end of a log": {
			"/api/v0/jobs/1/logs", `[{"data":"one","lineNum":1},{"data":"two","lineNum":2}]`,
			func(c *Client) (any, error) { return c.JobLogs(t.Context(), "1", 1) },
			[]string{"two"},
		},
		"no log": {
			"/api/v0/jobs/1/logs", `null`,
			func(c *Client) (any, error) { return c.JobLogs(t.Context(), "1", 1) },
			[]string{},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if u, p, _ := r.BasicAuth(); u != "admin" || p != "pa55word" {
					t.Error("no login")
				}
				w.Header().Set("Date", at.Format(http.TimeFormat))
				answer(w, 200, tt.body)
			})
			got, err := tt.read(s.client(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if a := s.asked(); len(a) != 1 || a[0] != "GET "+tt.path {
				t.Errorf("asked %q", a)
			}
		})
	}
}

func TestAPIError(t *testing.T) {
	tests := map[string]struct {
		status                  int
		body                    string
		code, text              string
		unauthorized, forbidden bool
	}{
		"not authenticated": {
			401, `{"errors":[{"code":"NOT_AUTHENTICATED","message":"The client is not authenticated."}]}`, CodeNotAuthenticated,
			"DTR answered GET /api/v0/meta/settings with status 401, NOT_AUTHENTICATED: The client is not authenticated.", true, false,
		},
		"not authorized": {
			403, `{"errors":[{"code":"NOT_AUTHORIZED","message":""}]}`, CodeNotAuthorized,
			"DTR answered GET /api/v0/meta/settings with status 403, NOT_AUTHORIZED", false, true,
		},
		"somebody else's": {401, `<html>`, "", "DTR answered GET /api/v0/meta/settings with status 401 Unauthorized", true, false},
		"echoes the password": {
			400, `{"errors":[{"code":"X","message":"admin:pa55word is wrong"}]}`, "X",
			"DTR answered GET /api/v0/meta/settings with status 400, X: admin:*** is wrong", false, false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, always(tt.status, tt.body))
			_, err := s.client(t).Settings(t.Context())
			var api *APIError
			if !errors.As(err, &api) {
				t.Fatalf("error %v", err)
			}
			if api.Code != tt.code || api.StatusCode != tt.status || api.Error() != tt.text || api.Unauthorized() != tt.unauthorized || api.Forbidden() != tt.forbidden {
				t.Errorf("error %#v: %s", api, api)
			}
			if n := len(s.asked()); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	t.Run("long", func(t *testing.T) {
		s := serve(t, always(400, map[string]any{"errors": []any{map[string]string{"code": "X", "message": strings.Repeat("é", 1000)}}}))
		if _, err := s.client(t).Settings(t.Context()); len(err.Error()) > 600 {
			t.Errorf("%d bytes", len(err.Error()))
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]Config{
		"no URL":             {},
		"password in URL":    {URL: "https://admin:pa55word@dtr.example.com"},
		"not a certificate":  {URL: "dtr.example.com", CACert: "-----BEGIN-----"},
		"http":               {URL: "http://dtr.example.com"},
		"certificate's path": {URL: "dtr.example.com", CACert: "ca.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(c); err == nil || strings.Contains(err.Error(), "pa55word") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestPhase(t *testing.T) {
	// The vendor's API description, then the page on the job queue.
	words := strings.FieldsSeq("waiting running done canceled errored" +
		" waiting running done error cancel_request cancel deleted worker_dead worker_shutdown worker_resurrection")
	for w := range words {
		if p, err := JobStatus(w).Phase(); err != nil || p == PhaseUnknown {
			t.Errorf("%s: %v, %v", w, p, err)
		}
	}
	for _, w := range []JobStatus{"", "Running", "succeeded", "done "} {
		_, err := w.Phase()
		var unknown *UnknownStatusError
		if !errors.As(err, &unknown) || unknown.Word != string(w) {
			t.Errorf("%q: error %v", w, err)
		}
	}
}
