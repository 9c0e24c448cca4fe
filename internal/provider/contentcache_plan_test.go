package provider

import (
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// registrations lists what was sent to DTR that changes registrations.
func registrations(c *simulator.Cluster) (methods []string) {
	for _, r := range c.Requests() {
		if r.Service == simulator.ServiceDTR && r.Method != http.MethodGet {
			methods = append(methods, r.Method)
		}
	}
	return methods
}

// textOf is a planned text: "null" or "unknown" where there is none.
func textOf(v tftypes.Value) string {
	switch {
	case !v.IsKnown():
		return "unknown"
	case v.IsNull():
		return "null"
	}
	var s string
	must(v.As(&s))
	return s
}

func TestCacheValidation(t *testing.T) {
	t.Parallel()
	p := newProtocol(t).of("dtr_content_cache")
	good := values{"name": "main", "host": "https://cache.example.com:8443"}
	for name, c := range map[string]struct {
		config values
		want   string // of the error; none is no error
	}{
		"registration alone":         {good, ""},
		"no name":                    {in(good, values{"name": ""}), "at name"},
		"host without a scheme":      {in(good, values{"host": "cache.example.com"}), `host has no scheme: it is "cache.example.com"; write it like "https://cache.example.com".`},
		"host without TLS":           {in(good, values{"host": "http://cache.example.com"}), `has the scheme "http"`},
		"host with a path":           {in(good, values{"host": "https://cache.example.com/v2"}), "has more than a host and a port"},
		"host with a password":       {in(good, values{"host": "https://a:b@cache.example.com"}), "holds a user name or a password"},
		"version as a service":       {in(good, values{"version": "2.6.15", "service": values{}}), ""},
		"version as a container":     {in(good, values{"version": "2.6.15", "container": values{"name": "c", "node": "n"}}), "at container.name"},
		"version and nothing":        {in(good, values{"version": "2.6.15"}), "Error: It is not said what runs the content cache\n  at version"},
		"version to come, nothing":   {in(good, values{"version": unknown{}}), ""},
		"version, service to come":   {in(good, values{"version": "2.6.15", "service": unknown{}}), ""},
		"version with a v":           {in(good, values{"version": "v2.6.15", "service": values{}}), `"v2.6.15" starts with "v"; write "2.6.15".`},
		"latest":                     {in(good, values{"version": "latest", "service": values{}}), "what it means changes with time"},
		"service and container":      {in(good, values{"service": values{}, "container": values{}}), "Error: A content cache is run by a service or by a container\n  at container"},
		"service, container to come": {in(good, values{"service": values{}, "container": unknown{}}), ""},
		"container with a node":      {in(good, values{"container": values{"name": "worker1/dtr-cache"}}), "is not a name of a container, without a node"},
		"repository with a tag":      {in(good, values{"image": values{"repository": "docker/dtr-content-cache:2.6.15"}}), "at image.repository"},
		"no PEM":                     {in(good, values{"probe": values{"ca_cert": "ca.pem"}}), "at probe.ca_cert"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := p.validate(c.config)
			expect(t, got, c.want)
			if hasErrors(got) != (c.want != "") {
				t.Error(render(got))
			}
		})
	}
}

// TestCachePlans holds what plans say and make known, against what runs.
func TestCachePlans(t *testing.T) {
	t.Parallel()
	const host, version = "https://cache.example.com", "2.6.15"
	prior := values{"name": "main", "host": host, "id": "x", "version": "2.6.8", "current_version": "2.6.8", "service": values{}}
	config := values{"name": "main", "host": host, "version": version, "service": values{}}
	for name, c := range map[string]struct {
		image         string // of the service; none is no service
		prior, config values
		want          string // in the diagnostics; none is none at all
		current, id   string
	}{
		"create":                  {cacheBefore, nil, config, "", version, "unknown"},
		"create, runs already":    {cacheAfter, nil, config, "", version, "unknown"},
		"create, version to come": {cacheBefore, nil, in(config, values{"version": unknown{}}), "", "unknown", "unknown"},
		"create, registration":    {"", nil, values{"name": "main", "host": host}, "", "null", "unknown"},
		"create, watched only":    {cacheBefore, nil, values{"name": "main", "host": host, "service": values{}}, "", "unknown", "unknown"},
		"create, no service":      {"", nil, config, "Error: The cache's service was not found\n  at service\n\nThere is no service dtr-cache_cache.", "", ""},
		"create, name taken":      {cacheBefore, nil, in(config, values{"name": "taken"}), "Error: The name of the content cache is taken\n  at name", "", ""},
		"create, same as there":   {cacheBefore, nil, in(config, values{"name": "taken", "host": "https://taken.example.com/"}), "", version, "unknown"},
		"update":                  {cacheBefore, prior, config, "", version, "x"},
		"nothing to do":           {cacheBefore, prior, in(config, values{"version": "2.6.8"}), "", "2.6.8", "x"},
		"drift":                   {cacheAfter, in(prior, values{"current_version": "2.6.15"}), in(config, values{"version": "2.6.8"}), "Warning: The content cache is newer than the configured version\n  at version", "2.6.8", "x"},
		"a tag that is none":      {"docker/dtr-content-cache:latest", in(prior, values{"current_version": nil}), in(config, values{"version": "2.6.8"}), "", "2.6.8", "x"},
		"another repository":      {cacheBefore, in(prior, values{"image": values{"repository": "registry.example.com/mirror/dtr-content-cache"}}), in(config, values{"version": "2.6.8", "image": values{"repository": "registry.example.com/mirror/dtr-content-cache"}}), "", "unknown", "x"},
		"service gone":            {"", in(prior, values{"current_version": nil}), in(config, values{"version": "2.6.8"}), "There is no service dtr-cache_cache.", "", ""},
		"service gone, watched":   {"", in(prior, values{"version": nil, "current_version": nil}), in(config, values{"version": nil}), "", "null", "x"},
		"version given up":        {cacheBefore, prior, in(config, values{"version": nil}), "", "2.6.8", "x"},
		"all given up":            {"", prior, values{"name": "main", "host": host}, "", "null", "x"},
		"host":                    {cacheBefore, prior, in(config, values{"version": "2.6.8", "host": "https://new.example.com"}), "Warning: The content cache gets a new registration\n", "2.6.8", "unknown"},
		"host, written otherwise": {cacheBefore, prior, in(config, values{"version": "2.6.8", "host": host + "/"}), "", "2.6.8", "x"},
		"name":                    {cacheBefore, prior, in(config, values{"version": "2.6.8", "name": "other"}), "Users who have chosen the old one in their settings have to choose again.", "2.6.8", "unknown"},
		"name, taken":             {cacheBefore, prior, in(config, values{"version": "2.6.8", "name": "taken"}), "Registered host: https://taken.example.com\n", "", ""},
		"destroy":                 {cacheBefore, prior, nil, "Warning: Destroying this resource leaves the content cache running\n", "", ""},
		"destroy, registration":   {"", in(prior, values{"service": nil, "version": nil, "current_version": nil}), nil, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddCache("taken", "https://taken.example.com")
			if c.image != "" {
				cluster.AddCacheService(simulator.CacheService{Image: c.image})
			}
			got := cachePlanner(t, cluster).plan(c.prior, c.config)
			if expect(t, got.diags, c.want); c.want == "" && len(got.diags) > 0 {
				t.Error(render(got.diags))
			}
			if !hasErrors(got.diags) && c.config != nil {
				if s := textOf(got.after["current_version"]); s != c.current {
					t.Errorf("current_version is %s, want %s", s, c.current)
				}
				if s := textOf(got.after["id"]); s != c.id {
					t.Errorf("id is %s, want %s", s, c.id)
				}
			}
			onlyReads(t, cluster)
		})
	}
}

// TestCacheOffline holds what a plan does that cannot look, and what Read keeps.
func TestCacheOffline(t *testing.T) {
	t.Parallel()
	prior := values{"name": "main", "host": "https://cache.example.com", "id": "x", "version": "2.6.8", "current_version": "2.6.8", "service": values{}}
	config := values{"name": "main", "host": "https://cache.example.com", "version": "2.6.8", "service": values{}}
	t.Run("not connected", func(t *testing.T) {
		t.Parallel()
		p := newProtocol(t, quick()...)
		p.ok(nil, p.configure(values{"url": unknown{}, "username": "admin", "password": "x", "ucp": unknown{}}))
		p = p.of("dtr_content_cache")
		got := p.plan(nil, config)
		expect(t, got.diags, "Warning: The plan was not checked against the DTR cluster\n")
		if s := textOf(got.after["current_version"]); s != "unknown" {
			t.Errorf("current_version is %s", s)
		}
		if got := p.plan(prior, config); len(got.diags) > 0 {
			t.Error(render(got.diags))
		}
		if kept := p.read(prior); len(kept.diags) > 0 || kept.text("id") != "x" {
			t.Errorf("%v\n%s", kept.state, render(kept.diags))
		}
	})
	for _, service := range []string{simulator.ServiceDTR, simulator.ServiceEngine} {
		t.Run(service+" is away", func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddCache("main", "https://cache.example.com")
			cluster.AddCacheService(simulator.CacheService{Image: cacheBefore})
			cluster.Inject(simulator.Fault{Service: service, Status: 503})
			p := cachePlanner(t, cluster)
			expect(t, p.plan(nil, config).diags, "Warning: The plan was not checked against the DTR cluster\n")
			kept := p.read(prior)
			expect(t, kept.diags, "503")
			if kept.text("current_version") != "2.6.8" {
				t.Errorf("%v", kept.state)
			}
		})
	}
}

func TestCacheRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(c *simulator.Cluster, id string)
		want   string
		state  map[string]string // nil is none any more
	}{
		"as it was":               {func(*simulator.Cluster, string) {}, "", map[string]string{"current_version": "2.6.15", "host": "https://cache.example.com"}},
		"not registered any more": {func(c *simulator.Cluster, id string) { c.RemoveCache(id) }, "Warning: The content cache is no longer registered\n", nil},
		"registered by hand, the same": {func(c *simulator.Cluster, id string) {
			c.RemoveCache(id)
			c.AddCache("main", "https://cache.example.com/")
		}, "", map[string]string{"host": "https://cache.example.com", "current_version": "2.6.15"}},
		"registered by hand, another": {func(c *simulator.Cluster, id string) {
			c.RemoveCache(id)
			c.AddCache("main", "https://elsewhere.example.com")
		}, "Warning: The content cache is no longer registered\n", nil},
		"service gone":      {func(c *simulator.Cluster, _ string) { c.RemoveService(cacheService) }, "", map[string]string{"current_version": "null"}},
		"service with half": {func(c *simulator.Cluster, _ string) { c.KillContainer(taskContainer(c)) }, "", map[string]string{"current_version": "null"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			cluster.AddCacheService(simulator.CacheService{Image: cacheAfter})
			id := cluster.AddCache("main", "https://cache.example.com")
			c.change(cluster, id)
			got := cachePlanner(t, cluster).read(values{
				"name": "main", "host": "https://cache.example.com", "id": id, "version": "2.6.15", "current_version": "2.6.15", "service": values{},
			})
			if expect(t, got.diags, c.want); c.want == "" && len(got.diags) > 0 {
				t.Error(render(got.diags))
			}
			if (got.state == nil) != (c.state == nil) {
				t.Fatalf("the state is %v", got.state)
			}
			for attribute, want := range c.state {
				if s := got.text(attribute); s != want {
					t.Errorf("%s is %s, want %s", attribute, s, want)
				}
			}
		})
	}
}

// TestCacheOfAnotherDTR holds that a cache of one cluster is never looked for, made
// or removed in another one.
func TestCacheOfAnotherDTR(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	id := cluster.AddCache("main", "https://cache.example.com")
	p := cachePlanner(t, cluster)
	config := values{"name": "main", "host": "https://cache.example.com"}
	prior := in(config, values{"id": id, "cluster": "registry.example.com"})
	const want = "Error: The provider is connected to another DTR cluster\n"
	read := p.read(prior)
	expect(t, read.diags, want)
	if read.state == nil {
		t.Error("it is gone from the state")
	}
	expect(t, p.plan(prior, config).diags, want)
	expect(t, p.plan(prior, in(config, values{"host": "https://new.example.com"})).diags, want)
	removed := p.remove(prior)
	expect(t, removed.diags, want)
	if removed.state == nil {
		t.Error("it is gone from the state after the removal")
	}
	onlyReads(t, cluster)

	read = p.read(in(config, values{"id": id})) // of a provider that did not have the attribute
	expect(t, read.diags, "")
	if got := read.text("cluster"); got != host {
		t.Errorf("cluster is %s", got)
	}
}

// taskContainer is the container of a task of the cache's service.
func taskContainer(c *simulator.Cluster) string {
	for _, ct := range c.Containers() {
		if ct.Labels["com.docker.swarm.service.name"] == cacheService {
			return ct.Name
		}
	}
	panic("no task has a container")
}

// TestCacheRegistration holds that DTR has the cache at any time while its
// registration is made anew, and that nothing is registered twice.
func TestCacheRegistration(t *testing.T) {
	t.Parallel()
	const old, next = "https://old.example.com", "https://new.example.com"
	post := simulator.Fault{Service: simulator.ServiceDTR, Method: "POST", Status: 400, Body: `{"errors":[{"code":"INVALID_PARAMETERS","message":"invalid content cache details"}]}`}
	times := func(f simulator.Fault, n int) *simulator.Fault {
		f.Times = n
		return &f
	}
	for name, c := range map[string]struct {
		config values
		before []simulator.ContentCache // besides main at old
		fault  *simulator.Fault
		want   string
		sent   []string
		hosts  []string // registered afterwards
	}{
		"another host":             {values{"host": next}, nil, nil, "", []string{"POST", "DELETE"}, []string{next}},
		"another name":             {values{"name": "other"}, nil, nil, "", []string{"POST", "DELETE"}, []string{old}},
		"cut short half way":       {values{"host": next}, []simulator.ContentCache{{Name: "main", Host: next}}, nil, "", []string{"DELETE"}, []string{next}},
		"the answer is lost":       {values{"host": next}, nil, &simulator.Fault{Service: simulator.ServiceDTR, Method: "POST", AfterEffect: true, Reset: true, Times: 1}, "", []string{"POST", "DELETE"}, []string{next}},
		"one of a name":            {values{"host": next}, nil, times(post, 1), "", []string{"POST", "DELETE", "POST"}, []string{next}},
		"one of a name, and no":    {values{"host": next}, nil, times(post, 2), "INVALID_PARAMETERS", []string{"POST", "DELETE", "POST", "POST"}, []string{old}},
		"refused":                  {values{"name": "other"}, nil, times(post, 0), "INVALID_PARAMETERS", []string{"POST"}, []string{old}},
		"the old one stays":        {values{"host": next}, nil, &simulator.Fault{Service: simulator.ServiceDTR, Method: "DELETE", Status: 500}, "DTR answers with an error", []string{"POST", "DELETE", "DELETE", "DELETE"}, []string{old, next}},
		"next to a twin":           {values{"timeouts": values{"read": "1m"}}, []simulator.ContentCache{{Name: "main", Host: "https://twin.example.com"}}, nil, "", nil, []string{old, "https://twin.example.com"}},
		"nothing but the timeouts": {values{"timeouts": values{"read": "1m"}}, nil, nil, "", nil, []string{old}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.15")
			config := values{"name": "main", "host": old, "probe": values{"enabled": false}}
			prior := in(config, values{"id": cluster.AddCache("main", old)})
			for _, b := range c.before {
				cluster.AddCache(b.Name, b.Host)
			}
			if c.fault != nil {
				cluster.Inject(*c.fault)
			}
			p := cachePlanner(t, cluster)
			done := p.apply(prior, in(config, c.config))
			expect(t, done.diags, c.want)
			if diff := cmp.Diff(c.sent, registrations(cluster)); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
			var hosts []string
			for _, cache := range cluster.Caches() {
				hosts = append(hosts, cache.Host)
			}
			if diff := cmp.Diff(c.hosts, hosts); diff != "" {
				t.Errorf("registered (-want +got):\n%s", diff)
			}
			if c.want == "" {
				steady(t, p, done, in(config, c.config))
				return
			}
			if host := done.text("host"); host != old {
				t.Errorf("the state has taken over %s", host)
			}
			if id := done.text("id"); !slices.ContainsFunc(cluster.Caches(), func(c simulator.ContentCache) bool { return c.ID == id }) {
				t.Errorf("the id in the state, %s, is not registered", id)
			}
		})
	}
}

func TestCacheCreateAdopts(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	id := cluster.AddCache("main", "https://cache.example.com")
	p := cachePlanner(t, cluster)
	config := values{"name": "main", "host": "https://cache.example.com", "probe": values{"enabled": false}}
	done := p.apply(nil, config)
	expect(t, done.diags, "")
	if done.text("id") != id || len(registrations(cluster)) > 0 {
		t.Errorf("id %s, want %s; sent %q", done.text("id"), id, registrations(cluster))
	}
	steady(t, p, done, config)
}

// TestCacheDelete holds that the registration goes, whoever removed it first, and
// that what runs stays.
func TestCacheDelete(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		cluster := start(t, "2.6.15")
		cluster.AddCacheService(simulator.CacheService{Image: cacheAfter})
		other := cluster.AddCache("other", "https://other.example.com")
		prior := values{"name": "main", "host": "https://cache.example.com", "id": "removed-by-hand", "service": values{}}
		if !gone {
			prior["id"] = cluster.AddCache("main", "https://cache.example.com")
		}
		done := cachePlanner(t, cluster).apply(prior, nil)
		if hasErrors(done.diags) || done.state != nil {
			t.Errorf("%v\n%s", done.state, render(done.diags))
		}
		if caches := cluster.Caches(); len(caches) != 1 || caches[0].ID != other {
			t.Errorf("%+v", caches)
		}
		if s := cluster.ServiceState(cacheService); len(s.Running) != 1 || serviceUpdates(cluster) > 0 {
			t.Errorf("%+v", s)
		}
	}
}

func TestCacheImport(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.15")
	id := cluster.AddCache("main", "https://cache.example.com")
	cluster.AddCache("twin", "https://one.example.com")
	twin := cluster.AddCache("twin", "https://two.example.com")
	p := cachePlanner(t, cluster)
	for _, c := range []struct{ id, want, found string }{
		{"main", "", id},
		{id, "", id},
		{twin, "", twin},
		{"twin", "Error: Several content caches have that name\n", ""},
		{"nobody", "Error: There is no such content cache\n", ""},
	} {
		got := p.importState(c.id)
		expect(t, got.diags, c.want)
		if c.found != "" && got.text("id") != c.found {
			t.Errorf("import %s: %s, want %s", c.id, got.text("id"), c.found)
		}
	}
	got := p.importState("main")
	steady(t, p, got, values{"name": "main", "host": "https://cache.example.com"})
}
