package bootstrap

import (
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-cmp/cmp"
)

func TestImage(t *testing.T) {
	t.Parallel()
	tests := []struct{ repository, version, want string }{
		{"", "2.0.0", "docker/dtr:2.0.0"},
		{"", "2.5.17", "docker/dtr:2.5.17"},
		{"", "2.6.14", "docker/dtr:2.6.14"},
		{"", "2.6.15", "mirantis/dtr:2.6.15"},
		{"", "2.6.16", "mirantis/dtr:2.6.16"},
		{"", "2.7.0", "docker/dtr:2.7.0"},
		{"", "2.7.7", "docker/dtr:2.7.7"},
		{"", "2.7.8", "mirantis/dtr:2.7.8"},
		{"", "2.8.0", "docker/dtr:2.8.0"},
		{"", "2.8.1", "docker/dtr:2.8.1"},
		{"", "2.8.2", "mirantis/dtr:2.8.2"},
		{"", "2.8.13", "mirantis/dtr:2.8.13"},
		{"", "2.9.0", "mirantis/dtr:2.9.0"},
		{"", "2.9.30", "mirantis/dtr:2.9.30"},
		{"", "2.10.0", "registry.mirantis.com/msr/dtr:2.10.0"},
		{"", "2.11.3", "registry.mirantis.com/msr/dtr:2.11.3"},
		{"", "3.0.0", "registry.mirantis.com/msr/dtr:3.0.0"},
		{"reg.example.com/dtr/dtr", "2.6.15", "reg.example.com/dtr/dtr:2.6.15"},
		{"reg.example.com:5000/dtr", "2.9.30", "reg.example.com:5000/dtr:2.9.30"},
	}
	for _, tt := range tests {
		t.Run(tt.repository+" "+tt.version, func(t *testing.T) {
			t.Parallel()
			if got := Image(tt.repository, semver.MustParse(tt.version)); got != tt.want {
				t.Errorf("image %s, want %s", got, tt.want)
			}
		})
	}
}

func TestComponentImages(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, repository, version, prefix string }{
		{"public, at first", "", "2.5.17", "docker/"},
		{"public, later", "", "2.6.15", "mirantis/"},
		{"public, last", "", "2.10.0", "registry.mirantis.com/msr/"},
		{"mirror", "reg.example.com/dtr/dtr", "2.6.15", "reg.example.com/dtr/"},
		{"mirror with a port", "reg.example.com:5000/dtr", "2.6.15", "reg.example.com:5000/"},
		{"mirror of another name", "reg.example.com/a/b/bootstrapper", "2.6.15", "reg.example.com/a/b/"},
		{"loaded without a prefix", "dtr", "2.6.15", ""},
	}
	images := strings.Fields("dtr-rethink dtr-registry dtr-garant dtr-api dtr-notary-server dtr-nginx dtr-jobrunner dtr-notary-signer dtr-postgres")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var want []string
			for _, image := range images {
				want = append(want, tt.prefix+image+":"+tt.version)
			}
			if diff := cmp.Diff(want, ComponentImages(tt.repository, semver.MustParse(tt.version))); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseContainerName(t *testing.T) {
	t.Parallel()
	type result struct {
		node, part, id string
		ok             bool
	}
	tests := []struct {
		name string
		want result
	}{
		{"/worker1/dtr-nginx-0123456789ab", result{"worker1", "nginx", "0123456789ab", true}},
		{"worker1/dtr-nginx-0123456789ab", result{"worker1", "nginx", "0123456789ab", true}},
		{"/dtr-nginx-0123456789ab", result{"", "nginx", "0123456789ab", true}},
		{"dtr-nginx-0123456789ab", result{"", "nginx", "0123456789ab", true}},
		{"/node.example.com/dtr-notary-server-aaaaaaaaaaaa", result{"node.example.com", "notary-server", "aaaaaaaaaaaa", true}},
		{"/worker1/dtr-notary-signer-000000000000", result{"worker1", "notary-signer", "000000000000", true}},
		{"/dtr-1/dtr-scanningstore-0123456789ab", result{"dtr-1", "scanningstore", "0123456789ab", true}},

		{"/worker1/dtr-phase2", result{}},
		{"/worker1/dtr-cache", result{}},
		{"/worker1/dtr-postgres-0123456789ab", result{}}, // an image, not a part
		{"/worker1/dtr-other-0123456789ab", result{}},
		{"/worker1/dtr-nginx-0123456789AB", result{}},
		{"/worker1/dtr-nginx-0123456789a", result{}},
		{"/worker1/dtr-nginx-0123456789abc", result{}},
		{"/worker1/dtr-nginx-0123456789ab-old", result{}},
		{"/worker1/my-dtr-nginx-0123456789ab", result{}},
		{"/a/b/dtr-nginx-0123456789ab", result{}},
		{"//dtr-nginx-0123456789ab", result{}},
		{"/worker1/dtr--0123456789ab", result{}},
		{"dtr-nginx-0123456789ab\n", result{}},
		{"", result{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got result
			c, ok := ParseContainerName(tt.name)
			got.node, got.part, got.id, got.ok = c.Node, c.Part, c.ReplicaID, ok
			if got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestEveryPartHasAName(t *testing.T) {
	t.Parallel()
	for _, p := range Parts {
		c, ok := ParseContainerName("/" + p.ContainerName("0123456789ab"))
		if !ok || c != (ReplicaContainer{Part: p.Name, ReplicaID: "0123456789ab"}) {
			t.Errorf("%s is read as %+v (%t)", p.Name, c, ok)
		}
	}
}

// TestPartsOfEarlierVersions reads the names that containers have before 2.3.
func TestPartsOfEarlierVersions(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]ReplicaContainer{
		"/w/dtr-nautilusstore-0123456789ab": {Node: "w", Part: "scanningstore", ReplicaID: "0123456789ab", Former: true},
		"/w/dtr-etcd-0123456789ab":          {Node: "w", Part: "etcd", ReplicaID: "0123456789ab", Old: true},
	} {
		if got, ok := ParseContainerName(name); !ok || got != want {
			t.Errorf("%s: %+v (%t), want %+v", name, got, ok, want)
		}
	}
}

func TestIsBootstrapper(t *testing.T) {
	t.Parallel()
	const mirror = "registry.example.com/team/installer"
	for _, tt := range []struct {
		repository, command string
		want                bool
	}{
		{"docker/dtr", "", true},
		{"mirantis/dtr", "/bin/dtr upgrade", true},
		{"registry.mirantis.com/msr/dtr", "", true},
		{mirror, "", true},
		{"registry.example.com/docker/dtr", "/bin/dtr upgrade", true},
		{"registry.example.com/docker/dtr", "/bin/dtr join --ucp-node worker2", true},
		{"registry.example.com/other/installer", "/bin/dtr upgrade --existing-replica-id=0123456789ab", true},
		{"", "/bin/dtr remove --ucp-insecure-tls", true}, // an image that has lost its tag
		{"registry.example.com/finance/dtr", "java -jar daily-trade-report.jar", false},
		{"registry.example.com/finance/dtr", "", false},
		{"docker/dtr-content-cache", "/start.sh", false},
		{"library/backup", "backup --all", false},
	} {
		if got := IsBootstrapper(tt.repository, mirror, tt.command); got != tt.want {
			t.Errorf("%s %q: %t, want %t", tt.repository, tt.command, got, tt.want)
		}
	}
}

func TestCacheImage(t *testing.T) {
	for name, c := range map[string]struct{ repository, running, version, want string }{
		"vendor's":              {"", "docker/dtr-content-cache", "2.6.8", "docker/dtr-content-cache:2.6.8"},
		"vendor's, moved":       {"", "docker/dtr-content-cache", "2.6.15", "mirantis/dtr-content-cache:2.6.15"},
		"vendor's, moved again": {"", "mirantis/dtr-content-cache", "2.10.0", "registry.mirantis.com/msr/dtr-content-cache:2.10.0"},
		"vendor's, moved back":  {"", "registry.mirantis.com/msr/dtr-content-cache", "2.7.4", "docker/dtr-content-cache:2.7.4"},
		"written in long":       {"", "docker.io/docker/dtr-content-cache", "2.6.15", "mirantis/dtr-content-cache:2.6.15"},
		"not known":             {"", "", "2.6.15", "mirantis/dtr-content-cache:2.6.15"},
		"mirror":                {"", "registry.example.com:5000/docker/dtr-content-cache", "2.6.15", "registry.example.com:5000/docker/dtr-content-cache:2.6.15"},
		"a name of its own":     {"", "registry.example.com/team/cache", "2.6.15", "registry.example.com/team/cache:2.6.15"},
		"as it is written":      {"registry.example.com/mirror/cache", "docker/dtr-content-cache", "2.6.15", "registry.example.com/mirror/cache:2.6.15"},
	} {
		if got := CacheImage(c.repository, c.running, semver.MustParse(c.version)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
