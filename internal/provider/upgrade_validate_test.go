package provider

import (
	"strings"
	"testing"
)

// TestValidate holds what terraform validate says, without a provider
// configuration and without a cluster.
func TestValidate(t *testing.T) {
	t.Parallel()
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	p := newProtocol(t)
	for name, c := range map[string]struct {
		config values
		want   string // "" is valid
	}{
		"target alone": {values{"target_version": "2.6.15"}, ""},
		"everything": {values{
			"target_version": "2.7.8", "via": []any{"2.6.15"}, "existing_replica_id": "0123456789ab",
			"image":     values{"repository": "registry.example.com:5000/mirror/dtr", "pull": "always", "digests": values{"2.7.8": digest}, "archives": values{"2.6.15": "dtr_images_2.6.15.tar.gz"}},
			"backup":    values{"file": "/var/backups/dtr.tar"},
			"migration": values{"retriggers": 0}, "max_interruption": "1m30s", "skip_checks": []any{"memory", "image"},
			"timeouts": values{"create": "1h", "update": "8h", "read": "1m"},
		}, ""},
		"everything unknown": {values{
			"target_version": unknown{}, "via": unknown{}, "existing_replica_id": unknown{}, "image": unknown{}, "backup": unknown{},
			"migration": unknown{}, "max_interruption": unknown{}, "skip_checks": unknown{}, "timeouts": unknown{},
		}, ""},
		"unknown parts": {values{
			"target_version": "2.7.8", "via": []any{unknown{}, "2.6.15"},
			"image":     values{"repository": unknown{}, "pull": unknown{}, "digests": values{"2.7.8": unknown{}}, "archives": values{"2.6.15": unknown{}}},
			"backup":    values{"file": unknown{}},
			"migration": values{"retriggers": unknown{}}, "skip_checks": []any{unknown{}}, "timeouts": values{"create": unknown{}},
		}, ""},
		"no target":        {values{}, "at target_version"},
		"leading v":        {values{"target_version": "v2.6.15"}, "Error: Not a DTR version\n  at target_version\n\n\"v2.6.15\" starts with \"v\"; write \"2.6.15\".\n"},
		"latest":           {values{"target_version": "latest"}, "what it means changes with time"},
		"range":            {values{"target_version": "~> 2.6"}, "at target_version"},
		"two numbers":      {values{"target_version": "2.6"}, "has no patch number"},
		"pre-release":      {values{"target_version": "2.6.0-tp9"}, "is a pre-release"},
		"build metadata":   {values{"target_version": "2.6.15+1"}, "at target_version"},
		"bad stop":         {values{"target_version": "2.7.8", "via": []any{"2.6"}}, "at via[0]"},
		"stops descend":    {values{"target_version": "2.8.13", "via": []any{"2.7.8", "2.6.15"}}, "Error: The stops of an upgrade must ascend\n  at via[0]\n"},
		"stop twice":       {values{"target_version": "2.8.13", "via": []any{"2.7.8", "2.7.8"}}, "at via[0]"},
		"stop is target":   {values{"target_version": "2.7.8", "via": []any{"2.6.15", "2.7.8"}}, "at via[1]"},
		"stop beyond":      {values{"target_version": "2.9.0", "via": []any{"2.10.0"}}, "at via[0]"},
		"replica id":       {values{"target_version": "2.6.15", "existing_replica_id": "0123456789AB"}, "Error: Not a replica id of 12 lower-case hexadecimal digits\n  at existing_replica_id\n"},
		"tag":              {values{"target_version": "2.6.15", "image": values{"repository": "docker/dtr:2.6.15"}}, "Error: Not an image repository without a tag\n  at image.repository\n"},
		"pull":             {values{"target_version": "2.6.15", "image": values{"pull": "sometimes"}}, "at image.pull"},
		"digest":           {values{"target_version": "2.6.15", "image": values{"digests": values{"2.6.15": "sha256:1234"}}}, "Error: Not an image digest\n  at image.digests[\"2.6.15\"]\n"},
		"digest of what":   {values{"target_version": "2.6.15", "image": values{"digests": values{"latest": digest}}}, "Error: Not a DTR version\n  at image.digests"},
		"archive of what":  {values{"target_version": "2.6.15", "image": values{"archives": values{"v2.6.15": "x.tar"}}}, "Error: Not a DTR version\n  at image.archives"},
		"archive nowhere":  {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": ""}}}, "at image.archives[\"2.6.15\"]"},
		"digest of a file": {values{"target_version": "2.6.15", "image": values{"digests": values{"2.6.15": digest}, "archives": values{"2.6.15": unknown{}}}}, "Error: The digest of an image from an archive cannot be checked\n  at image.digests[\"2.6.15\"]\n"},
		"backup nowhere":   {values{"target_version": "2.6.15", "backup": values{"file": ""}}, "at backup.file"},
		"backup of none":   {values{"target_version": "2.6.15", "backup": values{}}, "at backup.file"},
		"retriggers":       {values{"target_version": "2.6.15", "migration": values{"retriggers": -1}}, "at migration.retriggers"},
		"interruption":     {values{"target_version": "2.6.15", "max_interruption": "30"}, "Error: Not a duration\n  at max_interruption\n"},
		"less than none":   {values{"target_version": "2.6.15", "max_interruption": "-1s"}, "is negative"},
		"mandatory check":  {values{"target_version": "2.6.15", "skip_checks": []any{"transition"}}, "at skip_checks"},
		"no such check":    {values{"target_version": "2.6.15", "skip_checks": []any{"weather"}}, "at skip_checks"},
		"time-out":         {values{"target_version": "2.6.15", "timeouts": values{"update": "soon"}}, "at timeouts.update"},
		"two things wrong": {values{"target_version": "2.x", "existing_replica_id": "x"}, "at existing_replica_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := render(p.validate(c.config))
			if c.want == "" && text != "" || !strings.Contains(text, c.want) {
				t.Errorf("got:\n%s\nwant in it: %q", text, c.want)
			}
		})
	}
}
