package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

const (
	nodesOfLarge = 40  // with the manager
	onReplicas   = 200 // containers of others on the replicas' nodes
	noOthers     = "none"
)

const fullList = "/v1.30/containers/json?all=1"

// largeUCP compares plans where UCP has many containers of others with one where it
// has none of them. What the list takes by itself, read to its end with net/http, is
// added to the other side: it is the server's and the network's.
func (b *bench) largeUCP(ctx context.Context) error {
	peaks, wall := samples{}, samples{}
	requests := map[string]float64{}
	sizes := []struct {
		name   string
		others int
		most   float64 // MiB
	}{{noOthers, 0, 0}, {"5,000", 5_000, 35}, {"20,000", 20_000, 40}}

	stages, measured, clusters := map[string]*stage{}, map[string]*stage{}, map[string]*simulator.Cluster{}
	for _, size := range sizes {
		options := simulator.Options{Version: version26}
		if size.others > 0 {
			options.Workers = nodesOfLarge - 1
		}
		cluster, err := simulator.Start(options)
		if err != nil {
			return err
		}
		defer cluster.Close()
		clusters[size.name] = cluster
		many := others(size.others)
		cluster.Inject(simulator.Fault{
			Service: simulator.ServiceEngine, Path: "/containers/json",
			Matches: func(r *http.Request) bool { return !r.URL.Query().Has("filters") },
			Rewrite: func(status int, body []byte) (int, []byte) { return status, slices.Concat([]byte("["+many), body[1:]) },
		})
		if stages[size.name], err = b.stage(upgrade(cluster, target(version27))); err != nil {
			return err
		}
		if measured[size.name], err = b.measured(upgrade(cluster, target(version27)), ownProgram); err != nil {
			return err
		}
	}
	for i := range b.Runs + 1 {
		for _, size := range sizes {
			cluster := clusters[size.name]
			cluster.ResetRequests()
			t, err := stages[size.name].plan(ctx, true)
			if err != nil {
				return err
			}
			requests[size.name] = count(cluster.Requests())[countOfRequests]
			bare, err := list(ctx, cluster.Info())
			if err != nil {
				return err
			}
			if _, err := measured[size.name].plan(ctx, true); err != nil {
				return err
			}
			peak, err := measured[size.name].peak()
			if err != nil {
				return err
			}
			if i > 0 {
				wall.add(size.name, ms(t.wall))
				wall.add("the list of "+size.name, ms(bare))
				peaks.add(size.name, peak)
			}
		}
	}
	for _, size := range sizes[1:] {
		what := "a plan of one hop beside " + size.name + " containers: "
		besideNone := wall.median(noOthers) + wall.median("the list of "+size.name) - wall.median("the list of "+noOthers)
		b.add(newRow(what+"wall time", milliseconds, wall.median(size.name), "beside none, and their list bare", besideNone, times(1.2)),
			newRow(what+"requests", "", requests[size.name], "beside none", requests[noOthers], more(0)),
			newRow(what+"peak memory", mebibytes, peaks.median(size.name), "beside none", peaks.median(noOthers), most(size.most)))
	}
	return nil
}

// list is how long the list of all containers takes to the end of its answer.
func list(ctx context.Context, info simulator.Info) (time.Duration, error) {
	ucp, err := newClient(info, info.UCPURL, 1)
	if err != nil {
		return 0, err
	}
	defer ucp.CloseIdleConnections()
	if err := ucp.login(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	response, err := ucp.send(ctx, http.MethodGet, fullList, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the list of all containers: %s", response.Status)
	}
	_, err = io.Copy(io.Discard, response.Body)
	return time.Since(began), err
}

// others are entries of a list of containers, each with a comma after it, as a UCP
// shows those of services, of images from DTR: some on the three replicas' nodes, the rest on the others.
func others(n int) string {
	var b strings.Builder
	for i := range n {
		node := i%(nodesOfLarge-4) + 4
		if i < onReplicas {
			node = i%3 + 1
		}
		fmt.Fprintf(&b, `{"Id":"%064x","Names":["/worker%d/web.%d.%025d"],"Image":"dtr.example.com/team/web:1.%d@sha256:%064x",`+
			`"ImageID":"sha256:%064x","Command":"sh -c \"migrate \u0026\u0026 nginx\"","Created":1600000000,"Ports":[{"PrivatePort":80,"Type":"tcp"}],`+
			`"Labels":{"com.docker.stack.namespace":"web","com.docker.swarm.node.id":"%025d","com.docker.swarm.service.id":"%025d",`+
			`"com.docker.swarm.service.name":"web","com.docker.swarm.task":"","com.docker.swarm.task.id":"%025d","com.docker.swarm.task.name":"web.%d.%025d",`+
			`"com.docker.ucp.access.label":"/Shared","com.docker.ucp.collection":"shared","com.docker.ucp.collection.root":"true","maintainer":"team@example.com"},`+
			`"State":"running","Status":"Up 3 days","HostConfig":{"NetworkMode":"web"},`+
			`"NetworkSettings":{"Networks":{"web":{"IPAMConfig":{"IPv4Address":"10.0.0.%d"},"NetworkID":"%025d","EndpointID":"%064x","Gateway":"","IPAddress":"10.0.0.%d","IPPrefixLen":24,"MacAddress":"02:42:0a:00:00:01"}}},`+
			`"Mounts":[{"Type":"volume","Name":"web","Source":"","Destination":"/var/cache","Driver":"local","Mode":"z","RW":true,"Propagation":""}]},`,
			i, node, i, i, i%10, i, i%10, node, i%50, i, i, i, i%250, i%50, i, i%250)
	}
	return b.String()
}
