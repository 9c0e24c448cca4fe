package provider

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/job"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/migration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/registry"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/replica"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/runner"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

var update = flag.Bool("update", false, "write what the tests see into testdata")

// golden compares a text with the file of that name under testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := "testdata/" + name
	if *update {
		must(os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-update writes it):\n%s", file, diff)
	}
}

func v(s string) *semver.Version { return semver.MustParse(s) }

func versions(s ...string) []*semver.Version {
	list := make([]*semver.Version, len(s))
	for i := range s {
		list[i] = v(s[i])
	}
	return list
}

// TestDiagnostics holds the whole text of every diagnostic that an error
// becomes: testdata/diagnostics.txt is how users see the provider fail.
func TestDiagnostics(t *testing.T) {
	t.Parallel()
	const image, container = "docker/dtr:2.6.15", "dtr-upgrade-dtr.example.com"
	passed := limitPassed("update", 6*time.Hour)
	outage := func(err error) error { return &wait.OutageError{For: wait.DefaultPace.Outage, Err: err} }
	refused := errors.New("dial tcp 192.0.2.1:443: connect: connection refused")
	noHost := &net.DNSError{Err: "no such host", Name: "upc.example.com", IsNotFound: true}
	expired := x509.CertificateInvalidError{Reason: x509.Expired, Detail: "current time 2020-02-03T04:05:06Z is after 2020-01-02T03:04:05Z"}
	otherName := x509.HostnameError{Certificate: &x509.Certificate{IPAddresses: []net.IP{{10, 0, 0, 1}}}, Host: "127.0.0.1"}
	database := dtr.ScanStatus{DBVersion: 1200, DBUpdatedAt: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)}
	_, downgrade := transition.PlanMixed(versions("2.7.4"), versions("2.6.8"))
	_, skip := transition.PlanMixed(versions("2.5.6"), versions("2.7.8"))
	_, badVia := transition.PlanMixed(versions("2.5.6"), versions("2.7.0", "2.8.13"))
	_, mixed := transition.PlanMixed(versions("2.5.6", "2.6.15"), versions("2.7.8"))
	second := transition.Hop{From: v("2.6.15"), To: v("2.7.8")}
	const saturdays = `"0 22 * * 6" for 4h, Europe/Berlin`
	opens := time.Date(2020, time.January, 4, 22, 0, 0, 0, time.FixedZone("CET", 3600))

	join := func(err error) error { return &replica.Error{Step: "join", Node: "worker4", Err: err} }
	removal := func(err error) error {
		return &replica.Error{Step: "remove", ReplicaID: "0123456789ab", Err: err}
	}

	var b bytes.Buffer
	write := func(name string, diags diag.Diagnostics) { writeDiagnostics(&b, name, diags) }
	for _, c := range []struct {
		name string
		err  error
	}{
		{"downgrade", downgrade},
		{"skipped minor", skip},
		{"skipped minor in via", badVia},
		{"mixed cluster", mixed},
		{"preflight", &preflight.FailedError{Findings: preflight.Findings{
			{Check: preflight.ReplicaHealth, Severity: preflight.Error, Summary: "Replica 0123456789ab is not healthy", Seen: "Seen.", Todo: "To do."},
			{Check: preflight.ReplicaCount, Severity: preflight.Warning, Summary: "not shown again", Seen: "Seen.", Todo: "To do."},
			{Check: preflight.ReplicaHealth, Severity: preflight.Error, Attribute: "existing_replica_id", Summary: "No replica to run the upgrade from", Seen: "Seen.", Todo: "To do."},
		}}},
		{"interrupted while the bootstrapper runs", &wait.DetachedError{Step: "upgrade", Container: container, Cause: context.Canceled}},
		{"bootstrapper's node down", &runner.NodeDownError{Container: "dtr-phase2", Node: "worker2"}},
		{"bootstrapper on another engine", &wait.OutageError{For: 10 * time.Minute, Err: &runner.ElsewhereError{Container: container + "-elsewhere", Purpose: "replica 1a2b3c4d5e6f joins on node worker4"}}},
		{"name taken by nothing", &runner.BlockedError{Container: container, Err: errors.New("the container name is already in use")}},
		{"container that is not removed", &runner.BlockedError{Container: container, Status: "exited", Err: errors.New("removal is already in progress")}},
		{"container that stays in removal", &runner.BlockedError{Container: container, Status: "removing"}},
		{"time-out in an outage while the bootstrapper runs", &wait.DetachedError{Step: "upgrade", Container: container, Cause: passed, LastError: &endpoint.UnreachableError{
			Service: "UCP", Method: "GET", URL: "https://ucp.example.com/containers/json", Attempts: 4, Err: errors.New("connection refused"),
		}}},
		{"time-out while the bootstrapper runs", &wait.DetachedError{Step: "upgrade", Container: container, Cause: passed}},
		{"time-out while the migration runs", &wait.DetachedError{Step: "migration", Job: "f7d4f3c2", Cause: passed}},
		{"interrupted between steps", &wait.DetachedError{Step: "images", Cause: context.Canceled}},
		{"interrupted in the wait for the window", &wait.DetachedError{Step: "window", Opens: opens, Cause: context.Canceled}},
		{"time-out in the wait for the window", &wait.DetachedError{Step: "window", Opens: opens, Cause: passed}},
		{"window closed", &upgrade.ClosedWindowError{Hop: second, Window: saturdays, Opens: opens}},
		{"window opens too late", &upgrade.ClosedWindowError{Hop: second, Window: saturdays, Opens: opens, TooLate: true}},
		{"engine gone while the bootstrapper runs", &wait.DetachedError{Step: "upgrade", Container: container, Cause: outage(&endpoint.UnreachableError{
			Service: "UCP", Method: "GET", URL: "https://ucp.example.com/containers/json", Attempts: 6, Err: refused,
		})}},
		{"bootstrapper with a known failure", &runner.BootstrapperError{
			Image: image, Container: container, ExitCode: 1, Fatal: "Failed to execute phase2: Phase 2 returned non-zero status: 1",
			Failure: &bootstrap.Failure{Message: "failed to wait for rethink to be healthy", Cause: "The database was not ready in 600 seconds.", Remedy: "Restart the DTR nodes one at a time."},
			Log:     []string{"Establishing connection with Rethinkdb", "Upgrade has failed. Try running it again."},
		}},
		{"bootstrapper with an unknown failure", &runner.BootstrapperError{Image: image, Container: container, ExitCode: 1, Log: []string{"no space left on device"}}},
		{"bootstrapper without a log", &runner.BootstrapperError{Image: image, Container: container, ExitCode: 137}},
		{"bootstrapper removed", &runner.BootstrapperError{Image: image, Container: container, Missing: true}},
		{"one replica not verified", &cluster.VerifyError{Target: v("2.6.15"), After: 30 * time.Second, Problems: []cluster.Problem{
			{ReplicaID: "0123456789ab", Container: "dtr-nginx-0123456789ab", Text: "runs 2.5.6"},
			{ReplicaID: "0123456789ab", Container: "dtr-api-0123456789ab", Text: "is missing"},
		}}},
		{"not verified", &cluster.VerifyError{Target: v("2.6.15"), After: 12 * time.Minute, Problems: []cluster.Problem{
			{ReplicaID: "0123456789ab", Container: "dtr-nginx-0123456789ab", Text: "runs 2.5.6"},
			{ReplicaID: "0123456789ab", Text: "reports: Rethink replica is currently in state: disconnected"},
			{Text: "DTR's address does not answer well: 503"},
		}}},
		{"migration failed", &migration.Error{
			Action: "metadatastoremigration", Job: dtr.Job{ID: "f7d4f3c2", Status: "errored"}, Attempts: 4, URL: "https://dtr.example.com",
			Log: []string{"migrating blob links", "out of disk space"},
		}},
		{"migration never started", &migration.Error{Action: "metadatastoremigration", URL: "https://dtr.example.com"}},
		{"migration could not be started again", &migration.Error{
			Action: "metadatastoremigration", Job: dtr.Job{ID: "f7d4f3c2", Status: "errored"}, Attempts: 3, URL: "https://dtr.example.com",
			Cause: &dtr.APIError{StatusCode: 500, Code: "INTERNAL_ERROR", Method: "POST", Path: "/api/v0/jobs"},
		}},
		{"migration with an unknown status", &migration.Error{
			Action: "metadatastoremigration", Job: dtr.Job{ID: "f7d4f3c2", Status: "levitating"}, Attempts: 1, URL: "https://dtr.example.com",
			Cause: &dtr.UnknownStatusError{Word: "levitating"},
		}},
		{"wrong digest", &images.DigestError{Location: images.Location{Image: image, Node: "worker1"}, Want: "sha256:00", Got: []string{"sha256:11"}}},
		{"interrupted while the backup is taken", &wait.DetachedError{Step: upgrade.StepBackup, Cause: context.Canceled}},
		{"interrupted while another backup is waited for", &wait.DetachedError{
			Step: upgrade.StepBackup, Cause: context.Canceled, Seen: []string{"container dtr-upgrade-dtr.example.com is running (a backup is written to /backups/dtr.tar)"},
		}},
		{"interrupted while a backup keeps the upgrade waiting", &wait.DetachedError{
			Step: "upgrade", Cause: context.Canceled, Seen: []string{"container dtr-upgrade-dtr.example.com is running (a backup is written to /backups/dtr.tar)"},
		}},
		{"backup file exists", &upgrade.BackupError{File: "/backups/dtr.tar", Exists: true}},
		{"backup failed", &upgrade.BackupError{File: "/backups/dtr.tar", Bootstrapper: &runner.BootstrapperError{
			Image: "docker/dtr:2.5.6", Container: "dtr-upgrade-dtr.example.com", ExitCode: 1, Fatal: "cannot read the tables",
			Log: []string{"Connecting to UCP", "cannot read the tables"},
		}, Cause: errors.New("it is not a whole tar archive: unexpected EOF")}},
		{"backup not whole", &upgrade.BackupError{File: "/backups/dtr.tar", Cause: errors.New("it is not a whole tar archive: its end is missing")}},
		{"backup refused by its store", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Err: &endpoint.StatusError{
			StatusCode: 403, Code: "SignatureDoesNotMatch", Message: "The request signature does not match.",
		}}},
		{"backup refused without a word", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Err: &endpoint.StatusError{StatusCode: 507}}},
		{"backup sent elsewhere", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Err: &endpoint.RedirectError{
			From: "https://backups.s3.example.com", To: "https://backups.s3.eu-west-1.example.com",
		}}},
		{"backup not taken", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Err: &endpoint.UnreachableError{
			Service: "the store", Method: "PUT", URL: "https://backups.s3.example.com", Attempts: 6, Err: errors.New("connection refused"),
		}}},
		{"backup sent, and another is there", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Err: &endpoint.ResponseError{
			Service: "the store", Method: "PUT", StatusCode: 200, Err: errors.New("it names the checksum of another file than was sent"),
		}}},
		{"backup changed before it was sent", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Err: endpoint.ErrChanged}},
		{"backup without an upgrade is gone before it was sent", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Alone: true, Err: &fs.PathError{
			Op: "open", Path: "/backups/dtr.tar", Err: fs.ErrNotExist,
		}}},
		{"backup's store is not trusted", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Err: &endpoint.CertificateError{
			Service: "the store", Host: "backups.s3.example.com", Err: errors.New("x509: certificate signed by unknown authority"),
		}}},
		{"certificate of the backup's store has expired", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Err: &endpoint.CertificateError{
			Service: "the store", Host: "backups.s3.example.com", Err: expired,
		}}},
		{"backup without an upgrade failed", &upgrade.BackupError{File: "/backups/dtr.tar", Alone: true, Cause: errors.New("the upgrade to 2.6.15 is not finished: container dtr-upgrade-dtr.example.com")}},
		{"backup without an upgrade refused by its store", &upgrade.UploadError{File: "/backups/dtr.tar", Host: "backups.s3.example.com", Alone: true, Err: &endpoint.StatusError{StatusCode: 507}}},
		{"interrupted in a backup without an upgrade", &wait.DetachedError{Step: upgrade.StepBackupAlone, Cause: context.Canceled}},
		{"interrupted in the upload of a backup without an upgrade", &wait.DetachedError{Step: upgrade.StepUploadAlone, Cause: context.Canceled}},
		{"interrupted while another backup keeps one without an upgrade waiting", &wait.DetachedError{
			Step: upgrade.StepBackupAlone, Cause: context.Canceled, Seen: []string{"container dtr-upgrade-dtr.example.com is running (a backup is written to /backups/dtr.tar)"},
		}},
		{"interrupted while the backup is uploaded", &wait.DetachedError{Step: upgrade.StepUpload, Cause: context.Canceled}},
		{"archive not loaded", &images.BringError{Version: "2.6.15", Archive: "dtr_images_2.6.15.tar.gz", Failed: []images.Failure{
			{Location: images.Location{Image: "docker/dtr-api:2.6.15", Node: "worker2"}, Cause: errors.New("no space left on device")},
			{Location: images.Location{Image: "docker/dtr-nginx:2.6.15", Node: "worker2"}, Cause: errors.New("no space left on device")},
		}}},
		{"archive loaded in vain", &images.BringError{Version: "2.6.15", Archive: "dtr_images_2.6.15.tar.gz", Failed: []images.Failure{
			{Location: images.Location{Image: "docker/dtr-nginx:2.6.15", Node: "worker2"}},
		}}},
		{"image not pulled", &images.BringError{Version: "2.6.15", Failed: []images.Failure{
			{Location: images.Location{Image: "docker/dtr-nginx:2.6.15", Node: "worker2"}, Cause: errors.New("manifest unknown")},
			{Location: images.Location{Image: "docker/dtr:2.6.15"}},
		}}},
		{"image of a cache not pulled", &images.BringError{Failed: []images.Failure{
			{Location: images.Location{Image: "docker/dtr-content-cache:2.6.15", Node: "worker2"}, Cause: errors.New("manifest unknown")},
		}}},
		{"foreign container", &runner.ForeignContainerError{Container: container, Image: "docker/dtr:2.7.8", Status: "running"}},
		{"cluster moved before a hop", &upgrade.ClusterChangedError{Hop: transition.Hop{From: v("2.5.6"), To: v("2.6.8")}, Versions: []*semver.Version{v("2.6.15")}}},
		{"another bootstrapper before a hop", &upgrade.ClusterChangedError{Hop: transition.Hop{From: v("2.5.6"), To: v("2.6.8")}, Bootstrapper: "worker1/eager_turing"}},
		{"no replicas", &cluster.NoReplicasError{Listed: 3}},
		{"not connected", &notConnectedError{[]string{"url", "ucp.password"}}},
		{"not DTR", &dtr.NotDTRError{URL: "https://dtr.example.com", Reason: "its docs.json is not there"}},
		{"lost job", &dtr.LostJobError{Action: "metadatastoremigration", Err: refused}},
		{"DTR: wrong password", &dtr.APIError{StatusCode: 401, Code: dtr.CodeNotAuthenticated, Method: "GET", Path: "/api/v0/meta/settings"}},
		{"DTR: no administrator", &dtr.APIError{StatusCode: 403, Code: dtr.CodeNotAuthorized, Method: "GET", Path: "/api/v0/meta/settings"}},
		{"DTR: internal error", &dtr.APIError{StatusCode: 500, Code: "INTERNAL_ERROR", Method: "GET", Path: "/api/v0/meta/settings"}},
		{"UCP: wrong password", &ucp.APIError{Service: "UCP", StatusCode: 401, Method: "POST", Path: "/auth/login"}},
		{"UCP: no session lasts", &ucp.SessionError{Sessions: 148, Took: 10 * time.Minute, Err: &ucp.APIError{Service: "UCP", StatusCode: 401, Method: "GET", Path: "/nodes", Message: "unauthorized"}}},
		{"UCP: a request is refused", &ucp.APIError{Service: "UCP", StatusCode: 401, Method: "GET", Path: "/api/ucp/config-toml", Message: "unauthorized"}},
		{"UCP: no administrator", &ucp.APIError{Service: "UCP", StatusCode: 403, Method: "GET", Path: "/api/ucp/config-toml"}},
		{"UCP: addresses swapped", &ucp.APIError{Service: "UCP", URL: "https://dtr.example.com", StatusCode: 404, Method: "POST", Path: "/auth/login", Message: "no such page"}},
		{"UCP: refused by a proxy", &ucp.APIError{Service: "UCP", StatusCode: 403, Method: "GET", Path: "/_ping"}},
		{"UCP: login wanted by a proxy", &ucp.APIError{Service: "UCP", StatusCode: 401, Method: "GET", Path: "/ca"}},
		{"DTR: refused by a proxy", &dtr.APIError{StatusCode: 403, Method: "GET", Path: "/api/v0/meta/settings"}},
		{"DTR: login of something else", &dtr.APIError{StatusCode: 401, Method: "GET", Path: "/api/v0/meta/settings"}},
		{"UCP: bad gateway", &ucp.APIError{Service: "UCP", StatusCode: 502, Method: "GET", Path: "/ca"}},
		{"engine: no access", &ucp.APIError{Service: "the Docker Engine at tcp://node1.example.com:2376", StatusCode: 403, Method: "GET", Path: "/_ping"}},
		{"interrupted while a job runs", &wait.DetachedError{Step: job.Step, Name: "onlinegc", Job: "f7d4f3c2", URL: "https://dtr.example.com", Cause: context.Canceled}},
		{"time-out before a job is known", &wait.DetachedError{Step: job.Step, Name: "update_vuln_db", URL: "https://dtr.example.com", Cause: passed}},
		{"job failed", &job.Error{
			Action: "onlinegc", Job: dtr.Job{ID: "f7d4f3c2", Status: "errored"}, Attempts: 1, URL: "https://dtr.example.com", Log: []string{"out of disk space"},
		}},
		{"job with an unknown status", &job.Error{
			Action: "onlinegc", Job: dtr.Job{ID: "f7d4f3c2", Status: "levitating"}, Attempts: 1, URL: "https://dtr.example.com", Cause: &dtr.UnknownStatusError{Word: "levitating"},
		}},
		{"job gone", &job.Error{
			Action: "onlinegc", Job: dtr.Job{ID: "f7d4f3c2", Status: "running"}, Attempts: 1, URL: "https://dtr.example.com", Cause: errors.New("DTR does not list it any more"),
		}},
		{"no such job", &dtr.APIError{StatusCode: 404, Code: dtr.CodeNoSuchJob, Method: "GET", Path: "/api/v0/jobs/f7d4f3c2"}},
		{"scanning not enabled", &dtr.APIError{StatusCode: 400, Code: dtr.CodeScanningNotEnabled, Method: "GET", Path: "/api/v0/imagescan/status"}},
		{"database failed", &job.DatabaseError{
			Job: dtr.Job{ID: "f7d4f3c2", Status: "errored"}, Before: database, After: dtr.ScanStatus{LastDBUpdateFailed: true}, URL: "https://dtr.example.com",
			Log: []string{"checksum mismatch"},
		}},
		{"database failed without a job", &job.DatabaseError{After: dtr.ScanStatus{LastDBUpdateFailed: true}, URL: "https://dtr.example.com"}},
		{"database is busy", &job.DatabaseError{Before: dtr.ScanStatus{Busy: true}, URL: "https://dtr.example.com", Cause: job.ErrBusy}},
		{"database with an unknown status", &job.DatabaseError{
			Job: dtr.Job{ID: "f7d4f3c2", Status: "levitating"}, Before: database, URL: "https://dtr.example.com", Cause: &dtr.UnknownStatusError{Word: "levitating"},
		}},
		{"database without a worker", &job.DatabaseError{
			Job: dtr.Job{ID: "f7d4f3c2", Status: "worker_dead"}, Before: database, URL: "https://dtr.example.com", Cause: errors.New("its worker is gone"),
		}},
		{"scanner not ready", &job.DatabaseError{Before: database, URL: "https://dtr.example.com", Cause: &dtr.APIError{
			StatusCode: 400, Code: dtr.CodeScanningNotReady, Method: "PUT", Path: "/api/v0/imagescan/scan/update",
		}}},
		{"database file", &dtr.FileError{Err: errors.New("open db.tar: no such file or directory")}},
		{"no tags", &registry.Error{Repository: "registry.example.com/mirror/dtr", StatusCode: 404}},
		{"certificate", &endpoint.CertificateError{Service: "UCP", Host: "ucp.example.com", Roots: "the system's root certificates", Err: errors.New("x509: certificate signed by unknown authority")}},
		{"certificate, expired", &endpoint.CertificateError{Service: "DTR", Host: "dtr.example.com", Roots: "the given CA certificates", Err: expired}},
		{"certificate, other name", &endpoint.CertificateError{Service: "the Docker Engine at node1", Host: "127.0.0.1:2376", Roots: "the given CA certificates", Err: otherName}},
		{"redirect to another page", &endpoint.RedirectError{From: "https://ucp.example.com/auth/login", To: "https://ucp.example.com/login/"}},
		{"redirect", &endpoint.RedirectError{From: "https://dtr.example.com/api/v0/meta/settings", To: "https://login.example.com/"}},
		{"unreachable", &endpoint.UnreachableError{Service: "DTR", Method: "GET", URL: "https://dtr.example.com/api/v0/meta/settings", Attempts: 6, Err: refused}},
		{"outage", outage(&endpoint.UnreachableError{Service: "DTR", Method: "GET", URL: "https://dtr.example.com/api/v0/meta/settings", Attempts: 6, Err: refused})},
		{"outage, certificate", outage(&endpoint.CertificateError{Service: "UCP", Host: "ucp.example.com", Roots: "the system's root certificates", Err: errors.New("x509: certificate signed by unknown authority")})},
		{"outage, no UCP", outage(&ucp.APIError{Service: "UCP", URL: "https://ucp.example.com", Method: "POST", Path: "/auth/login", StatusCode: 404})},
		{"no such host", &endpoint.UnreachableError{Service: "UCP", Method: "POST", URL: "https://upc.example.com/auth/login", Attempts: 6, Err: noHost}},
		{"connection lost", &endpoint.UnreachableError{
			Service: "UCP", Method: "GET", Attempts: 6, Err: errors.New("EOF"),
			URL: "https://ucp.example.com/v1.37/containers/" + strings.Repeat("0123456789abcdef", 4) + "/json?of=" + strings.Repeat("fedcba9876543210", 4),
		}},
		{"engine out of reach", &endpoint.UnreachableError{Service: "the Docker Engine at tcp://node1.example.com:2376", Method: "GET", URL: "http://node1.example.com:2376/_ping", Attempts: 1, Err: refused}},
		{"engine talks nonsense", &endpoint.ResponseError{Service: "the Docker Engine at tcp://node1.example.com:2376", Method: "GET", Path: "/_ping", StatusCode: 200, Err: errors.New("it is not JSON")}},
		{"digest stays whole", fmt.Errorf("sha256:%s is not there", strings.Repeat("0123456789abcdef", 4))},
		{"no sense", &endpoint.ResponseError{Service: "DTR", Method: "GET", Path: "/api/v0/meta/settings", StatusCode: 200, Err: errors.New("it is not JSON")}},
		{"interrupted look", fmt.Errorf("GET https://dtr.example.com/api/v0/meta/settings: %w", context.Canceled)},
		{"join: a replica that is not undone", join(&replica.KeptReplicaError{
			ReplicaID: "0123456789ab", Node: "worker4", Health: "OK",
			Problems: []cluster.Problem{{ReplicaID: "0123456789ab", Container: "dtr-nginx-0123456789ab", Text: "is missing"}},
		})},
		{"join: containers that are left", join(&replica.LeftContainersError{
			ReplicaID: "0123456789ab", Node: "worker4", Containers: []string{"dtr-nginx-0123456789ab", "dtr-rethinkdb-0123456789ab"},
			Err: &runner.BootstrapperError{Image: "docker/dtr:2.6.8", Container: container, ExitCode: 1, Fatal: "no such replica"},
		})},
		{"join: interrupted", join(&wait.DetachedError{Step: "join", Container: container, Cause: context.Canceled})},
		{"join: interrupted while another one runs", join(&wait.DetachedError{
			Step: "join", Seen: []string{"container " + container + " runs (replica 0123456789ab is removed)"}, Cause: context.Canceled,
		})},
		{"join: interrupted before its turn", join(&wait.DetachedError{Step: "join", Cause: context.Canceled})},
		{"join: not whole", join(&cluster.VerifyError{Target: v("2.6.15"), After: 30 * time.Second, Problems: []cluster.Problem{
			{ReplicaID: "0123456789ab", Text: "is not listed by DTR"},
		}})},
		{"join: bootstrapper failed", join(&runner.BootstrapperError{Image: image, Container: container, ExitCode: 1, Log: []string{"no space left on device"}})},
		{"join: upgrade runs", join(&replica.UnfinishedUpgradeError{Step: "join", Container: container, From: "2.5.6", To: "2.6.15", Running: true})},
		{"join: upgrade is not finished", join(&replica.UnfinishedUpgradeError{Step: "join", Container: container, From: "2.5.6", To: "2.6.15"})},
		{"join: gone again", join(&replica.NotFoundError{ID: "0123456789ab", Host: host, Replicas: []string{"ba9876543210"}})},
		{"join: preflight", join(&preflight.FailedError{Findings: preflight.Findings{
			{Check: preflight.Node, Severity: preflight.Error, Attribute: "node", Summary: "Node worker4 is not ready", Seen: "Seen.", Todo: "To do."},
		}})},
		{"removal: node down, forced by hand", removal(&replica.NodeDownError{
			ReplicaID: "0123456789ab", Node: "worker3", State: "down",
			Forced:       []string{"remove", "--force", "--existing-replica-id", "ba9876543210", "--replica-ids", "0123456789ab", "--ucp-url", "https://ucp.example.com", "--ucp-username", "admin"},
			Bootstrapper: &runner.BootstrapperError{Image: "docker/dtr:2.6.15", Container: container, ExitCode: 1, Log: []string{"the last line"}},
		})},
		{"removal: node down, not to be forced", removal(&replica.NodeDownError{
			ReplicaID: "0123456789ab", Node: "worker3", State: "down",
			Bootstrapper: &runner.BootstrapperError{Image: "docker/dtr:2.5.6", Container: container, ExitCode: 1},
		})},
		{"removal: node gone, not to be forced", removal(&replica.NodeDownError{
			ReplicaID: "0123456789ab", Node: "worker3",
			Bootstrapper: &runner.BootstrapperError{Image: "docker/dtr:2.5.6", Container: container, ExitCode: 1},
		})},
		{"removal: interrupted", removal(&wait.DetachedError{Step: "remove", Container: container, Cause: context.Canceled})},
		{"removal: not whole", removal(&cluster.VerifyError{Target: v("2.6.15"), After: 30 * time.Second, Problems: []cluster.Problem{
			{ReplicaID: "0123456789ab", Text: "is still listed by DTR"},
		}})},
		{"join: another cluster", join(&cluster.OtherClusterError{Want: host, Got: "registry.example.com"})},
		{"removal: another cluster", removal(&cluster.OtherClusterError{Want: host, Got: "registry.example.com"})},
		{"anything else", errors.New("pull image docker/dtr:2.6.15: manifest unknown")},
		{"no error", nil},
	} {
		write(c.name, diagnose(c.err))
	}

	write("preflight of a file", diagnose(&preflight.FailedError{Findings: preflight.Findings{
		{Check: preflight.Image, Severity: preflight.Error, Attribute: `image.archives["2.6.15"]`, Summary: "The image archive of DTR 2.6.15 cannot be used", Seen: "Seen.", Todo: "To do."},
		{Check: preflight.Backup, Severity: preflight.Error, Attribute: "backup.file", Summary: "The file of the backup exists already", Seen: "Seen.", Todo: "To do."},
	}}))
	write("preflight of a transition", diagnose(&preflight.FailedError{Findings: preflight.Findings{
		{Check: preflight.Transition, Severity: preflight.Error, Err: downgrade},
	}}))
	state := upgradeModel{ID: types.StringValue(host), CurrentVersion: types.StringValue("2.6.15")}
	write("plan without a look", diag.Diagnostics{notChecked(&notConnectedError{[]string{"url"}}, false)})
	write("create without a look", diag.Diagnostics{notChecked(&endpoint.UnreachableError{
		Service: "DTR", Method: http.MethodGet, URL: "https://dtr.example.com/api/v0/meta/settings", Attempts: 1, Err: errors.New("connection refused"),
	}, true)})
	write("create", diag.Diagnostics{createPlanned("dtr.example.com", []transition.Hop{{From: v("2.5.6"), To: v("2.6.15")}, {From: v("2.6.15"), To: v("2.7.8")}})})
	begun := transition.Hop{From: v("2.5.6"), To: v("2.6.15")}
	write("unfinished, DTR answers", diagnose(&upgrade.UnfinishedError{
		Hop: begun, Done: 1, Replicas: 3, Err: &runner.BootstrapperError{Image: "docker/dtr:2.6.15", Container: "dtr-upgrade", ExitCode: 1},
	}))
	write("unfinished, nobody answers", diagnose(&upgrade.UnfinishedError{Hop: begun, Ping: errors.New("connection refused"), Err: errors.New("connection refused")}))
	write("unfinished, on an attribute", diagnose(&upgrade.UnfinishedError{
		Hop: transition.Hop{From: begun.To, To: begun.To}, Done: 3, Replicas: 3, Err: &upgrade.BackupError{File: "backup.tar", Exists: true},
	}))
	write("plan with a host that is not known", diag.Diagnostics{notChecked(&endpoint.UnreachableError{
		Service: "DTR", Method: "GET", URL: "https://drt.example.com/api/v0/meta/settings", Attempts: 6, Err: noHost,
	}, false)})
	write("plan without an answer", diag.Diagnostics{notChecked(&endpoint.UnreachableError{
		Service: "UCP", Method: "GET", URL: "https://ucp.example.com/_ping", Attempts: 6, Err: refused,
	}, false)})
	write("plan by a portal", diag.Diagnostics{notChecked(&endpoint.ResponseError{
		Service: "UCP", Method: "POST", Path: "/auth/login", StatusCode: 200, Err: errors.New("it is not JSON"),
	}, false)})
	write("cluster moved", diag.Diagnostics{clusterChangedDiagnostic("2.5.6", "2.6.15")})
	write("destroy", diag.Diagnostics{forgotten(&state)})
	write("destroy of a vulnerability database", diag.Diagnostics{databaseForgotten(host)})
	write("scanning switched off", diag.Diagnostics{scanningSwitchedOff(host)})
	write("data source of a provider that is not connected", diag.Diagnostics{notConnectedData(&notConnectedError{[]string{"url"}})})
	write("gone", diag.Diagnostics{gone(host, &dtr.NotDTRError{URL: "https://dtr.example.com", Reason: "its docs.json is not there"})})
	write("import of another cluster", diag.Diagnostics{otherCluster("registry.example.com", host)})
	write("state of another cluster", diag.Diagnostics{changedCluster(host, "registry.example.com")})
	missing := &replica.NotFoundError{ID: "0123456789ab", Host: host, Replicas: []string{"ba9876543210", "ba9876543211"}}
	write("replica leaves", diag.Diagnostics{replicaLeaves(&replicaModel{
		ID: types.StringValue("0123456789ab"), Node: types.StringValue("worker1"), Cluster: types.StringValue("dtr.example.com"),
	})})
	write("database no newer", diag.Diagnostics{databaseNotNewer(database)})
	write("replica gone", diag.Diagnostics{replicaGone(missing)})
	write("import of no replica", diag.Diagnostics{noReplicaToImport(missing)})
	write("port changed", diag.Diagnostics{fixedPort(path.Root("replica_http_port"), "0123456789ab", "80", "8080")})
	write("setting missing", diag.Diagnostics{missingSetting(path.Root("ucp").AtName("url"), "UCP_URL")})
	write("bad environment", diag.Diagnostics{badEnvironment(path.Root("url"), "DTR_URL", checkAddress("DTR")("http://dtr.example.com"))})
	for kind := preflight.SkipCheck; kind <= preflight.FollowByResource; kind++ {
		write(fmt.Sprintf("advice %d", kind), findings(preflight.Findings{
			{Check: preflight.Memory, Severity: preflight.Error, Summary: "A finding", Seen: "Seen.", Advice: []preflight.Advice{{Kind: kind, Value: "value"}}},
		}))
	}
	write("follow-ups", findings(preflight.Findings{
		{Check: preflight.ReplicaCount, Summary: "shown by the plan", Seen: "Seen.", Todo: "To do."},
		{Check: preflight.FollowUpInterruption, Summary: "The upgrade interrupted DTR for longer than expected", Seen: "Seen.", Todo: "To do."},
	}))
	golden(t, "diagnostics.txt", b.Bytes())
}

// writeDiagnostics writes diagnostics as they stand in testdata.
func writeDiagnostics(b *bytes.Buffer, name string, diags diag.Diagnostics) {
	fmt.Fprintf(b, "=== %s\n", name)
	for _, d := range diags {
		fmt.Fprintf(b, "%s: %s\n", d.Severity(), d.Summary())
		if at, ok := d.(diag.DiagnosticWithPath); ok {
			fmt.Fprintf(b, "at %s\n", at.Path())
		}
		fmt.Fprintf(b, "\n%s\n\n", d.Detail())
	}
}

// TestMayHeal holds which failures of a look are a warning at the first plan.
func TestMayHeal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"not connected":        {&notConnectedError{}, true},
		"unreachable":          {fmt.Errorf("look: %w", &endpoint.UnreachableError{Err: errors.New("refused")}), true},
		"limit passed":         {&endpoint.UnreachableError{Err: context.DeadlineExceeded}, true},
		"garbage":              {&endpoint.ResponseError{Err: errors.New("not JSON")}, true},
		"DTR starting":         {&dtr.APIError{StatusCode: 503}, true},
		"UCP starting":         {&ucp.APIError{StatusCode: 502}, true},
		"interrupted":          {&endpoint.UnreachableError{Err: context.Canceled}, false},
		"wrong password":       {&dtr.APIError{StatusCode: 401}, false},
		"wrong UCP password":   {&ucp.APIError{StatusCode: 401}, false},
		"no administrator":     {&dtr.APIError{StatusCode: 403}, false},
		"wrong CA":             {&endpoint.CertificateError{Err: errors.New("x509")}, false},
		"redirect":             {&endpoint.RedirectError{}, false},
		"something else there": {&dtr.NotDTRError{}, false},
		"no replicas":          {&cluster.NoReplicasError{}, false},
		"anything else":        {errors.New("anything"), false},
	} {
		if got := isTransient(c.err); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
