package simulator_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

const updatePath = "/api/v0/imagescan/scan/update"

type scanStatus struct {
	Version int       `json:"db_version"`
	Updated time.Time `json:"db_updated_at"`
	Failed  bool      `json:"lastDBUpdateFailed"`
}

func (a api) scanner() (s scanStatus) {
	a.t.Helper()
	a.get("/api/v0/imagescan/status", &s)
	return s
}

// form is a form with a file, and its content type.
func form(t *testing.T, field, content string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	part, err := w.CreateFormFile(field, "db.tar")
	if err == nil {
		_, err = part.Write([]byte(content))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

func TestDatabaseUpdateOnline(t *testing.T) {
	t.Parallel()
	for version, action := range map[string]string{"2.4.3": "nautilus_update_db", "2.6.8": "update_vuln_db"} {
		c := simulatortest.Start(t, simulator.Options{Version: version, Replicas: 1})
		a := newAPI(t, c)
		before := a.scanner()
		if got := do(t, a.h, a.request(http.MethodPut, updatePath+"?online=true", "")); got.status != http.StatusOK {
			t.Fatalf("%d %s", got.status, got.body)
		}
		eventually(t, "the database is newer", func() bool { return a.scanner().Updated.After(before.Updated) })
		if after := a.scanner(); after.Version <= before.Version || after.Failed {
			t.Errorf("%s: before %+v, after %+v", version, before, after)
		}
		if jobs := jobsOf(c, action); len(jobs) != 1 {
			t.Errorf("%s: jobs %+v", version, c.Jobs())
		}
	}
}

func TestDatabaseUpload(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Replicas: 1})
	a := newAPI(t, c)
	const content = "database"
	put := func(query, body, contentType string) answer {
		r := a.request(http.MethodPut, updatePath+query, body)
		r.contentType = contentType
		return do(t, a.h, r)
	}
	good, goodType := form(t, "file", content)
	other, otherType := form(t, "database", content)
	for name, got := range map[string]answer{
		"another field": put("?online=false", other, otherType),
		"cut short":     put("?online=false", good[:len(good)-60], goodType),
		"no form":       put("?online=false", "", "application/json"),
	} {
		if got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := put("", "", "text/plain"); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("plain text: %d %s", got.status, got.body)
	}
	if len(c.Uploads()) > 0 || len(c.Jobs()) > 0 {
		t.Fatalf("uploads %+v, jobs %+v", c.Uploads(), c.Jobs())
	}

	before := a.scanner()
	if got := put("", good, goodType); got.status != http.StatusOK { // online is false by default
		t.Fatalf("%d %s", got.status, got.body)
	}
	sum := sha256.Sum256([]byte(content))
	want := []simulator.Upload{{Name: "db.tar", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content)), Announced: int64(len(good))}}
	if diff := cmp.Diff(want, c.Uploads()); diff != "" {
		t.Error(diff)
	}
	eventually(t, "the database is newer", func() bool { return a.scanner().Updated.After(before.Updated) })
}

func TestDatabaseFaults(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Replicas: 1})
	a := newAPI(t, c)
	put := func() answer { return do(t, a.h, a.request(http.MethodPut, updatePath+"?online=true", "")) }
	over := func(status string) func() bool {
		return func() bool { return len(c.Jobs()) > 0 && c.Jobs()[0].Status == status }
	}

	c.SetDatabase(simulator.DatabaseFaults{Disabled: true})
	for name, got := range map[string]answer{"status": a.get("/api/v0/imagescan/status", nil), "update": put()} {
		if got.status != http.StatusBadRequest || got.code(t) != "SCANNING_NOT_ENABLED" {
			t.Errorf("%s, disabled: %d %s", name, got.status, got.body)
		}
	}
	if f := a.get("/api/v0/meta/features", nil); !strings.Contains(string(f.body), `"scanningEnabled":false`) {
		t.Errorf("features %s", f.body)
	}

	c.SetDatabase(simulator.DatabaseFaults{NotReady: 1, Fail: 1})
	before := a.scanner()
	if got := put(); got.status != http.StatusBadRequest || got.code(t) != "SCANNING_DB_NOT_READY" {
		t.Errorf("not ready: %d %s", got.status, got.body)
	}
	put()
	eventually(t, "the update has failed", over("errored"))
	if after := a.scanner(); !after.Failed || !after.Updated.Equal(before.Updated) {
		t.Errorf("after a failure: %+v", after)
	}
	put()
	eventually(t, "the update is done", over("done"))
	if after := a.scanner(); after.Failed || !after.Updated.After(before.Updated) {
		t.Errorf("after a success: %+v", after)
	}

	c.SetDatabase(simulator.DatabaseFaults{Same: true})
	before = a.scanner()
	put()
	eventually(t, "the update is done", over("done"))
	if diff := cmp.Diff(before, a.scanner()); diff != "" {
		t.Errorf("nothing newer: %s", diff)
	}

	c.SetDatabase(simulator.DatabaseFaults{Busy: true})
	release := c.Hold(simulator.DatabaseUpdateStarted)
	put()
	eventually(t, "the status is refused", func() bool { return a.get("/api/v0/imagescan/status", nil).status == http.StatusForbidden })
	release()
	eventually(t, "the status is shown again", func() bool { return a.get("/api/v0/imagescan/status", nil).status == http.StatusOK })

	c.SetDatabase(simulator.DatabaseFaults{Status: "levitating"})
	put()
	eventually(t, "the job shows the word", over("levitating"))
}
