package dtr_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

const updatePath = "/api/v0/imagescan/scan/update"

// updates counts the requests that ask DTR for another vulnerability database.
func updates(c *simulator.Cluster) (queries []string) {
	for _, r := range c.Requests() {
		if r.Method == http.MethodPut && r.Path == updatePath {
			queries = append(queries, r.Query)
		}
	}
	return queries
}

// TestDatabaseUpdate holds that an update runs once whatever becomes of the answer,
// and that only a job which is surely that of the file is taken for it.
func TestDatabaseUpdate(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("vulnerability ", 1<<18) // 3.5 MiB, more than what is buffered on the way
	sum := sha256.Sum256([]byte(content))
	methods := map[string]func(*testing.T, *dtr.Client) error{
		"online=true": func(t *testing.T, c *dtr.Client) error { t.Helper(); return c.Database().Sync(t.Context()) },
		"online=false": func(t *testing.T, c *dtr.Client) error {
			t.Helper()
			return c.Database().Upload(t.Context(), "db.tar", strings.NewReader(content), int64(len(content)))
		},
	}
	for name, c := range map[string]struct {
		fault    simulator.Fault
		requests int
		lost     bool // the answer, of a request that was carried out
	}{
		"nothing wrong":         {simulator.Fault{}, 1, false},
		"answer lost":           {simulator.Fault{AfterEffect: true}, 1, true},
		"gateway gave up":       {simulator.Fault{AfterEffect: true, Status: 504}, 1, true},
		"connection reset":      {simulator.Fault{Reset: true}, 2, false},
		"nobody there to do it": {simulator.Fault{Status: 503}, 2, false},
		"garbage in its place":  {simulator.Fault{Garbage: true}, 2, false},
		"garbage for an answer": {simulator.Fault{AfterEffect: true, Garbage: true}, 1, true},
	} {
		for query, update := range methods {
			t.Run(name+", "+query, func(t *testing.T) {
				t.Parallel()
				sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15", Replicas: 1})
				if name != "nothing wrong" {
					fault := c.fault // the other query has it too
					fault.Method, fault.Path, fault.Times = http.MethodPut, updatePath, 1
					sim.Inject(fault)
				}
				err := update(t, connect(t, sim))
				if _, unsure := errors.AsType[*dtr.LostJobError](err); unsure != (c.lost && query == "online=false") || !unsure && err != nil {
					t.Fatal(err)
				}
				if n := jobsOf(sim, dtr.DatabaseActions[0]); n != 1 {
					t.Errorf("%d jobs", n)
				}
				if got := updates(sim); !slices.Equal(got, slices.Repeat([]string{query}, c.requests)) {
					t.Errorf("requests %q, want %d", got, c.requests)
				}
				if query == "online=false" {
					want := simulator.Upload{Name: "db.tar", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))}
					got := sim.Uploads()
					if len(got) == 1 {
						want.Announced = got[0].Announced
					}
					if !slices.Equal(got, []simulator.Upload{want}) || want.Announced <= want.Size {
						t.Errorf("uploads %+v, want %+v with its length announced", got, want)
					}
				}
			})
		}
	}
}

func TestDatabaseUpdateRefused(t *testing.T) {
	t.Parallel()
	for code, faults := range map[string]simulator.DatabaseFaults{
		dtr.CodeScanningNotEnabled: {Disabled: true},
		dtr.CodeScanningNotReady:   {NotReady: 2},
	} {
		sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15", Replicas: 1})
		sim.SetDatabase(faults)
		c := connect(t, sim)
		for _, err := range []error{c.Database().Sync(t.Context()), c.Database().Upload(t.Context(), "db.tar", strings.NewReader("x"), 1)} {
			var api *dtr.APIError
			if !errors.As(err, &api) || api.Code != code {
				t.Errorf("error %v, want %s", err, code)
			}
		}
		if n := len(updates(sim)); n != 2 || len(sim.Jobs()) > 0 {
			t.Errorf("%d requests, jobs %+v", n, sim.Jobs())
		}
	}
}

// torn is a file that cannot be read to its end.
type torn struct{ *strings.Reader }

var errTorn = errors.New("input/output error")

func (f torn) Read(b []byte) (int, error) {
	n, err := f.Reader.Read(b)
	if errors.Is(err, io.EOF) {
		err = errTorn
	}
	return n, err
}

func TestUploadOfAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15", Replicas: 1})
	err := connect(t, sim).Database().Upload(t.Context(), "db.tar", torn{strings.NewReader("half")}, 8)
	var file *dtr.FileError
	if !errors.As(err, &file) || !errors.Is(err, errTorn) {
		t.Errorf("error %v, want that of the file", err)
	}
	if n := len(updates(sim)); n != 1 || len(sim.Uploads()) > 0 || len(sim.Jobs()) > 0 {
		t.Errorf("%d requests, uploads %+v, jobs %+v", n, sim.Uploads(), sim.Jobs())
	}
}

// TestJobFilter holds that a filter does not depend on how much of it DTR applies.
func TestJobFilter(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.6.15"})
	c := connect(t, sim)
	yes, no := true, false
	release := sim.Hold(simulator.JobStarted)
	defer release()
	sleeper, err := c.RunJob(t.Context(), "sleep", map[string]string{"reason": "test"})
	if err != nil {
		t.Fatal(err)
	}
	<-sim.Reached(simulator.JobStarted)
	done, err := c.RunJob(t.Context(), "onlinegc", nil)
	if err != nil {
		t.Fatal(err)
	}
	for done.Status != "done" {
		if done, err = c.Job(t.Context(), done.ID); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		filter dtr.JobFilter
		want   []string
	}{
		"all":             {dtr.JobFilter{}, []string{done.ID, sleeper.ID}},
		"running":         {dtr.JobFilter{Running: &yes}, []string{sleeper.ID}},
		"not running":     {dtr.JobFilter{Running: &no}, []string{done.ID}},
		"of a worker":     {dtr.JobFilter{Worker: done.WorkerID, Action: "onlinegc"}, []string{done.ID}},
		"of another one":  {dtr.JobFilter{Worker: "0123456789ab"}, nil},
		"the newest only": {dtr.JobFilter{Limit: 1}, []string{done.ID}},
	} {
		jobs, err := c.Jobs(t.Context(), tt.filter)
		var ids []string
		for _, j := range jobs {
			ids = append(ids, j.ID)
		}
		if err != nil || !slices.Equal(ids, tt.want) {
			t.Errorf("%s: %v, want %v; error %v", name, ids, tt.want, err)
		}
	}
	if sleeper.Parameters["reason"] != "test" {
		t.Errorf("parameters %v", sleeper.Parameters)
	}
}
