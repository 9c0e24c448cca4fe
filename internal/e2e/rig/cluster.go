//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// ucpVersion that the front says that it is: the one released together with
// DTR 2.6.
const ucpVersion = "3.1.4"

// Replica says which id the replica on the k-th node has, from 1.
func Replica(k int) string { return fmt.Sprintf("%012x", 0xd00000000000+k) }

// Arrange makes the first nodes hold a replica each and nothing else. Versions
// says what a part of the k-th replica, from 1, runs. Containers that are so
// already stay as they are.
func (r *Rig) Arrange(ctx context.Context, repository string, replicas int, version func(k int, part string) string) error {
	return r.each(ctx, func(ctx context.Context, n *Node) error {
		var specs []release.Spec
		if k := slices.Index(r.Nodes, n) + 1; k <= replicas {
			specs = release.ReplicaContainers(repository, Replica(k), func(part string) string { return version(k, part) })
		}
		if err := n.arrange(ctx, specs); err != nil {
			return fmt.Errorf("arrange %s: %w", n.Name, err)
		}
		return nil
	})
}

func (n *Node) arrange(ctx context.Context, specs []release.Spec) error {
	list, err := n.Docker.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	for _, c := range list.Items {
		i := slices.IndexFunc(specs, func(s release.Spec) bool {
			return c.Names[0] == "/"+s.Name && c.Image == s.Config.Image && c.State == container.StateRunning
		})
		if i >= 0 {
			specs = slices.Delete(specs, i, i+1)
			continue
		}
		group.Go(func() error {
			_, err := n.Docker.ContainerRemove(groupCtx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	group, groupCtx = errgroup.WithContext(ctx)
	group.SetLimit(3)
	for _, spec := range specs {
		group.Go(func() error {
			if err := n.pull(groupCtx, spec.Config.Image); err != nil {
				return err
			}
			_, err := n.Run(groupCtx, spec.Name, spec.Config, spec.Host)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return n.waitUntilHealthy(ctx)
}

// waitUntilHealthy waits until no health check is pending.
func (n *Node) waitUntilHealthy(ctx context.Context) error {
	return poll(ctx, func() (bool, error) {
		list, err := n.Docker.ContainerList(ctx, client.ContainerListOptions{Filters: client.Filters{}.Add("health", "starting", "unhealthy")})
		return err == nil && len(list.Items) == 0, err
	})
}

// Pull has all nodes pull what they lack of the images.
func (r *Rig) Pull(ctx context.Context, refs []string) error {
	return r.each(ctx, func(ctx context.Context, n *Node) error {
		for _, ref := range refs {
			if err := n.pull(ctx, ref); err != nil {
				return err
			}
		}
		return nil
	})
}

// pull pulls an image if it is not there.
func (n *Node) pull(ctx context.Context, ref string) error {
	if _, err := n.Docker.ImageInspect(ctx, ref); err == nil {
		return nil
	}
	pull, err := n.Docker.ImagePull(ctx, ref, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	return pull.Wait(ctx)
}

// Run makes a container and starts it.
func (n *Node) Run(ctx context.Context, name string, config *container.Config, host *container.HostConfig) (id string, err error) {
	created, err := n.Docker.ContainerCreate(ctx, client.ContainerCreateOptions{Name: name, Config: config, HostConfig: host})
	if err != nil {
		return "", fmt.Errorf("create %s: %w", name, err)
	}
	if _, err := n.Docker.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return "", fmt.Errorf("start %s: %w", name, err)
	}
	return created.ID, nil
}

// found says whether a program is on the PATH.
func found(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// RemoveCgroups removes what engines that are gone have left of the cgroups
// below a name.
func RemoveCgroups(name string) error {
	var errs []error
	for _, pattern := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} {
		dirs, _ := filepath.Glob(filepath.Join(pattern, name))
		for _, dir := range dirs {
			errs = append(errs, removeTree(dir))
		}
	}
	return errors.Join(errs...)
}

// removeTree removes a tree of cgroups: their files go with them. Those of
// processes that have just been killed stay busy for a moment.
func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	for _, d := range slices.Backward(dirs) {
		limited, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err = errors.Join(err, poll(limited, func() (bool, error) {
			err := os.Remove(d)
			return err == nil || errors.Is(err, fs.ErrNotExist), nil
		}))
		cancel()
	}
	return err
}
