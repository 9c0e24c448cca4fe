package faults

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/backup"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// model sees what happens in the cluster, by the cluster's own account, and holds it
// against what must be true in any case.
type model struct {
	scene *scene
	want  want
	begin []string // replicas

	mu       sync.Mutex
	problems []string
	tokens   []string
	known    map[string]bool   // containers of bootstrappers that were seen to start
	last     map[string]string // of ours for an upgrade: the container that was started last, by its version
	failed   map[string]string // of ours: those that ended with a failure, and their commands
	newest   string            // of ours: the container that was started last
	foreign  int               // bootstrappers that others have started
	excused  int               // runs of the bootstrapper that went wrong and claim success, and may be made again
	ill      bool              // a replica says that it is not well
	kept     string            // the backup as it was when the first bootstrapper started
}

func (m *model) broken(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.problems = append(m.problems, fmt.Sprintf(format, args...))
}

func watch(s *scene, w want) *model {
	m := &model{scene: s, want: w, begin: s.sim.ReplicaIDs(), known: map[string]bool{}, last: map[string]string{}, failed: map[string]string{}}
	s.sim.At(simulator.BootstrapperStarted, m.started)
	s.sim.At(simulator.BackupStarted, m.backupStarted)
	s.sim.Inject(simulator.Fault{Matches: func(r *http.Request) bool { m.request(r); return false }})
	return m
}

// request looks at a request of the provider before it is carried out.
func (m *model) request(r *http.Request) {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		m.mu.Lock()
		if !slices.Contains(m.tokens, token) {
			m.tokens = append(m.tokens, token)
		}
		m.mu.Unlock()
	}
	if matches("/containers/*/start", r.URL.Path) {
		m.starting(path.Base(path.Dir(r.URL.Path)))
	}
	if r.Method != http.MethodGet {
		m.lookForFailed()
	}
	if m.secretIn(r.URL.String()) {
		m.broken("a secret is in the address of a request: %s %s", r.Method, r.URL.Path)
	}
	if r.Method == http.MethodPost && matches("/api/v0/jobs", r.URL.Path) || r.Method == http.MethodPut && matches("/api/v0/imagescan/scan/update*", r.URL.Path) {
		for _, j := range m.scene.sim.Jobs() {
			if j.Status == "waiting" || j.Status == "running" {
				m.broken("a job was posted while %s %s is %s", j.Action, j.ID, j.Status)
			}
		}
	}
}

// starting looks at what is at work when one of our bootstrappers is about to start.
func (m *model) starting(id string) {
	ours, foreign, backups := m.atWork()
	for _, c := range m.scene.sim.Containers() {
		if c.ID != id || !strings.HasPrefix(c.Name, "dtr-upgrade-") || c.Running() {
			continue
		}
		if len(ours)+len(foreign)+len(backups) > 0 {
			m.broken("a bootstrapper is started beside %v", namesOf(ours, foreign, backups))
		}
		m.mu.Lock()
		m.newest = id
		m.mu.Unlock()
	}
}

// lookForFailed notes which of our bootstrappers have ended with a failure, before they
// are removed. "If anything fails" it may be run again, the specification says, and it
// must be even where every container runs the target: after the last one it still has to
// register DTR with UCP, for instance, and nothing shows whether it did. What another
// bootstrapper has done meanwhile shows that no better.
func (m *model) lookForFailed() {
	for _, c := range m.scene.sim.Containers() {
		if strings.HasPrefix(c.Name, "dtr-upgrade-") && c.State == "exited" && c.ExitCode != 0 {
			m.mu.Lock()
			m.failed[c.ID] = c.Args[0]
			m.mu.Unlock()
		}
	}
}

// failures are how many of our bootstrappers have ended with a failure, by command.
func (m *model) failures() map[string]int {
	m.lookForFailed()
	m.mu.Lock()
	defer m.mu.Unlock()
	count := map[string]int{}
	for _, command := range m.failed {
		count[command]++
	}
	return count
}

// leavesPhase2 reports whether the container of an ended second phase may be there: that of
// a bootstrapper that failed stays until the next one.
func (m *model) leavesPhase2() bool {
	m.lookForFailed()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed[m.newest] != ""
}

func namesOf(lists ...[]simulator.Container) (names []string) {
	for _, c := range slices.Concat(lists...) {
		names = append(names, c.Name)
	}
	return names
}

// secretIn reports whether the text has the password, or the token of a session.
func (m *model) secretIn(text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(append(slices.Clone(m.tokens), m.scene.sim.Password()), func(secret string) bool { return strings.Contains(text, secret) })
}

// atWork are the containers of bootstrappers that run: ours, those of others, and
// those of backups.
func (m *model) atWork() (ours, foreign, backups []simulator.Container) {
	for _, c := range m.scene.sim.Containers() {
		switch {
		case !c.Running():
		case strings.HasPrefix(c.Name, "dtr-") && slices.Contains(c.Args, "backup"):
			backups = append(backups, c)
		case strings.HasPrefix(c.Name, "dtr-upgrade-"), c.Name == cluster.Phase2Name:
			ours = append(ours, c)
		case strings.HasPrefix(c.Name, "foreign_"):
			foreign = append(foreign, c)
		}
	}
	return ours, foreign, backups
}

// started looks at what is at work when a bootstrapper starts.
func (m *model) started() {
	ours, foreign, backups := m.atWork()
	m.mu.Lock()
	var begun *simulator.Container
	for _, c := range ours {
		if !m.known[c.ID] && c.Name != cluster.Phase2Name {
			m.known[c.ID], begun = true, &c
		}
	}
	for _, c := range foreign {
		if !m.known[c.ID] {
			m.known[c.ID] = true
			m.foreign++
		}
	}
	m.mu.Unlock()
	if begun == nil { // what others start is not the provider's doing
		return
	}
	if len(ours)+len(backups) > 1 { // those of others may have begun since
		m.broken("bootstrappers at once: %v", namesOf(ours, backups))
	}
	m.lookAtLabels(*begun)
	m.lookAtRemoval(*begun)
	if !slices.Contains(begun.Args, "upgrade") {
		return
	}
	m.mu.Lock()
	earlier := m.last[begun.Version()]
	m.last[begun.Version()] = begun.ID
	mayRepeat := m.excused > 0 || m.failed[earlier] != ""
	m.mu.Unlock()
	if everywhere(m.scene.sim, begun.Version()) && !mayRepeat {
		m.broken("a bootstrapper was started for %s, which is reached", begun.Version())
	}
	for _, parts := range m.scene.sim.Versions() {
		for part, v := range parts {
			if semver.MustParse(v).GreaterThan(semver.MustParse(begun.Version())) {
				m.broken("a bootstrapper was started for %s where %s runs %s", begun.Version(), part, v)
			}
		}
	}
	for _, j := range m.scene.sim.Jobs() {
		if j.Status == "running" {
			m.broken("a bootstrapper was started beside job %s", j.Action)
		}
	}
	if m.want.backup != "" {
		m.lookAtBackup()
	}
}

// lookAtRemoval holds that no replica is removed that is whole, unless that was asked
// for.
func (m *model) lookAtRemoval(c simulator.Container) {
	i := slices.Index(c.Args, "--replica-ids")
	if i < 0 || i+1 == len(c.Args) || m.want.removes > 0 && m.begin[m.want.removes-1] == c.Args[i+1] {
		return
	}
	id := c.Args[i+1]
	if len(m.scene.sim.Versions()[id]) == len(bootstrap.Parts) && slices.Contains(m.scene.sim.ReplicaIDs(), id) {
		m.broken("replica %s is removed, which is whole", id)
	}
}

func (m *model) backupStarted() {
	ours, foreign, backups := m.atWork()
	if len(backups) > 1 || len(ours) > 0 {
		m.broken("a backup was started beside %d others, %d bootstrappers and %d of others", len(backups)-1, len(ours), len(foreign))
	}
	for _, c := range backups {
		m.lookAtLabels(c)
	}
	if _, err := os.Stat(m.scene.file); err == nil {
		m.broken("a backup was started where there is one already")
	}
}

// lookAtLabels looks at what everybody sees who may list containers.
func (m *model) lookAtLabels(c simulator.Container) {
	if m.secretIn(fmt.Sprint(c.Name, c.Args, c.Labels)) {
		m.broken("a secret is in the name, the arguments or the labels of container %s", c.Name)
	}
}

// lookAtBackup holds that there is a whole one before the cluster is changed, and
// that it is never another one afterwards.
func (m *model) lookAtBackup() {
	content, err := os.ReadFile(m.scene.file)
	if err != nil {
		m.broken("the upgrade has begun without a backup: %v", err)
		return
	}
	named, err := backup.ReadArchive(strings.NewReader(string(content)))
	if err != nil || named == nil || named.String() != m.want.backup {
		m.broken("the backup is of %v (%v), want %s", named, err, m.want.backup)
	}
	m.mu.Lock()
	first := m.kept == ""
	same := m.kept == string(content)
	m.kept = string(content)
	m.mu.Unlock()
	if !first && !same {
		m.broken("the backup was overwritten")
	}
}

// everywhere reports whether every container runs the version.
func everywhere(sim *simulator.Cluster, version string) bool {
	for _, parts := range sim.Versions() {
		for _, v := range parts {
			if v != version {
				return false
			}
		}
	}
	return true
}

// afterRun holds what a run said against the cluster.
func (m *model) afterRun(t *testing.T, a attempt) {
	t.Helper()
	m.lookAtRun(t, a)
	if a.err == nil {
		m.lookAtSuccess(t)
	}
}

// lookAtRun holds what must be true after every run.
func (m *model) lookAtRun(t *testing.T, a attempt) {
	t.Helper()
	sim := m.scene.sim
	if a.hung {
		t.Errorf("the run did not end by itself: %v", a.err)
	}
	said := a.log
	if a.err != nil {
		said += a.err.Error()
		m.lookAtError(t, a)
	}
	if m.secretIn(said) {
		t.Errorf("a secret is in the log or the error")
	}
	m.lookAtClaim(t, a)
	m.mu.Lock()
	for _, p := range m.problems {
		t.Error(p)
	}
	m.problems = nil
	foreign, excused := m.foreign, m.excused
	m.mu.Unlock()
	failed := m.failures()
	for command, n := range m.want.runs {
		most := n + excused + failed[command]
		if command == "upgrade" {
			most += foreign
		}
		if got := sim.Runs(command); got > most {
			t.Errorf("%d runs of %s, want %d", got, command, n)
		}
	}
	ids := sim.ReplicaIDs()
	for i, id := range m.begin {
		if i+1 != m.want.removes && !slices.Contains(ids, id) {
			t.Errorf("replica %s is gone, which nobody asked to remove", id)
		}
	}
	if n := len(m.jobs("metadatastoremigration")); n > m.want.jobs+excused+foreign {
		t.Errorf("%d migration jobs, want %d", n, m.want.jobs)
	}
	m.lookAtFiles(t, a)
	m.lookAtCaches(t, a)
}

// lookAtSuccess holds what must be true once all was done that was asked for.
func (m *model) lookAtSuccess(t *testing.T) {
	t.Helper()
	sim := m.scene.sim
	ids := sim.ReplicaIDs()
	m.mu.Lock()
	foreign, ill := m.foreign, m.ill
	m.mu.Unlock()
	for command, n := range m.want.runs {
		if got := sim.Runs(command); got < n {
			t.Errorf("%d runs of %s, want %d", got, command, n)
		}
	}
	if ill {
		t.Error("success, though a replica is not well")
	}
	if len(ids) != m.want.members || len(sim.Versions()) != m.want.members {
		t.Errorf("%d replicas, containers of %d, want %d", len(ids), len(sim.Versions()), m.want.members)
	}
	if !everywhere(sim, m.want.target) {
		t.Errorf("not at %s: %v", m.want.target, sim.Versions())
	}
	for id, parts := range sim.Versions() {
		if len(parts) != len(bootstrap.Parts) {
			t.Errorf("replica %s has %d containers", id, len(parts))
		}
	}
	explained := m.leavesPhase2()
	for _, c := range sim.Containers() {
		phase2 := c.Name == cluster.Phase2Name && foreign == 0 && (c.Running() || !explained)
		if phase2 || slices.ContainsFunc([]string{"dtr-upgrade-", "dtr-backup-", "dtr-migration-"}, func(p string) bool { return strings.HasPrefix(c.Name, p) }) {
			t.Errorf("container %s (%s) is left over", c.Name, c.State)
		}
	}
	if jobs := m.jobs("metadatastoremigration"); m.want.jobs > 0 && (len(jobs) == 0 || jobs[0].Status != "done") && foreign == 0 {
		t.Errorf("success, and the migration is not done: %v", jobs)
	}
	for _, j := range sim.Jobs() {
		if j.Status == "waiting" || j.Status == "running" {
			t.Errorf("job %s is %s", j.Action, j.Status)
		}
	}
}

func (m *model) jobs(action string) []simulator.Job {
	return slices.DeleteFunc(m.scene.sim.Jobs(), func(j simulator.Job) bool { return j.Action != action })
}

// causes are what an error says of a fault that stays.
var causes = map[string]*regexp.Regexp{
	"stays-reset":    regexp.MustCompile(`reset|EOF|closed|refused`),
	"stays-time-out": regexp.MustCompile(`no answer|deadline|[Tt]imeout|took more|did not answer`),
	"stays-500":      regexp.MustCompile(`500|injected`),
	"stays-401":      regexp.MustCompile(`401|injected|credentials|refused`),
	"stays-garbage":  regexp.MustCompile(`JSON|invalid character|not usable|unexpected|looking for beginning`),
}

// lookAtError holds that an error names its cause.
func (m *model) lookAtError(t *testing.T, a attempt) {
	t.Helper()
	text := a.err.Error()
	if strings.TrimSpace(text) == "" || !a.killed && errors.Is(a.err, context.DeadlineExceeded) && text == context.DeadlineExceeded.Error() {
		t.Errorf("the error names no cause: %q", text)
	}
	if len(a.faults) != 1 || a.killed {
		return
	}
	if cause := causes[a.faults[0].kind]; cause != nil && !cause.MatchString(text) {
		t.Errorf("the error does not name its cause, %s: %q", a.faults[0].kind, text)
	}
}

// lookAtClaim holds that the state claims no more than the cluster shows.
func (m *model) lookAtClaim(t *testing.T, a attempt) {
	t.Helper()
	actual := m.scene.sim.Versions()
	for id, parts := range a.claim.versions {
		for part, v := range parts {
			if is := actual[id][part]; is != "" && semver.MustParse(v).GreaterThan(semver.MustParse(is)) {
				t.Errorf("%s of replica %s is said to run %s, and runs %s", part, id, v, is)
			}
		}
	}
	if id := a.claim.member; id != "" && (slices.Contains(m.begin, id) || !slices.Contains(m.scene.sim.ReplicaIDs(), id)) {
		t.Errorf("replica %s is said to have joined", id)
	}
}

// lookAtFiles holds that there is nothing beside a backup.
func (m *model) lookAtFiles(t *testing.T, a attempt) {
	t.Helper()
	entries := clustertest.Must[[]os.DirEntry](t)(os.ReadDir(filepath.Dir(m.scene.file)))
	for _, e := range entries {
		if e.Name() != filepath.Base(m.scene.file) && !a.killed {
			t.Errorf("file %s is left over", e.Name())
		}
	}
	m.mu.Lock()
	ours := m.scene.sim.Runs("upgrade") > m.foreign // else others have upgraded, and there was nothing to back up for
	m.mu.Unlock()
	if a.err == nil && m.want.backup != "" && ours {
		m.lookAtBackup()
	}
}

// lookAtCaches holds that there is always a cache to serve, and one that is registered
// at most once.
func (m *model) lookAtCaches(t *testing.T, a attempt) {
	t.Helper()
	if !m.want.cache {
		return
	}
	sim := m.scene.sim
	if n := len(sim.Caches()); n > 1 || a.err == nil && n == 0 {
		t.Errorf("the cache is registered %d times", n)
	}
	var there, running []string
	for _, c := range sim.Containers() {
		if !strings.Contains(c.Image, "dtr-content-cache") {
			continue
		}
		if there = append(there, c.Name); c.Running() {
			running = append(running, c.Image)
		}
	}
	if !a.killed && len(there) == 0 && len(running) == 0 {
		t.Error("the cache is gone")
	}
	if a.err != nil {
		return
	}
	if len(there) > 2 || slices.ContainsFunc(running, func(image string) bool { return image != cacheAfter }) || len(running) == 0 {
		t.Errorf("success, and the caches %v run %v", there, running)
	}
}
