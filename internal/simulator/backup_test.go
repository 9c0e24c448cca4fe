package simulator_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// attach creates a container that runs a backup, without a log, and attaches to it.
func attach(t *testing.T, c *simulator.Cluster, d *client.Client) (id string, attached client.ContainerAttachResult) {
	t.Helper()
	b := upgradeTo(c, "docker/dtr:2.6.8")
	c.AddImage(b.image)
	created, err := d.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config:     &container.Config{Image: b.image, Cmd: append([]string{"backup"}, b.args[1:]...), Env: b.env},
		HostConfig: &container.HostConfig{LogConfig: container.LogConfig{Type: "none"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	attached, err = d.ContainerAttach(t.Context(), created.ID, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(attached.Close)
	return created.ID, attached
}

// entries lists what is in an archive.
func entries(t *testing.T, archive io.Reader) []string {
	t.Helper()
	var list []string
	for r := tar.NewReader(archive); ; {
		entry, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, entry.Name)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(*testing.T, *simulator.Cluster) *client.Client{
		"through UCP": docker,
		"directly":    func(t *testing.T, c *simulator.Cluster) *client.Client { t.Helper(); return directDocker(t, c, "1.39") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
			d, ctx := connect(t, c), t.Context()
			before := c.Versions()
			id, attached := attach(t, c, d)
			if _, err := d.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			if _, err := stdcopy.StdCopy(&stdout, &stderr, attached.Reader); err != nil {
				t.Fatal(err)
			}
			if got := entries(t, &stdout); len(got) < 4 || !slices.Equal(got[:3], []string{"dtr-backup-v2.6.8/", "dtr-backup-v2.6.8/rethink/", "dtr-backup-v2.6.8/rethink/layers/"}) {
				t.Errorf("the archive holds %v", got)
			}
			if !strings.Contains(stderr.String(), `msg="Connecting to UCP"`) {
				t.Errorf("the log: %s", &stderr)
			}
			if log, err := d.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true}); err == nil {
				_ = log.Close()
				t.Error("a container without a log has one")
			}
			found, err := d.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
			if err != nil || found.Container.State.ExitCode != 0 || found.Container.State.Running {
				t.Errorf("%+v, %v", found.Container.State, err)
			}
			if diff := cmp.Diff(before, c.Versions()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAttachNeedsATokenAndAContainer(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d := docker(t, c)
	id, _ := attach(t, c, d)
	for _, wrong := range []string{"nonsense", id} {
		if wrong == id {
			c.ExpireTokens()
		}
		if _, err := d.ContainerAttach(t.Context(), wrong, client.ContainerAttachOptions{Stream: true, Stdout: true}); err == nil {
			t.Errorf("attached to %s", wrong)
		}
	}
}

// A container that is read slowly waits, and one that is killed or whose readers
// are cut off ends the stream of those that are attached.
func TestAttachedStreamEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *simulator.Cluster, id string){
		"killed":       func(c *simulator.Cluster, id string) { c.KillContainer(id) },
		"cut":          func(c *simulator.Cluster, id string) { c.CutAttached(id) },
		"node is lost": func(c *simulator.Cluster, _ string) { c.StopEngine("worker1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := simulatortest.Start(t, simulator.Options{Version: "2.6.8", Replicas: 1})
			release := c.Hold(simulator.BackupHalfway)
			d := directDocker(t, c, "1.39")
			id, attached := attach(t, c, d)
			if _, err := d.ContainerStart(t.Context(), id, client.ContainerStartOptions{}); err != nil {
				t.Fatal(err)
			}
			read := make(chan int)
			go func() {
				var stdout bytes.Buffer
				_, _ = stdcopy.StdCopy(&stdout, io.Discard, attached.Reader)
				read <- stdout.Len()
			}()
			<-c.Reached(simulator.BackupHalfway)
			end(c, id)
			if n := <-read; n < 64<<10 {
				t.Errorf("%d bytes were read", n)
			}
			release()
			if name == "cut" {
				eventually(t, "the backup ended well", func() bool {
					return slices.ContainsFunc(c.Containers(), func(ct simulator.Container) bool {
						return ct.ID == id && ct.State == "exited" && ct.ExitCode == 0
					})
				})
			}
		})
	}
}

// Without an upgrade the answer itself is the stream, as it is for old clients.
func TestAttachWithoutTakingTheConnectionOver(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	d, h := docker(t, c), httpClient(t, c)
	c.AddImage("docker/dtr:2.6.9")
	created, err := d.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config: &container.Config{Image: "docker/dtr:2.6.9", Cmd: []string{"images"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{"stream=1&stdout=1": "docker/dtr-rethink:2.6.9", "stream=1&stderr=1": "", "stdout=1": ""} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.UCPURL()+"/containers/"+created.ID+"/attach?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+login(t, c, h))
		response, err := h.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.ContainerStart(t.Context(), created.ID, client.ContainerStartOptions{}); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		_, err = stdcopy.StdCopy(&stdout, &stderr, response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK || !strings.Contains(stdout.String(), want) || want == "" && stdout.Len() > 0 || stderr.Len() > 0 {
			t.Errorf("%s: %v, status %d, %q and %q", query, err, response.StatusCode, &stdout, &stderr)
		}
		eventually(t, "the container has ended", func() bool {
			return slices.ContainsFunc(c.Containers(), func(ct simulator.Container) bool { return ct.ID == created.ID && ct.State == "exited" })
		})
	}
}
