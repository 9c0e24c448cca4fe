package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
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
			"maintenance_window": values{"schedule": "0 22 * * 6", "duration": "4h", "timezone": "Europe/Berlin", "wait": true},
			"timeouts":           values{"create": "1h", "update": "8h", "read": "1m"},
		}, ""},
		"everything unknown": {values{
			"target_version": unknown{}, "via": unknown{}, "existing_replica_id": unknown{}, "image": unknown{}, "backup": unknown{},
			"maintenance_window": unknown{}, "migration": unknown{}, "max_interruption": unknown{}, "skip_checks": unknown{}, "timeouts": unknown{},
		}, ""},
		"unknown parts": {values{
			"target_version": "2.7.8", "via": []any{unknown{}, "2.6.15"},
			"image":              values{"repository": unknown{}, "pull": unknown{}, "digests": values{"2.7.8": unknown{}}, "archives": values{"2.6.15": unknown{}}},
			"backup":             values{"file": unknown{}},
			"maintenance_window": values{"schedule": unknown{}, "duration": "4h", "timezone": unknown{}, "wait": unknown{}},
			"migration":          values{"retriggers": unknown{}}, "skip_checks": []any{unknown{}}, "timeouts": values{"create": unknown{}},
		}, ""},
		"no target":                {values{}, "at target_version"},
		"leading v":                {values{"target_version": "v2.6.15"}, "Error: Not a DTR version\n  at target_version\n\ntarget_version is not a DTR version: \"v2.6.15\" starts with \"v\"; write \"2.6.15\".\n"},
		"latest":                   {values{"target_version": "latest"}, "what it means changes with time"},
		"range":                    {values{"target_version": "~> 2.6"}, "at target_version"},
		"two numbers":              {values{"target_version": "2.6"}, "has no patch number"},
		"pre-release":              {values{"target_version": "2.6.0-tp9"}, "is a pre-release"},
		"build metadata":           {values{"target_version": "2.6.15+1"}, "at target_version"},
		"bad stop":                 {values{"target_version": "2.7.8", "via": []any{"2.6"}}, "\n\nvia[0] is not a DTR version: \"2.6\" has no patch number; write"},
		"commas":                   {values{"target_version": "2,6,15"}, "target_version is not a DTR version: \"2,6,15\" has a comma where a dot belongs; write \"2.6.15\".\n"},
		"no stop":                  {values{"target_version": "2.7.8", "via": []any{nil}}, "Error: A value is null\n  at via[0]\n\nvia[0] is null"},
		"no stop, second":          {values{"target_version": "2.7.8", "via": []any{"2.6.15", nil}}, "at via[1]"},
		"no digest":                {values{"target_version": "2.6.15", "image": values{"digests": values{"2.6.15": nil}}}, "at image.digests[\"2.6.15\"]"},
		"no archive":               {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": nil}}}, "image.archives[\"2.6.15\"] is null"},
		"null check":               {values{"target_version": "2.6.15", "skip_checks": []any{nil}}, "\n\nskip_checks holds a null.\n"},
		"stops descend":            {values{"target_version": "2.8.13", "via": []any{"2.7.8", "2.6.15"}}, "Error: The stops of an upgrade must ascend\n  at via[0]\n"},
		"stop twice":               {values{"target_version": "2.8.13", "via": []any{"2.7.8", "2.7.8"}}, "Error: A stop is listed twice\n  at via[0]\n\nvia lists 2.7.8 twice.\n"},
		"stop is target":           {values{"target_version": "2.7.8", "via": []any{"2.6.15", "2.7.8"}}, ""},
		"target twice":             {values{"target_version": "2.7.8", "via": []any{"2.7.8", "2.7.8"}}, "via lists 2.7.8 twice"},
		"stop beyond":              {values{"target_version": "2.9.0", "via": []any{"2.10.0"}}, "at via[0]"},
		"replica id":               {values{"target_version": "2.6.15", "existing_replica_id": "0123456789AB"}, "Error: Not a replica id of 12 lower-case hexadecimal digits\n  at existing_replica_id\n\nexisting_replica_id is not"},
		"tag":                      {values{"target_version": "2.6.15", "image": values{"repository": "docker/dtr:2.6.15"}}, "Error: Not an image repository\n  at image.repository\n\nimage.repository is not an image repository: it is \"docker/dtr:2.6.15\"; write \"docker/dtr\", without a tag or a digest.\n"},
		"tag in a port's registry": {values{"target_version": "2.6.15", "image": values{"repository": "registry.example.com:5000/dtr:2.6.15"}}, "write \"registry.example.com:5000/dtr\", without a tag"},
		"registry":                 {values{"target_version": "2.6.15", "image": values{"repository": "registry.example.com"}}, "\n\nimage.repository is not an image repository: \"registry.example.com\" is a registry; write the repository in it as well, such as \"registry.example.com/mirror/dtr\".\n"},
		"registry and port":        {values{"target_version": "2.6.15", "image": values{"repository": "registry.example.com:5000/"}}, "such as \"registry.example.com:5000/mirror/dtr\""},
		"scheme":                   {values{"target_version": "2.6.15", "image": values{"repository": "https://registry.example.com/dtr"}}, "write \"registry.example.com/dtr\", without a scheme"},
		"repository of the Hub":    {values{"target_version": "2.6.15", "image": values{"repository": "dtr"}}, ""},
		"pull":                     {values{"target_version": "2.6.15", "image": values{"pull": "sometimes"}}, "Error: Not a pull policy\n  at image.pull\n\nimage.pull is not a pull policy: it is \"sometimes\"; write \"missing\", \"always\" or \"never\".\n"},
		"digest":                   {values{"target_version": "2.6.15", "image": values{"digests": values{"2.6.15": "sha256:1234"}}}, "Error: Not an image digest\n  at image.digests[\"2.6.15\"]\n"},
		"digest of what":           {values{"target_version": "2.6.15", "image": values{"digests": values{"latest": digest}}}, "Error: Not a DTR version\n  at image.digests"},
		"archive of what":          {values{"target_version": "2.6.15", "image": values{"archives": values{"v2.6.15": "x.tar"}}}, "Error: Not a DTR version\n  at image.archives"},
		"archive nowhere":          {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": ""}}}, "at image.archives[\"2.6.15\"]"},
		"archive at home":          {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": "~/dtr.tar.gz"}}}, "\n\nimage.archives[\"2.6.15\"] is \"~/dtr.tar.gz\", and ~ is not expanded: use pathexpand(\"~/dtr.tar.gz\").\n"},
		"archive that is no file":  {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": "/dev/null"}}}, "\n\nimage.archives[\"2.6.15\"] is \"/dev/null\", which is there and is not a regular file: name another one.\n"},
		"archive, a directory":     {values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": "/tmp"}}}, "\n\nimage.archives[\"2.6.15\"] is \"/tmp\", which is a directory: name a file in it.\n"},
		"backup at home":           {values{"target_version": "2.6.15", "backup": values{"file": "~/dtr.tar"}}, "backup.file is \"~/dtr.tar\", and ~ is not expanded: use pathexpand"},
		"digest of a file":         {values{"target_version": "2.6.15", "image": values{"digests": values{"2.6.15": digest}, "archives": values{"2.6.15": unknown{}}}}, "Error: The digest of an image from an archive cannot be checked\n  at image.digests[\"2.6.15\"]\n"},
		"backup nowhere":           {values{"target_version": "2.6.15", "backup": values{"file": ""}}, "at backup.file"},
		"backup of none":           {values{"target_version": "2.6.15", "backup": values{}}, "at backup.file"},
		"retriggers":               {values{"target_version": "2.6.15", "migration": values{"retriggers": -1}}, "Error: Not a number of at least 0\n  at migration.retriggers\n\nmigration.retriggers is not a number of at least 0: it is -1.\n"},
		"interruption":             {values{"target_version": "2.6.15", "max_interruption": "30"}, "Error: Not a duration\n  at max_interruption\n\nmax_interruption is not a duration: it is \"30\"; write \"30s\".\n"},
		"less than none":           {values{"target_version": "2.6.15", "max_interruption": "-1s"}, "is negative"},
		"no check":                 {values{"target_version": "2.6.15", "skip_checks": []any{}}, ""},
		"no such check":            {values{"target_version": "2.6.15", "skip_checks": []any{"weather"}}, "\n\nskip_checks names \"weather\", which is no check; what can be skipped is replica-health, garbage-collection,"},
		"time-out":                 {values{"target_version": "2.6.15", "timeouts": values{"update": "soon"}}, "at timeouts.update\n\ntimeouts.update is not a time limit: it is \"soon\"; write it like \"90m\".\n"},
		"hours in words":           {values{"target_version": "2.6.15", "timeouts": values{"create": "6 hours"}}, "Error: Not a time limit\n  at timeouts.create\n\ntimeouts.create is not a time limit: it is \"6 hours\"; write \"6h\".\n"},
		"no time":                  {values{"target_version": "2.6.15", "timeouts": values{"create": "0s"}}, "timeouts.create is not a time limit: \"0s\" leaves no time; write a longer one, or leave it out.\n"},
		"less than no time":        {values{"target_version": "2.6.15", "timeouts": values{"read": "-1.5h"}}, "\"-1h30m\" leaves no time"},
		"two things wrong":         {values{"target_version": "2.x", "existing_replica_id": "x"}, "at existing_replica_id"},
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

// TestValidateSkipChecks holds that the checks of which it may be decided can be
// skipped, and no other.
func TestValidateSkipChecks(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	for check, allowed := range map[preflight.Check]bool{
		preflight.ReplicaHealth: true, preflight.GarbageCollection: true, preflight.Memory: true,
		preflight.Image: true, preflight.ContentTrust: true,

		preflight.Transition: false, preflight.MixedVersions: false, preflight.ForeignUpgrade: false, preflight.PendingMigration: false,
		preflight.ReplicaCount: false, preflight.UCPVersion: false, preflight.EngineVersion: false, preflight.ReleaseAdvisory: false,
		preflight.Window: false, preflight.Backup: false, preflight.LeftOver: false, preflight.Address: false,
	} {
		diags := p.validate(values{"target_version": "2.6.15", "skip_checks": []any{string(check)}})
		if text := render(diags); !allowed && !strings.Contains(text, fmt.Sprintf("skip_checks names %q, which ", check)) {
			t.Errorf("%s is not named:\n%s", check, text)
		}
		if text := render(diags); allowed != !hasErrors(diags) || !allowed && !strings.Contains(text, "at skip_checks") {
			t.Errorf("%s: may be skipped: %t; got:\n%s", check, allowed, text)
		}
	}
	text := render(p.validate(values{"target_version": "2.6.15", "skip_checks": []any{"backup"}}))
	const want = "Error: Not a check that can be skipped\n  at skip_checks[...]\n\nskip_checks names \"backup\", which only warns where no backup is asked for; " +
		"one that is asked for has to be taken, or backup removed; what can be skipped is replica-health, garbage-collection, memory, image, content-trust.\n"
	if !strings.Contains(text, want) {
		t.Errorf("got:\n%s\nwant in it:\n%s", text, want)
	}
}

// TestValidateWindow holds what terraform validate says of maintenance windows.
func TestValidateWindow(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	good := values{"schedule": "0 22 * * 6", "duration": "4h"}
	for name, c := range map[string]struct {
		window values
		want   string // "" is valid
	}{
		"least":             {good, ""},
		"descriptor":        {in(good, values{"schedule": "@weekly"}), ""},
		"UTC":               {in(good, values{"timezone": "UTC"}), ""},
		"a week":            {in(good, values{"duration": "168h"}), ""},
		"no schedule":       {in(good, values{"schedule": nil}), "at maintenance_window.schedule"},
		"no duration":       {in(good, values{"duration": nil}), "at maintenance_window.duration"},
		"not cron":          {in(good, values{"schedule": "Saturday"}), "Error: Not a cron schedule\n  at maintenance_window.schedule\n"},
		"30 February":       {in(good, values{"schedule": "0 0 30 2 *"}), "\"0 0 30 2 *\" names a time that does not exist.\n"},
		"period":            {in(good, values{"schedule": "@every 1h"}), "is an interval"},
		"zone in schedule":  {in(good, values{"schedule": "CRON_TZ=UTC 0 22 * * 6"}), "an attribute of its own.\n"},
		"not a duration":    {in(good, values{"duration": "4"}), "Error: Not the duration of a maintenance window\n  at maintenance_window.duration\n\nmaintenance_window.duration is not the duration of a maintenance window: it is \"4\"; write \"4h\".\n"},
		"days":              {in(good, values{"duration": "2 days"}), "it is \"2 days\"; write \"48h\".\n"},
		"hours and minutes": {in(good, values{"duration": "1 hour, 30 minutes"}), "write \"1h30m\""},
		"too many hours":    {in(good, values{"duration": "200"}), "it is \"200\"; write it like \"4h\".\n"},
		"months":            {in(good, values{"duration": "1 month"}), "write it like \"4h\""},
		"Sunday":            {in(good, values{"schedule": "0 22 * * 7"}), "\n\nmaintenance_window.schedule is not a cron schedule: in \"0 22 * * 7\" the day of the week is \"7\"; it takes 0 (Sunday) to 6 (Saturday), or SUN to SAT.\n"},
		"empty zone":        {in(good, values{"timezone": ""}), "maintenance_window.timezone is not a time zone: it is empty; write \"UTC\", or an IANA name"},
		"no time":           {in(good, values{"duration": "0s"}), "1m to 168h, and not for 0s.\n"},
		"negative duration": {in(good, values{"duration": "-4h"}), "at maintenance_window.duration"},
		"longer":            {in(good, values{"duration": "169h"}), "at maintenance_window.duration"},
		"unknown zone":      {in(good, values{"timezone": "Europe/Atlantis"}), "Error: Not a time zone\n  at maintenance_window.timezone\n\nmaintenance_window.timezone is not a time zone: \"Europe/Atlantis\" is no IANA name of one; write it like \"Europe/Berlin\".\n"},
		"machine's zone":    {in(good, values{"timezone": "Local"}), "at maintenance_window.timezone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := render(p.validate(values{"target_version": "2.6.15", "maintenance_window": c.window}))
			if c.want == "" && text != "" || !strings.Contains(text, c.want) {
				t.Errorf("got:\n%s\nwant in it: %q", text, c.want)
			}
		})
	}
}
