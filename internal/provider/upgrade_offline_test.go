package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

const notLooked = "Warning: The plan was not checked against the DTR cluster\n"

// TestPlanWithoutALook plans with a provider that is not connected, and with a
// cluster that does not answer: the state alone judges.
func TestPlanWithoutALook(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.8")
	steady := state(cluster, "2.6.8")
	half := in(steady, values{"target_version": "2.6.15"}) // the state is behind its own target
	mixed := state(cluster, "2.6.8")
	mixed["replica_versions"] = in(mixed["replica_versions"].(values), values{cluster.ReplicaIDs()[0]: "2.6.15"})

	away := start(t, "2.6.8")
	away.Inject(simulator.Fault{Reset: true})
	starting := start(t, "2.6.8")
	starting.Inject(simulator.Fault{Service: simulator.ServiceDTR, Status: 503})
	down := start(t, "2.6.8")
	down.Inject(simulator.Fault{Service: simulator.ServiceUCP, Status: 502})

	unconnected := connected(cluster)
	unconnected["url"] = unknown{}
	for why, config := range map[string]values{
		"unknown url":         unconnected,
		"unknown password":    in(connected(cluster), values{"password": unknown{}}),
		"unknown ucp":         in(connected(cluster), values{"ucp": unknown{}}),
		"nobody answers":      connected(away),
		"DTR is starting":     connected(starting),
		"UCP is out of order": connected(down),
	} {
		for name, c := range map[string]struct {
			prior, config values
			want          string // all of the diagnostics' headlines
			path          string
		}{
			"create":                         {nil, values{"target_version": "2.6.15"}, notLooked, "unknown"},
			"nothing to do by the state":     {steady, values{"target_version": "2.6.8"}, "", "as it was"},
			"upgrade":                        {steady, values{"target_version": "2.6.15"}, notLooked, "planned"},
			"another attribute":              {steady, values{"target_version": "2.6.8", "max_interruption": "1m"}, notLooked, "as it was"},
			"unfinished by the state":        {half, values{"target_version": "2.6.15"}, notLooked, "planned"},
			"downgrade":                      {steady, values{"target_version": "2.5.17"}, "Error: DTR cannot be downgraded\n  at target_version\n", ""},
			"skip":                           {steady, values{"target_version": "2.8.13"}, fmt.Sprintf("via = [%q]", latest("2.7")), ""},
			"mixed, finished by the plan":    {mixed, values{"target_version": "2.6.15"}, notLooked, "planned"},
			"mixed, with a target elsewhere": {mixed, values{"target_version": "2.7.8"}, "Error: Finish the interrupted DTR upgrade first\n", ""},
		} {
			t.Run(why+", "+name, func(t *testing.T) {
				t.Parallel()
				p := newProtocol(t, quick()...)
				p.ok(nil, p.configure(config))
				got := p.plan(c.prior, c.config)
				text := render(got.diags)
				if c.want == "" && text != "" || !strings.Contains(text, c.want) {
					t.Fatalf("got:\n%s\nwant in it: %q", text, c.want)
				}
				switch c.path {
				case "unknown":
					for _, name := range []string{"current_version", "replica_versions", "upgrade_path", "last_upgrade"} {
						if got.text(t, name) != "unknown" {
							t.Errorf("%s is known", name)
						}
					}
				case "planned": // as a plan that looks has it, which Terraform may hold this one against
					if path := strings.Join(got.path(t), ", "); path != "2.6.8 -> 2.6.15 patch-skip" || got.text(t, "current_version") != "2.6.15" {
						t.Errorf("the path is %s, current_version %s", path, got.text(t, "current_version"))
					}
				case "as it was":
					if !got.after["current_version"].Equal(value(t, got.after["current_version"].Type(), "2.6.8")) {
						t.Errorf("current_version is %s", got.after["current_version"])
					}
				}
			})
		}
	}
}

// TestReadWithoutALook holds that a refresh never drops a cluster that it cannot
// see, and says so where it should have seen it.
func TestReadWithoutALook(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.8")
	prior := state(cluster, "2.6.8")
	for name, c := range map[string]struct {
		config func(values)
		fault  simulator.Fault
		want   string
	}{
		"provider not connected": {config: func(v values) { v["url"] = unknown{} }},
		"nobody answers":         {fault: simulator.Fault{Reset: true}, want: "does not answer"},
		"DTR is starting":        {fault: simulator.Fault{Service: simulator.ServiceDTR, Status: 503}, want: "Error: DTR answers with an error\n"},
		"DTR talks nonsense":     {fault: simulator.Fault{Service: simulator.ServiceDTR, Garbage: true}, want: "Error: DTR sent an unexpected response\n"},
		"UCP is out of order":    {fault: simulator.Fault{Service: simulator.ServiceUCP, Status: 502}, want: "Error: UCP answers with an error\n"},
		"one page is missing": {
			fault: simulator.Fault{Service: simulator.ServiceDTR, Path: "/api/v0/meta/settings", Status: 404},
			want:  "Error: DTR answers with an error\n",
		},
		"wrong password": {config: func(v values) { v["password"] = "wrong" }, want: "Error: DTR refuses the user name or the password\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := start(t, "2.6.8")
			if c.config == nil {
				cluster.Inject(c.fault)
			}
			config := connected(cluster)
			if c.config != nil {
				c.config(config)
			}
			p := newProtocol(t, quick()...)
			p.ok(nil, p.configure(config))
			got := p.read(prior)
			expect(t, got.diags, c.want)
			if got.state == nil {
				t.Fatal("the resource was dropped")
			}
			want := value(t, p.schema.ValueType(), prior)
			if after, _ := got.raw.Unmarshal(p.schema.ValueType()); !after.Equal(want) {
				t.Errorf("got %s, want %s", after, want)
			}
		})
	}
}

// TestReadOfSomethingElse holds that the resource is dropped on proof that there
// is no DTR, and with a warning; and that nothing is then planned.
func TestReadOfSomethingElse(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.8")
	cluster.Inject(simulator.Fault{Service: simulator.ServiceDTR, Status: 404, Body: "404 page not found"})
	p := planner(t, cluster)
	got := p.read(state(cluster, "2.6.8"))
	expect(t, got.diags, "Warning: There is no DTR at the configured address any more\n")
	if got.state != nil {
		t.Error("the resource was kept")
	}
	expect(t, p.plan(nil, values{"target_version": "2.6.8"}).diags, "Error: There is no DTR at the configured address\n")
}

// TestPlanAtAWrongAddress plans where something else than DTR and UCP answers.
func TestPlanAtAWrongAddress(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.6.8")
	guarded := start(t, "2.6.8")
	guarded.Inject(simulator.Fault{Service: simulator.ServiceUCP, Path: "/_ping", Status: 403})
	login := connected(cluster)
	nested := login["ucp"].(values)
	for name, c := range map[string]struct {
		config values
		want   string
	}{
		"ucp.url is that of DTR": {in(login, values{"ucp": in(nested, values{"url": cluster.DTRURL()})}), "No UCP answers at " + cluster.DTRURL()},
		"url is that of UCP":     {in(login, values{"url": cluster.UCPURL()}), "Check that url of the provider leads to DTR itself"},
		"a proxy before UCP":     {connected(guarded), "Error: Something in front of UCP refuses the request\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProtocol(t, quick()...)
			p.ok(nil, p.configure(c.config))
			if text := render(p.plan(nil, values{"target_version": "2.6.15"}).diags); !strings.Contains(text, c.want) {
				t.Errorf("got:\n%s\nwant in it: %q", text, c.want)
			}
		})
	}
}
