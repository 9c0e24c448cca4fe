package ucp_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// backup creates a container that writes a backup, and keeps no log.
func backup(t *testing.T, sim *simulator.Cluster, e *ucp.Engine) (id string) {
	t.Helper()
	spec := upgrade(sim)
	spec.Args[0], spec.LogDriver = "backup", "none"
	sim.AddImage(image)
	id, err := e.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// engines are the two ways to a container.
func engines(t *testing.T, sim *simulator.Cluster) map[string]*ucp.Engine {
	t.Helper()
	direct, err := ucp.NewEngine(t.Context(), ucp.DockerConfig{Host: sim.DockerHost(), Retry: quick})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*ucp.Engine{"through UCP": engine(t, sim), "directly": direct}
}

func TestAttach(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.30", "1.37", "1.39", "1.40", "1.41"} {
		sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6", APIVersion: version})
		for access, e := range engines(t, sim) {
			t.Run(version+", "+access, func(t *testing.T) {
				ctx, id := t.Context(), backup(t, sim, e)
				sim.ExpireTokens() // a refused connection has no class of its own
				a, err := e.Attach(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				defer a.Close()
				if err := e.Start(ctx, id); err != nil {
					t.Fatal(err)
				}
				var stdout, stderr bytes.Buffer
				if err := a.Copy(ctx, &stdout, &stderr); err != nil {
					t.Fatal(err)
				}
				first, err := tar.NewReader(&stdout).Next()
				if err != nil || !strings.HasPrefix(first.Name, "dtr-backup-v2.6.14") || !strings.Contains(stderr.String(), "level=info") {
					t.Errorf("%+v, error %v, log %s", first, err, &stderr)
				}
				if status := exitStatus(t, e, id); status != 0 {
					t.Errorf("status %d", status)
				}
				if err := e.Discard(ctx, id); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestAttachToNothing(t *testing.T) {
	t.Parallel()
	sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
	for access, e := range engines(t, sim) {
		if _, err := e.Attach(t.Context(), "nonsense"); !cerrdefs.IsNotFound(err) {
			t.Errorf("%s: error %v", access, err)
		}
	}
}

// A reader that is not read, and one whose context ends, do not hold the
// container up for ever; and a writer's error ends the reading.
func TestAttachmentIsLeft(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for name, want := range map[string]error{"cancelled": context.Canceled, "writer fails": full} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := simulatortest.Start(t, simulator.Options{Version: "2.5.6"})
			e := engine(t, sim)
			id := backup(t, sim, e)
			release := sim.Hold(simulator.BackupHalfway)
			defer release()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			a, err := e.Attach(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			if err := e.Start(ctx, id); err != nil {
				t.Fatal(err)
			}
			to := io.Discard
			if errors.Is(want, full) {
				to = failing{full}
			} else {
				go func() {
					<-sim.Reached(simulator.BackupHalfway)
					cancel()
				}()
			}
			if err := a.Copy(ctx, to, io.Discard); !errors.Is(err, want) {
				t.Errorf("error %v", err)
			}
			<-sim.Reached(simulator.BackupHalfway)
			if s, err := e.Container(t.Context(), id); err != nil || s.Status != "running" {
				t.Errorf("%+v, error %v: the container must go on", s, err)
			}
			if err := e.Discard(t.Context(), id); err != nil {
				t.Error(err)
			}
			if _, err := e.Container(t.Context(), id); !cerrdefs.IsNotFound(err) {
				t.Errorf("error %v", err)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
