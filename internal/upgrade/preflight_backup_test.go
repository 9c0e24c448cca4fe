package upgrade

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/backup"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// someSum stands for the SHA-256 sum of a backup.
var someSum = strings.Repeat("0a", 32)

func TestWhichFileABackupContainerWrote(t *testing.T) {
	t.Parallel()
	labels := func(from, to, file string) map[string]string {
		return map[string]string{cluster.LabelCommand: cluster.CommandBackup, cluster.LabelFrom: from, cluster.LabelTo: to, cluster.LabelBackup: file}
	}
	today := backup.FileState{Exists: true, Modified: time.Now().Add(-time.Hour)}
	old := backup.FileState{Exists: true, Modified: time.Now().Add(-48 * time.Hour)}
	for name, tt := range map[string]struct {
		file   backup.FileState
		labels map[string]string
		now    string
		want   bool
	}{
		"before the first hop":      {today, labels("2.5.6", "2.7.8", "/b.tar"), "2.5.6", true},
		"too long before it":        {old, labels("2.5.6", "2.7.8", "/b.tar"), "2.5.6", false},
		"between two hops":          {old, labels("2.5.6", "2.7.8", "/b.tar"), "2.6.15", true},
		"another file":              {today, labels("2.5.6", "2.7.8", "/c.tar"), "2.5.6", false},
		"no file":                   {backup.FileState{}, labels("2.5.6", "2.7.8", "/b.tar"), "2.5.6", false},
		"an upgrade that is over":   {today, labels("2.5.6", "2.7.8", "/b.tar"), "2.7.8", false},
		"a backup of a later state": {today, labels("2.6.15", "2.7.8", "/b.tar"), "2.5.6", false},
		"no container":              {today, nil, "2.5.6", false},
		"labels that say nothing":   {today, labels("", "", "/b.tar"), "2.5.6", false},
	} {
		named := cluster.BackupRecordName(clustertest.Host, someSum)
		if got := recordOf(named, tt.labels, clustertest.Host).wrote(tt.file, "/b.tar", clustertest.Version(tt.now)); got != tt.want {
			t.Errorf("%s: got %t", name, got)
		}
		unfinished := recordOf(cluster.ContainerName(clustertest.Host), tt.labels, clustertest.Host)
		if unfinished.wrote(tt.file, "/b.tar", clustertest.Version(tt.now)) {
			t.Errorf("%s: a container that has written no backup yet counts", name)
		}
	}
}

// TestPreflightOfABackup holds the findings on what is asked for in the way of a
// backup.
func TestPreflightOfABackup(t *testing.T) {
	t.Parallel()
	fresh := backup.FileState{Exists: true, Modified: time.Now()}
	wrote := ucp.Container{Name: "worker1/" + cluster.BackupRecordName(clustertest.Host, someSum), State: "exited", Labels: map[string]string{
		cluster.LabelCluster: clustertest.Host, cluster.LabelFrom: "2.5.6", cluster.LabelTo: "2.7.8", cluster.LabelBackup: backup.Absolute("b.tar"),
	}}
	stored := wrote
	stored.Name = "worker1/" + cluster.BackupUploadedName(clustertest.Host, someSum)
	elsewhere := &Backup{File: "c.tar", Upload: true} // as on another machine
	for name, tt := range map[string]struct {
		replicas     []string
		options      Options
		backup       *Backup
		file         backup.FileState
		bootstrapper []ucp.Container
		applying     bool
		hcp          bool
		want         map[preflight.Severity]int
	}{
		"none, minor":                        {replicas: []string{"2.5.6"}, options: options("2.6.15"), want: map[preflight.Severity]int{preflight.Warning: 1}},
		"none, major":                        {replicas: []string{"2.9.30"}, options: options("3.0.0"), want: map[preflight.Severity]int{preflight.Warning: 1}},
		"none, patch":                        {replicas: []string{"2.5.6"}, options: options("2.5.17")},
		"none, patch and minor":              {replicas: []string{"2.5.6"}, options: options("2.6.15", "2.5.17"), want: map[preflight.Severity]int{preflight.Warning: 1}},
		"none, under way":                    {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.6.15")},
		"none, under way and on":             {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.7.8", "2.6.15"), want: map[preflight.Severity]int{preflight.Warning: 1}},
		"free":                               {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}},
		"not known":                          {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{}, file: fresh},
		"taken":                              {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, file: fresh, want: map[preflight.Severity]int{preflight.Error: 1}},
		"taken, under way":                   {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, file: fresh},
		"taken, under way and on":            {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.7.8", "2.6.15"), backup: &Backup{File: "b.tar"}, file: fresh, want: map[preflight.Severity]int{preflight.Warning: 1}},
		"ours":                               {replicas: []string{"2.5.6"}, options: options("2.7.8", "2.6.15"), backup: &Backup{File: "b.tar"}, file: fresh, bootstrapper: []ucp.Container{wrote}},
		"ours, between hops":                 {replicas: []string{"2.6.15"}, options: options("2.7.8", "2.6.15"), backup: &Backup{File: "b.tar"}, file: fresh, bootstrapper: []ucp.Container{wrote}},
		"another file is ours":               {replicas: []string{"2.5.6"}, options: options("2.7.8", "2.6.15"), backup: &Backup{File: "c.tar"}, file: fresh, bootstrapper: []ucp.Container{wrote}, want: map[preflight.Severity]int{preflight.Error: 1}},
		"gone, under way":                    {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, want: map[preflight.Severity]int{preflight.Warning: 1}},
		"no directory, plan":                 {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, file: backup.FileState{Problem: fs.ErrNotExist}, want: map[preflight.Severity]int{preflight.Warning: 1}},
		"no directory, apply":                {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, file: backup.FileState{Problem: fs.ErrNotExist}, applying: true, want: map[preflight.Severity]int{preflight.Error: 1}},
		"bootstrapper made and not started":  {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, file: fresh, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "created")}, want: map[preflight.Severity]int{preflight.Error: 1}},
		"bootstrapper ended":                 {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, file: fresh, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")}, want: map[preflight.Severity]int{preflight.Error: 1}},
		"bootstrapper ended, no file":        {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")}, want: map[preflight.Severity]int{preflight.Error: 1}},
		"bootstrapper of another hop ended":  {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.8", "exited")}, want: map[preflight.Severity]int{preflight.Error: 1}},
		"bootstrapper ended, ours":           {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, file: fresh, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited"), wrote}},
		"bootstrapper ended, ours is away":   {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited"), wrote}, want: map[preflight.Severity]int{preflight.Warning: 1}},
		"bootstrapper ended, none wanted":    {replicas: []string{"2.5.6"}, options: options("2.6.15"), bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited")}},
		"bootstrapper at work, no file":      {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "running")}, want: map[preflight.Severity]int{preflight.Error: 1}},
		"bootstrapper at work, ours is away": {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "running"), wrote}, want: map[preflight.Severity]int{preflight.Warning: 1}},
		"its second phase at work, no file":  {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited"), {Name: "worker1/" + cluster.Phase2Name, State: "running"}}, want: map[preflight.Severity]int{preflight.Error: 1}},
		"its second phase, ours is away":     {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, bootstrapper: []ucp.Container{clustertest.UpgradeContainer("2.5.6", "2.6.15", "exited"), {Name: "worker1/" + cluster.Phase2Name, State: "running"}, wrote}, want: map[preflight.Severity]int{preflight.Warning: 1}},
		"uploaded, under way":                {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.6.15"), backup: elsewhere, bootstrapper: []ucp.Container{stored}},
		"not uploaded, under way":            {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.6.15"), backup: &Backup{File: "b.tar", Upload: true}, file: fresh, bootstrapper: []ucp.Container{wrote}, want: map[preflight.Severity]int{preflight.Warning: 1}},
		"refused":                            {replicas: []string{"2.5.6"}, options: options("2.8.13"), backup: &Backup{File: "b.tar"}},
		"refused, downgrade":                 {replicas: []string{"2.5.6"}, options: options("2.4.1"), backup: &Backup{File: "b.tar"}},
		"refused, under way":                 {replicas: []string{"2.5.6", "2.6.15"}, options: options("2.6.14"), backup: &Backup{File: "b.tar"}},
		"on HCP Terraform":                   {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, hcp: true, want: map[preflight.Severity]int{preflight.Warning: 1}},
		"on HCP Terraform, apply":            {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: &Backup{File: "b.tar"}, hcp: true, applying: true},
		"on HCP Terraform, to be uploaded":   {replicas: []string{"2.5.6"}, options: options("2.6.15"), backup: elsewhere, hcp: true},
	} {
		obs := observation(tt.replicas...)
		obs.Backup, obs.Bootstrappers = tt.file, tt.bootstrapper
		tt.options.Backup, tt.options.HCPTerraform = tt.backup, tt.hcp
		_, findings := runChecks(obs, tt.options, stage{applying: tt.applying})
		got := map[preflight.Severity]int{}
		for _, f := range findings {
			if f.Check == preflight.Backup {
				got[f.Severity]++
			}
		}
		if got[preflight.Error] != tt.want[preflight.Error] || got[preflight.Warning] != tt.want[preflight.Warning] {
			t.Errorf("%s: %d errors and %d warnings, want %v, of %+v", name, got[preflight.Error], got[preflight.Warning], tt.want, findings)
		}
	}
}

// A backup of ours is no upgrade, and one of somebody else's is a bootstrapper at
// work like any other.
func TestPreflightOfARunningBackup(t *testing.T) {
	t.Parallel()
	ours := ucp.Container{Name: "worker1/" + cluster.ContainerName(clustertest.Host), Image: "docker/dtr:2.5.6", State: "running", Labels: map[string]string{cluster.LabelCluster: clustertest.Host, cluster.LabelCommand: cluster.CommandBackup, cluster.LabelBackup: "b.tar"}}
	phase2 := ucp.Container{Name: "worker1/" + cluster.Phase2Name, Image: "docker/dtr:2.5.6", State: "running"}
	foreign := ucp.Container{Name: "worker1/eager_turing", Image: "docker/dtr:2.5.6", State: "running"}
	for name, tt := range map[string]struct {
		running []ucp.Container
		errors  int
	}{
		"ours":                       {[]ucp.Container{ours}, 0},
		"ours with its second phase": {[]ucp.Container{ours, phase2}, 0},
		"somebody else's":            {[]ucp.Container{foreign}, 1},
		"both":                       {[]ucp.Container{ours, foreign}, 1},
	} {
		obs := observation("2.5.6")
		obs.Bootstrappers = tt.running
		_, findings := check(obs, options("2.6.15"))
		if errs := findings.Errors(); len(errs) != tt.errors || tt.errors > 0 && errs[0].Check != preflight.ForeignUpgrade {
			t.Errorf("%s: %+v", name, errs)
		}
	}
}
