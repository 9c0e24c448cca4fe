package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// upgrading is one upgrade that is done both by an apply and by hand.
type upgrading struct {
	name     string
	replicas int
	hops     []string // from version25
	goal     goal
}

const byHand = "the bare way"

// applies compares applies with what an operator does without Terraform: pull the image,
// run the bootstrapper, and look at DTR's job every second. The clusters are as slow as
// real ones, and mostly wait: all of them are measured side by side.
func (b *bench) applies(ctx context.Context) error {
	all := []upgrading{
		{"an apply of one hop, 1 replica", 1, []string{version26}, more(2)},
		{"an apply of one hop, 3 replicas", 3, []string{version26}, more(2)},
		{"an apply of one hop, 7 replicas", 7, []string{version26}, more(2)},
		{"an apply of two hops, 3 replicas", 3, []string{version26, version27}, more(4)},
	}
	var mu sync.Mutex
	wall, requests, probes, inspections, logins := samples{}, samples{}, samples{}, samples{}, samples{}
	once := func(ctx context.Context, u upgrading, way string, do func(context.Context, *simulator.Cluster, []string) (took, error)) error {
		cluster, err := simulator.Start(simulator.Options{Version: version25, Replicas: u.replicas, APIVersion: "1.39", UCPVersion: "3.1.4"})
		if err != nil {
			return err
		}
		defer cluster.Close()
		t, err := do(ctx, cluster, u.hops)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", u.name, way, err)
		}
		for id, parts := range cluster.Versions() {
			for part, version := range parts {
				if last := u.hops[len(u.hops)-1]; version != last {
					return fmt.Errorf("%s, %s: %s of replica %s runs %s, not %s", u.name, way, part, id, version, last)
				}
			}
		}
		n := count(cluster.Requests())
		mu.Lock()
		defer mu.Unlock()
		wall.add(u.name+way, t.wall.Seconds())
		requests.add(u.name+way, n[countOfRequests])
		probes.add(u.name+way, n[countOfProbes])
		inspections.add(u.name+way, n[countInspections])
		logins.add(u.name+way, n[countOfLogins])
		return nil
	}
	g, inner := errgroup.WithContext(ctx)
	for _, u := range all {
		for way, do := range map[string]func(context.Context, *simulator.Cluster, []string) (took, error){"": b.applyHops, byHand: upgradeByHand} {
			g.Go(func() error {
				for range b.Applies {
					if err := once(inner, u, way, do); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, u := range all {
		b.add(newRow(u.name, inSeconds, wall.median(u.name), byHand, wall.median(u.name+byHand), u.goal))
	}
	for _, u := range all[1:] {
		b.add(newCount(u.name+": requests", requests.median(u.name), "of them probes of DTR's address", probes.median(u.name)),
			newCount(u.name+": requests but for probes", requests.median(u.name)-probes.median(u.name), "of them inspections of a container", inspections.median(u.name)),
			newCount(u.name+": logins", logins.median(u.name), byHand, logins.median(u.name+byHand)))
	}
	return b.ownPart(ctx)
}

// ownPart is what an apply takes where a provider has nothing to wait for.
func (b *bench) ownPart(ctx context.Context) error {
	wall := samples{}
	for range b.Runs {
		for name, configuration := range map[string]string{floorOnly: builtIn("new"), peerSource: peerRequired + static("this", "new")} {
			s, err := b.stage(configuration)
			if err != nil {
				return err
			}
			t, err := s.apply(ctx)
			if err != nil {
				return err
			}
			wall.add(name, t.wall.Seconds())
		}
	}
	b.add(newRow("of an apply, Terraform's own part with a provider", inSeconds, wall.median(peerSource), floorOnly, wall.median(floorOnly)))
	return nil
}

// applyHops applies the upgrade, its plan included.
func (b *bench) applyHops(ctx context.Context, cluster *simulator.Cluster, hops []string) (took, error) {
	last := len(hops) - 1
	body := target(hops[last])
	if last > 0 {
		body += fmt.Sprintf("\n  via = [%q]", hops[0])
	}
	s, err := b.stage(upgrade(cluster, body))
	if err != nil {
		return took{}, err
	}
	return s.apply(ctx)
}

// upgradeByHand does what the vendor's documentation tells an operator to do.
func upgradeByHand(ctx context.Context, cluster *simulator.Cluster, hops []string) (took, error) {
	info := cluster.Info()
	ucp, err := newClient(info, info.UCPURL, 0)
	if err != nil {
		return took{}, err
	}
	defer ucp.CloseIdleConnections()
	dtr, err := newClient(info, info.DTRURL, 0)
	if err != nil {
		return took{}, err
	}
	defer dtr.CloseIdleConnections()
	replica := slices.Sorted(slices.Values(cluster.ReplicaIDs()))[0]
	began := time.Now()
	if err := ucp.login(ctx); err != nil {
		return took{}, err
	}
	for i, hop := range hops {
		if err := runBootstrapper(ctx, ucp, hop, replica); err != nil {
			return took{}, err
		}
		if i > 0 { // the job is of the hop from 2.5 to 2.6
			continue
		}
		if err := waitForMigration(ctx, dtr); err != nil {
			return took{}, err
		}
	}
	return took{wall: time.Since(began)}, nil
}

// runBootstrapper pulls the image, and runs the bootstrapper to its end.
func runBootstrapper(ctx context.Context, ucp *client, version, replica string) error {
	const api = "/v1.30"
	repository := release.Repository(semver.MustParse(version))
	var created struct{ ID string }
	var ended struct{ StatusCode int }
	err := ucp.call(ctx, http.MethodPost, api+"/images/create?fromImage="+repository+"&tag="+version, nil, nil)
	if err == nil {
		err = ucp.call(ctx, http.MethodPost, api+"/containers/create?name=by-hand-"+version, map[string]any{
			"Image": repository + ":" + version, "Cmd": []string{"upgrade", "--existing-replica-id", replica},
			"Env": []string{
				"UCP_URL=" + ucp.info.UCPURL, "UCP_USERNAME=" + ucp.info.Username, "UCP_PASSWORD=" + ucp.info.Password,
				"UCP_CA=" + ucp.info.CACert, "constraint:node==worker1",
			},
		}, &created)
	}
	if err == nil {
		err = ucp.call(ctx, http.MethodPost, api+"/containers/"+created.ID+"/start", nil, nil)
	}
	if err == nil {
		err = ucp.call(ctx, http.MethodPost, api+"/containers/"+created.ID+"/wait", nil, &ended)
	}
	if err == nil && ended.StatusCode != 0 {
		err = fmt.Errorf("the bootstrapper of %s ended with %d", version, ended.StatusCode)
	}
	return err
}

// waitForMigration looks at DTR's job every second until it is done.
func waitForMigration(ctx context.Context, dtr *client) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var list struct{ Jobs []struct{ Status string } }
		if err := dtr.call(ctx, http.MethodGet, "/api/v0/jobs?action=metadatastoremigration&worker=any", nil, &list); err != nil {
			return err
		}
		if len(list.Jobs) > 0 {
			switch list.Jobs[0].Status {
			case "done":
				return nil
			case "errored":
				return errors.New("the migration job failed")
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
