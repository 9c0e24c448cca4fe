package provider

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/window"
)

// stringCheck is a validator of one text. Unknown and null values pass.
type stringCheck struct {
	description string
	summary     string // of the diagnostic
	check       func(string) error
}

var _ validator.String = stringCheck{}

func (c stringCheck) Description(context.Context) string         { return c.description }
func (c stringCheck) MarkdownDescription(context.Context) string { return c.description }

func (c stringCheck) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := c.check(req.ConfigValue.ValueString()); err != nil {
		resp.Diagnostics.AddAttributeError(req.Path, c.summary, preflight.Sentence(err))
	}
}

// address checks the address of a service that is asked over HTTPS.
func address(service string) stringCheck {
	return stringCheck{"an HTTPS address without a path", "Not the address of " + service, checkAddress(service)}
}

func checkAddress(service string) func(string) error {
	return func(s string) error {
		_, err := endpoint.New(endpoint.Config{Service: service, URL: s})
		return err
	}
}

// certificates checks the PEM text of certificates.
func certificates() stringCheck {
	return stringCheck{"PEM text of certificates", "Not a PEM certificate", checkCertificates}
}

func checkCertificates(s string) error {
	_, err := endpoint.ParseCertificates(s)
	return err
}

// privateKey checks the PEM text of a key. Its errors repeat nothing of it.
func privateKey() stringCheck {
	return stringCheck{"PEM text of a private key", "Not a PEM private key", func(s string) error {
		block, _ := pem.Decode([]byte(s))
		switch {
		case block == nil:
			return errors.New("no PEM text of a key (-----BEGIN PRIVATE KEY-----) was found; give the text itself, not the name of a file")
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return fmt.Errorf("the PEM text holds a block of type %q where a PRIVATE KEY is due", block.Type)
		}
		return nil
	}}
}

// engineAddress checks the address of a Docker Engine.
func engineAddress() stringCheck {
	return stringCheck{"a unix://, tcp:// or ssh:// address", "Not the address of a Docker Engine", func(s string) error {
		u, err := url.Parse(s)
		if err != nil || !slices.Contains([]string{"unix", "tcp", "ssh"}, u.Scheme) {
			return errors.New(`write it like "unix:///var/run/docker.sock", "tcp://node1.example.com:2376" or "ssh://admin@node1.example.com"`)
		}
		if _, hasPassword := u.User.Password(); hasPassword {
			return errors.New("it holds a password: log in with a key")
		}
		if u.Host == "" && u.Scheme != "unix" || u.Path == "" && u.Scheme == "unix" {
			return fmt.Errorf("nothing follows %s://", u.Scheme)
		}
		return nil
	}}
}

// version checks a version as a user writes it.
func version() stringCheck {
	return stringCheck{"a version of the form MAJOR.MINOR.PATCH", "Not a DTR version", func(s string) error {
		_, err := transition.Parse(s)
		return err
	}}
}

// matching checks a text against a pattern.
func matching(pattern, what, example string) stringCheck {
	expression := regexp.MustCompile(pattern)
	return stringCheck{what, "Not " + what, func(s string) error {
		if !expression.MatchString(s) {
			return fmt.Errorf("%q is not %s; it looks like %q", s, what, example)
		}
		return nil
	}}
}

func replicaID() stringCheck {
	return matching(`^[0-9a-f]{12}$`, "a replica id of 12 lower-case hexadecimal digits", "0123456789ab")
}

func imageDigest() stringCheck {
	return matching(`^sha256:[0-9a-f]{64}$`, "an image digest", "sha256:"+strings.Repeat("0123456789abcdef", 4))
}

// repository checks the name of an image without its tag.
func repository() stringCheck {
	return matching(`^([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9._-]+(/[a-z0-9._-]+)*$`,
		"an image repository without a tag", "registry.example.com/mirror/dtr")
}

// cacheAddress checks the address of a content cache, as DTR hands it on to users.
func cacheAddress() stringCheck {
	return stringCheck{"an HTTPS address without a path", "Not the address of a content cache", func(s string) error {
		if !strings.Contains(s, "://") {
			return fmt.Errorf("%q has no scheme; write it like %q", s, "https://cache.example.com")
		}
		return checkAddress("the content cache")(s)
	}}
}

func containerName() stringCheck {
	return matching(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`, "a name of a container, without a node", "dtr-cache")
}

// duration checks a duration that is not negative.
func duration() stringCheck {
	return stringCheck{"a duration", "Not a duration", func(s string) error {
		d, err := parseDuration(s)
		if err == nil && d < 0 {
			return fmt.Errorf("%q is negative", s)
		}
		return err
	}}
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf(`%q is not a duration; write it like "30s" or "1m30s"`, s)
	}
	return d, nil
}

// windowSchedule checks when a maintenance window opens.
func windowSchedule() stringCheck {
	return stringCheck{"a cron schedule of five fields", "Not a cron schedule", window.CheckSchedule}
}

// windowDuration checks for how long a maintenance window stays open.
func windowDuration() stringCheck {
	return stringCheck{"a duration of 1m to 168h", "Not the duration of a maintenance window", func(s string) error {
		d, err := parseDuration(s)
		if err != nil {
			return err
		}
		return window.CheckDuration(d)
	}}
}

// windowZone checks the zone of a maintenance window.
func windowZone() stringCheck {
	return stringCheck{"the IANA name of a time zone", "Not a time zone", window.CheckZone}
}
