package faults

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// step is one fault at one request: the n-th of its kind, counted from 0. A fault that
// stays begins at the n-th of its service; a circumstance of the cluster is named in
// place of the method.
type step struct {
	service, method, path string
	n                     int
	kind                  string
}

func (s step) String() string {
	return fmt.Sprintf("%s %s %s %d %s", s.service, s.method, s.path, s.n, s.kind)
}

// parseStep reads what String wrote.
func parseStep(t *testing.T, text string) step {
	t.Helper()
	f := strings.Fields(text)
	if len(f) != 5 {
		t.Fatalf("%q is no fault: service, method, path, ordinal, kind", text)
	}
	n := clustertest.Must[int](t)(strconv.Atoi(f[3]))
	return step{f[0], f[1], f[2], n, f[4]}
}

const (
	killBefore   = "kill-before"
	killAfter    = "kill-after"
	cancelled    = "cancel"
	incomplete   = "incomplete"
	lost         = "lost"
	truncated    = "truncated"
	timeout      = "time-out"
	circumstance = "circumstance"
	stays        = "stays-"
)

// repeats is how often the client repeats a request, so that a fault lasts longer.
const repeats = 1

// fault is what the simulator is to do. Kill ends the run and whatever it would still
// do; cancel is what Terraform does on Ctrl-C.
func (s step) fault(kill, cancel func()) simulator.Fault {
	f := simulator.Fault{Service: s.service, Method: s.method, Path: s.path, Skip: s.n, Times: repeats + 1}
	kind, lasting := strings.CutPrefix(s.kind, stays)
	if lasting {
		f.Method, f.Path, f.Times = "", "", 0
	}
	switch kind {
	case "reset":
		f.Reset = true
	case timeout:
		f.Delay = 3 * attemptLimit
	case "500", "401", "403", "404":
		f.Status, f.Body = status(kind), `{"message":"injected"}`
	case "503":
		f.Status, f.Header = http.StatusServiceUnavailable, http.Header{"Retry-After": {"1"}}
	case "garbage":
		f.Garbage = true
	case truncated:
		f.Truncate = true
	case lost:
		f.AfterEffect, f.Times = true, 1
	case incomplete:
		f.Rewrite, f.Times = half, 1
	case killBefore:
		f.Matches, f.Reset = s.at(kill), true
	case cancelled:
		f.Matches, f.Times = s.at(cancel), 1
	case killAfter:
		f.Rewrite, f.Times = func(status int, body []byte) (int, []byte) { kill(); return status, body }, 1
	}
	return f
}

// at calls f at the step's request.
func (s step) at(f func()) func(*http.Request) bool {
	var seen atomic.Int64
	return func(*http.Request) bool {
		if seen.Add(1) == int64(s.n)+1 {
			f()
		}
		return true
	}
}

func status(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// half leaves out the second half of a list, and of a list in an object.
func half(status int, body []byte) (int, []byte) {
	var list []json.RawMessage
	if json.Unmarshal(body, &list) == nil {
		body, _ = json.Marshal(list[:len(list)/2])
		return status, body
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) == nil {
		for k, v := range object {
			if json.Unmarshal(v, &list) == nil {
				object[k], _ = json.Marshal(list[:len(list)/2])
			}
		}
		body, _ = json.Marshal(object)
	}
	return status, body
}

var (
	version = regexp.MustCompile(`^/v1\.\d+/`)
	changes = regexp.MustCompile(`^[0-9a-z]{12,}$|^[0-9a-f]{8}-[0-9a-f-]+$|dtr-(upgrade|backup|migration)`) // from one run to the next
)

const listPath = "/containers/json"

// kinds are the ways in which a request can go wrong.
func kinds(method, p string) []string {
	list := []string{"reset", timeout, "500", "503", "401", "403", "404", "garbage", cancelled}
	switch {
	case strings.HasSuffix(p, "/attach"), strings.HasSuffix(p, "/wait"):
	case strings.HasSuffix(p, "/logs"):
		list = append(list, truncated)
	case method == http.MethodGet:
		list = append(list, truncated, incomplete)
	case strings.HasPrefix(p, "/auth/"):
		list = append(list, truncated, lost)
	default:
		list = append(list, truncated, lost, killBefore, killAfter)
	}
	return list
}

// steps are all faults at the requests that were made, and what else can go wrong.
func steps(w work, requests []simulator.Request) []step {
	var all []step
	count := map[step]int{}
	for _, r := range requests {
		if r.Bootstrapper() {
			continue
		}
		p := version.ReplaceAllString(r.Path, "/")
		parts := strings.Split(p, "/")
		for i, part := range parts {
			if changes.MatchString(part) {
				parts[i] = "*"
			}
		}
		s := step{service: r.Service, method: r.Method, path: strings.Join(parts, "/")}
		n := count[s]
		count[s]++
		for _, kind := range kinds(r.Method, p) {
			all = append(all, step{s.service, s.method, s.path, n, kind})
		}
		service := step{service: r.Service, method: "*", path: "*"}
		n = count[service]
		count[service]++
		for _, kind := range []string{"reset", timeout, "500", "401", "garbage"} {
			all = append(all, step{r.Service, "*", "*", n, stays + kind})
		}
	}
	for _, name := range w.goes {
		s := step{"cluster", name, "-", 0, circumstance}
		last := 1
		if name == "foreign" {
			last = count[step{service: simulator.ServiceEngine, method: http.MethodGet, path: listPath}]
		}
		for s.n = range last {
			all = append(all, s)
		}
	}
	return all
}

// begin makes the cluster go wrong as the step says, until end is called.
func (s step) begin(sc *scene) (end func()) {
	sim, m := sc.sim, sc.model
	bootstrapper := func(f simulator.BootstrapperFaults) func() {
		if f.ClaimSuccess || f.FatalRecord != "" { // else the exit status shows that it failed
			m.mu.Lock()
			m.excused++
			m.mu.Unlock()
		}
		sim.SetBootstrapper(f)
		return func() { sim.SetBootstrapper(simulator.BootstrapperFaults{}) }
	}
	one := 1
	switch s.method {
	case "die-1":
		return bootstrapper(simulator.BootstrapperFaults{DieAtReplica: 1})
	case "die-2-claim":
		return bootstrapper(simulator.BootstrapperFaults{DieAtReplica: min(2, len(m.begin)), ClaimSuccess: true})
	case "skip-2-claim":
		return bootstrapper(simulator.BootstrapperFaults{SkipReplica: 2, ClaimSuccess: true})
	case "old-part-claim":
		return bootstrapper(simulator.BootstrapperFaults{LeaveOldPart: "nginx", ClaimSuccess: true})
	case "exit-1":
		return bootstrapper(simulator.BootstrapperFaults{ExitStatus: &one})
	case "silent-1":
		return bootstrapper(simulator.BootstrapperFaults{ExitStatus: &one, Silent: true})
	case "fatal":
		return bootstrapper(simulator.BootstrapperFaults{FatalRecord: "it went wrong"})
	case "backup-cut":
		return bootstrapper(simulator.BootstrapperFaults{BackupCut: true})
	case "backup-garbage":
		return bootstrapper(simulator.BootstrapperFaults{BackupGarbage: true})
	case "backup-version":
		return bootstrapper(simulator.BootstrapperFaults{BackupVersion: "2.5.0"})
	case "attach-cut", "attach-silent":
		return s.disturbBackup(sc)
	case "ill":
		sick := m.begin[len(m.begin)-1]
		set := func(reason string) {
			m.mu.Lock()
			m.ill = reason != ""
			m.mu.Unlock()
			sim.SetReplicaHealth(sick, reason)
		}
		ended := atomic.Bool{}
		sim.At(simulator.BootstrapperFinished, func() {
			if !ended.Load() {
				set("cannot reach the database")
			}
		})
		return func() { ended.Store(true); set("") }
	case "foreign":
		next := m.nextVersion()
		f := step{service: simulator.ServiceEngine, method: http.MethodGet, path: listPath, n: s.n}
		return sim.Inject(simulator.Fault{
			Service: f.service, Method: f.method, Path: f.path, Skip: f.n, Times: 1,
			Matches: f.at(func() { sim.StartForeignBootstrapper(next) }),
		})
	}
	panic("no such circumstance: " + s.method)
}

// nextVersion is what another administrator would upgrade to.
func (m *model) nextVersion() string {
	if slices.Contains([]string{"2.7.8", "2.6.15"}, m.want.target) {
		return "2.6.15"
	}
	return m.want.target
}

// disturbBackup breaks the first stream of a backup, or has it carry nothing any more.
func (s step) disturbBackup(sc *scene) (end func()) {
	var ended atomic.Bool
	sc.sim.At(simulator.BackupHalfway, func() {
		_, _, backups := sc.model.atWork()
		if ended.Load() || len(backups) == 0 {
			return
		}
		if s.method == "attach-cut" {
			sc.sim.CutAttached(backups[0].Name)
		} else {
			sc.sim.SilenceAttached(backups[0].Name)
		}
	})
	return func() { ended.Store(true) }
}

// attemptLimit is how long one request of a run with faults may take.
const attemptLimit = 3 * time.Second

// matches tells the path of a request from others.
func matches(pattern, p string) bool {
	ok, _ := path.Match(pattern, version.ReplaceAllString(p, "/"))
	return ok
}
