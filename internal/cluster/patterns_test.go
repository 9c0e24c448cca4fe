package cluster

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// FuzzPatterns holds that one of the patterns matches each container that is a replica's or a bootstrapper.
func FuzzPatterns(f *testing.F) {
	const mirror = "registry.example.com/team/installer"
	for _, seed := range [][4]string{
		{"/worker1/dtr-nginx-0123456789ab", "docker/dtr-nginx", "nginx", ""},
		{"/dtr-nautilusstore-0123456789ab", "", "", ""},
		{"/worker1/dtr-phase2", "", "", ""},
		{"/worker1/web", "docker/dtr", "", ""},
		{"/web", "docker/dtr:2.5.6", "upgrade", ""},
		{"/web", "docker/dtr@sha256:0123456789012345678901234567890123456789012345678901234567890123", "", ""},
		{"/web", "registry.mirantis.com/msr/dtr:2.9.0", "", ""},
		{"/web", "dtr", "upgrade", ""},
		{"/web", mirror + ":2.5.6", "", ""},
		{"/web", "docker.io/" + mirror, "", ""},
		{"/web", "sha256:0123", "/bin/run remove --ucp-insecure-tls", ""},
		{"/web", "registry.example.com/other/installer", "/bin/run upgrade --existing-replica-id=0123456789ab", ""},
		{"/web", "web", "web", "dtr.example.com"},
		{"/dtr-worker1/web", "dtr.example.com/team/web:1", "web", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, name, image, command, host string) {
		c := ucp.Container{Name: scrub.Line(name), Image: scrub.Line(image), Command: scrub.Line(command), Labels: map[string]string{LabelCluster: host}}
		text, err := json.Marshal(container.Summary{Names: []string{name}, Image: image, Command: command, Labels: c.Labels})
		if err != nil {
			t.Fatal(err)
		}
		if host == "" {
			c.Labels, text = nil, []byte(regexp.MustCompile(LabelCluster).ReplaceAllString(string(text), ""))
		}
		matches := slices.ContainsFunc(patterns(mirror), func(p *regexp.Regexp) bool { return p.Match(text) })
		if _, part := bootstrap.ParseContainerName(c.Name); (part || isBootstrapper(c, mirror)) && !matches {
			t.Errorf("no pattern matches %s", text)
		}
	})
}

// TestPatternsOfOthers holds that what runs beside a registry called dtr.example.com, or on nodes called dtr-worker, is passed over.
func TestPatternsOfOthers(t *testing.T) {
	t.Parallel()
	text := `{"Names":["/dtr-worker1/web.1.0123456789abc"],"Image":"dtr.example.com/team/web:1","Command":"dtr-sync --all","Labels":{"note":"of dtr."}}`
	for _, p := range patterns("registry.example.com/team/installer") {
		if p.MatchString(text) {
			t.Errorf("%s matches", p)
		}
	}
}
