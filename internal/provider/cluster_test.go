package provider

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-testing/config"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

// host is the external host of the simulated clusters.
const host = "dtr.example.com"

// pace is that of a cluster whose rollout takes milliseconds. The limits are for
// a machine that is busy with other things; tests that wait for one to pass
// shorten it.
var pace = wait.Pace{
	Poll:           20 * time.Millisecond,
	Probe:          25 * time.Millisecond,
	Consistent:     30 * time.Second,
	Healthy:        30 * time.Second,
	Steady:         100 * time.Millisecond,
	MigrationStart: 30 * time.Second,
	Outage:         30 * time.Second,
}

// quick are the options of a provider for such a cluster.
func quick() []Option {
	return []Option{WithPace(pace), WithRetry(endpoint.Retry{
		Max: 2, WaitMin: time.Millisecond, WaitMax: 5 * time.Millisecond, Attempt: 20 * time.Second, Total: time.Minute,
	})}
}

// briefPace is for tests in which something stays wrong until the time that UCP's
// inventory may lag behind is over.
var briefPace = func() wait.Pace {
	p := pace
	p.Consistent = 2 * time.Second
	return p
}()

func brief() Option { return WithPace(briefPace) }

// factories serve the provider to Terraform.
func factories(opts ...Option) map[string]func() (tfprotov6.ProviderServer, error) {
	return map[string]func() (tfprotov6.ProviderServer, error){
		"dtr": func() (tfprotov6.ProviderServer, error) { return NewServer("test", append(quick(), opts...)...)(), nil },
	}
}

// start starts a simulated cluster.
func start(t testing.TB, version string) *simulator.Cluster {
	t.Helper()
	return simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: version, Host: host}))
}

// connected is the provider's configuration for a cluster.
func connected(c *simulator.Cluster) values {
	login := func(url string) values {
		return values{"url": url, "username": c.Username(), "password": c.Password(), "ca_cert": c.CACert()}
	}
	v := login(c.DTRURL())
	v["ucp"] = login(c.UCPURL())
	return v
}

// connectionConfig is the provider in Terraform's language; what is in it comes from variables.
const connectionConfig = `
	variable "dtr_url" { type = string }
	variable "ucp_url" { type = string }
	variable "username" { type = string }
	variable "password" {
	  type      = string
	  sensitive = true
	}
	variable "ca_cert" { type = string }
	variable "target" {
	  type    = string
	  default = null
	}

	provider "dtr" {
	  url      = var.dtr_url
	  username = var.username
	  password = var.password
	  ca_cert  = var.ca_cert
	  ucp = {
	    url      = var.ucp_url
	    username = var.username
	    password = var.password
	    ca_cert  = var.ca_cert
	  }
	}
`

// upgradeTo is a configuration of the resource: target_version from the
// variable, and what else is given.
func upgradeTo(more ...string) string {
	return connectionConfig + `
	resource "dtr_upgrade" "this" {
	  target_version = var.target
	  ` + strings.Join(more, "\n") + `
	}
`
}

// variables are the values of a configuration's variables for a cluster.
func variables(c *simulator.Cluster, target string) config.Variables {
	return config.Variables{
		"dtr_url":  config.StringVariable(c.DTRURL()),
		"ucp_url":  config.StringVariable(c.UCPURL()),
		"username": config.StringVariable(c.Username()),
		"password": config.StringVariable(c.Password()),
		"ca_cert":  config.StringVariable(c.CACert()),
		"target":   config.StringVariable(target),
	}
}

// says matches an error in Terraform's output, which breaks lines where it likes and
// frames them, up to the link to the guide.
func says(text string) *regexp.Regexp {
	words := strings.Fields(text)
	for i, w := range words {
		words[i] = regexp.QuoteMeta(w)
	}
	const gap = `[\s│]+`
	return regexp.MustCompile(strings.Join(words, gap) + `(?s:.*)` + gap + "More:" + gap + regexp.QuoteMeta(troubleshootingPage) + `#\w`)
}

// runs checks that every container of every replica runs the version.
func runs(t testing.TB, c *simulator.Cluster, version string) {
	t.Helper()
	for id, parts := range c.Versions() {
		for part, v := range parts {
			if v != version {
				t.Errorf("%s of replica %s runs %s, want %s", part, id, v, version)
			}
		}
	}
}

// wantBootstrapperRuns checks how often the bootstrapper upgraded: once for each
// hop, unless it failed.
func wantBootstrapperRuns(t testing.TB, c *simulator.Cluster, want int) {
	t.Helper()
	if got := c.BootstrapperRuns(); got != want {
		t.Errorf("the bootstrapper ran %d times, want %d", got, want)
	}
}

// wantMemberRuns checks how often the bootstrapper joined and removed replicas.
func wantMemberRuns(t testing.TB, c *simulator.Cluster, joins, removals int) {
	t.Helper()
	if j, r := c.Runs("join"), c.Runs("remove"); j != joins || r != removals {
		t.Errorf("%d joins and %d removals, want %d and %d", j, r, joins, removals)
	}
}

// wantMigrations checks how many migration jobs there are.
func wantMigrations(t testing.TB, c *simulator.Cluster, want int) {
	t.Helper()
	if got := len(migrations(c)); got != want {
		t.Errorf("there are %d migration jobs, want %d", got, want)
	}
}
