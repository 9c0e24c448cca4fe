package simulator_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

func TestBootstrapperRefuses(t *testing.T) {
	t.Parallel()
	env := func(k, v string) func(b *bootstrapperContainer) {
		return func(b *bootstrapperContainer) {
			b.env = append(slices.DeleteFunc(b.env, func(kv string) bool { return strings.HasPrefix(kv, k+"=") }), k+"="+v)
		}
	}
	args := func(args ...string) func(b *bootstrapperContainer) {
		return func(b *bootstrapperContainer) { b.args = args }
	}
	for name, tc := range map[string]struct {
		image  string
		change func(b *bootstrapperContainer)
		says   string
	}{
		"downgrade":               {"docker/dtr:2.6.7", nil, "downgrading is not supported"},
		"minor skip":              {"mirantis/dtr:2.8.13", nil, "cannot be skipped"},
		"unknown replica":         {"docker/dtr:2.6.9", args("upgrade", "--existing-replica-id", "0123456789ab"), "Failed to pick existing replica"},
		"unknown flag":            {"docker/dtr:2.6.9", args("upgrade", "--nonsense"), "flag provided but not defined"},
		"flag of 2.9":             {"docker/dtr:2.6.9", args("upgrade", "--nocolor"), "flag provided but not defined"},
		"flag of 2.6 alone":       {"docker/dtr:2.7.4", args("upgrade", "--no-image-check"), "flag provided but not defined"},
		"version before 2.7":      {"docker/dtr:2.6.9", args("--version"), "No help topic"},
		"command not simulated":   {"docker/dtr:2.6.9", args("destroy"), "No help topic"},
		"flag of another command": {"docker/dtr:2.6.9", args("backup", "--no-image-check"), "flag provided but not defined"},
		"wrong password":          {"docker/dtr:2.6.9", env("UCP_PASSWORD", "wrong"), "401"},
		"no password":             {"docker/dtr:2.6.9", env("UCP_PASSWORD", ""), "are required"},
		"CA not given":            {"docker/dtr:2.6.9", env("UCP_CA", ""), "certificate signed by unknown authority"},
		"CA not PEM":              {"docker/dtr:2.6.9", env("UCP_CA", "x"), "not a PEM certificate"},
		"not a boolean":           {"docker/dtr:2.6.9", env("UCP_INSECURE_TLS", "maybe"), "invalid value"},
		"image not there":         {"docker/dtr:2.6.9", nil, "Failed to pull image docker/dtr-garant:2.6.9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
			if name == "image not there" {
				c.RemoveFromRegistry("docker/dtr-garant:2.6.9")
			}
			b := upgradeTo(c, tc.image)
			if tc.change != nil {
				tc.change(&b)
			}
			before := c.Containers()
			status, output := b.run(t, c)
			if status != 1 || !strings.Contains(output, tc.says) {
				t.Errorf("exit status %d\n%s", status, output)
			}
			if diff := cmp.Diff(before, c.Containers()); diff != "" {
				t.Error("containers changed", diff)
			}
		})
	}
}

func TestBootstrapperFlagsByVersion(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		from, image string
		args        []string
	}{
		{"2.6.8", "docker/dtr:2.6.9", []string{"upgrade", "--no-image-check", "--debug"}},
		{"2.9.0", "mirantis/dtr:2.9.1", []string{"upgrade", "--nocolor", "--max-wait", "20m"}},
		{"2.7.4", "docker/dtr:2.7.4", []string{"--version"}},
	} {
		c := simulatortest.Start(t, simulator.Options{Version: tc.from, Replicas: 1})
		c.AddBundle(strings.Split(tc.image, ":")[1])
		b := upgradeTo(c, tc.image)
		b.args = tc.args
		b.env = append(b.env, "DTR_REPLICA_ID="+c.ReplicaIDs()[0])
		if status, output := b.run(t, c); status != 0 {
			t.Errorf("%v: exit status %d\n%s", tc.args, status, output)
		}
	}
}

func TestBootstrapperOfAMirror(t *testing.T) {
	t.Parallel()
	c := simulatortest.Start(t, simulator.Options{Version: "2.6.8"})
	c.AddMirror("reg.example.com/dtr/dtr")
	if status, output := upgradeTo(c, "reg.example.com/dtr/dtr:2.6.9").run(t, c); status != 0 {
		t.Fatalf("exit status %d\n%s", status, output)
	}
	for _, ct := range c.Containers() {
		if _, _, ok := ct.Component(); ok && !strings.HasPrefix(ct.Image, "reg.example.com/dtr/dtr-") {
			t.Errorf("%s runs %s", ct.Name, ct.Image)
		}
	}
}
