package provider

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/window"
)

// stringCheck is a validator of one text. Unknown and null values pass.
//
// Its errors name the attribute in their own words: Terraform shows the first line
// where the last part of the name stands, which for a nested attribute may be that
// of another one.
type stringCheck struct {
	what    string // what the text has to be
	problem string // stands between the attribute and the error; "" where the error goes on with the sentence
	check   func(string) error
}

// isNot is a check whose errors say why a text is not what it has to be.
func isNot(what string, check func(string) error) stringCheck {
	return stringCheck{what, "is not " + what + ":", check}
}

var _ validator.String = stringCheck{}

func (c stringCheck) Description(context.Context) string         { return c.what }
func (c stringCheck) MarkdownDescription(context.Context) string { return c.what }

func (c stringCheck) ValidateString(_ context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if err := c.check(req.ConfigValue.ValueString()); err != nil {
		problem := strings.TrimSpace(c.problem + " " + err.Error())
		if errors.Is(err, errEmpty) {
			c.what = "a value"
		}
		resp.Diagnostics.AddAttributeError(req.Path, "Not "+c.what, fmt.Sprintf("%s %s.", attributeName(req.Path), strings.TrimSuffix(problem, ".")))
	}
}

// attributeName is the name of an attribute as users write it. What is in a set has
// none of its own.
func attributeName(at path.Path) string {
	if last, _ := at.Steps().LastStep(); last != nil {
		if _, inSet := last.(path.PathStepElementKeyValue); inSet {
			at = at.ParentPath()
		}
	}
	return at.String()
}

// address checks the address of a service that is asked over HTTPS.
func address(service string) stringCheck {
	return stringCheck{"the address of " + service, "", func(s string) error {
		return errors.Unwrap(checkAddress(service)(s)) // without the words for the address itself
	}}
}

func checkAddress(service string) func(string) error {
	return func(s string) error {
		_, err := endpoint.New(endpoint.Config{Service: service, URL: s})
		return err
	}
}

// certificates checks the PEM text of certificates.
func certificates() stringCheck {
	return stringCheck{"a PEM certificate", "holds no PEM certificate:", checkCertificates}
}

func checkCertificates(s string) error {
	_, err := endpoint.ParseCertificates(s)
	return err
}

// privateKey checks the PEM text of a key. Its errors repeat nothing of it.
func privateKey() stringCheck {
	return stringCheck{"a PEM private key", "holds no PEM private key:", func(s string) error {
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

// login checks a user name or a password. Its errors repeat nothing of it.
func login() stringCheck {
	return stringCheck{"a user name or a password", "", checkLogin}
}

func checkLogin(s string) error {
	switch {
	case s == "":
		return errEmpty
	case endsLine(s):
		return errors.New("ends in a line break, as the text of a file does: remove it with trimspace()")
	}
	return nil
}

// checkEnvironmentLogin is checkLogin of what stands in an environment variable.
func checkEnvironmentLogin(s string) error {
	if endsLine(s) {
		return errors.New("it ends in a line break, as the text of a file does")
	}
	return nil
}

func endsLine(s string) bool { return strings.HasSuffix(s, "\n") || strings.HasSuffix(s, "\r") }

var errEmpty = errors.New("is empty; write a value")

// notEmpty checks that there is a text.
func notEmpty() stringCheck {
	return stringCheck{"a value", "", func(s string) error {
		if s == "" {
			return errEmpty
		}
		return nil
	}}
}

// filePath checks the path of a file on the machine that runs Terraform.
func filePath() stringCheck {
	return stringCheck{"the path of a file", "", func(s string) error {
		switch {
		case s == "":
			return errEmpty
		case strings.HasPrefix(s, "~"):
			return fmt.Errorf("is %q, and ~ is not expanded: use pathexpand(%q)", s, s)
		}
		// Opening a pipe would wait for somebody to write to it.
		switch info, err := os.Stat(s); { //nolint:gosec // the user's own file
		case err == nil && info.IsDir():
			return fmt.Errorf("is %q, which is a directory: name a file in it", s)
		case err == nil && !info.Mode().IsRegular():
			return fmt.Errorf("is %q, which is there and is not a regular file: name another one", s)
		}
		return nil
	}}
}

// engineAddress checks the address of a Docker Engine.
func engineAddress() stringCheck {
	return isNot("the address of a Docker Engine", func(s string) error {
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
	})
}

// version checks a version as a user writes it.
func version() stringCheck {
	return isNot("a DTR version", func(s string) error {
		_, err := transition.Parse(s)
		return err
	})
}

// matching checks a text against a pattern.
func matching(pattern, what, example string) stringCheck {
	expression := regexp.MustCompile(pattern)
	return isNot(what, func(s string) error {
		if !expression.MatchString(s) {
			return fmt.Errorf("it is %q; write it like %q", s, example)
		}
		return nil
	})
}

func replicaID() stringCheck {
	return matching(`^[0-9a-f]{12}$`, "a replica id of 12 lower-case hexadecimal digits", "0123456789ab")
}

func imageDigest() stringCheck {
	return matching(`^sha256:[0-9a-f]{64}$`, "an image digest", "sha256:"+strings.Repeat("0123456789abcdef", 4))
}

var (
	registryForm = regexp.MustCompile(`^(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+)(?::[0-9]+)?/?$`)
	taggedForm   = regexp.MustCompile(`^(.*[^/])(?::[a-zA-Z0-9._-]+|@[a-z0-9]+:[0-9a-f]+)$`)
)

// repository checks the name of an image without its tag.
func repository() stringCheck {
	const example = "registry.example.com/mirror/dtr"
	c := matching(`^([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9._-]+(/[a-z0-9._-]+)*$`, "an image repository", example)
	form := c.check
	c.check = func(s string) error {
		_, address, hasScheme := strings.Cut(s, "://")
		tagged := taggedForm.FindStringSubmatch(s)
		switch {
		case hasScheme && form(address) == nil && !registryForm.MatchString(address):
			return fmt.Errorf("it is %q; write %q, without a scheme", s, address)
		case registryForm.MatchString(s):
			return fmt.Errorf("%q is a registry; write the repository in it as well, such as %q", s, strings.TrimSuffix(s, "/")+"/mirror/dtr")
		case !hasScheme && tagged != nil && form(tagged[1]) == nil:
			return fmt.Errorf("it is %q; write %q, without a tag or a digest", s, tagged[1])
		}
		return form(s)
	}
	return c
}

// cacheAddress checks the address of a content cache, as DTR hands it on to users.
func cacheAddress() stringCheck {
	c := address("the content cache")
	form := c.check
	c.what = "the address of a content cache"
	c.check = func(s string) error {
		if !strings.Contains(s, "://") && s != "" {
			return fmt.Errorf("has no scheme: it is %q; write it like %q", s, "https://cache.example.com")
		}
		return form(s)
	}
	return c
}

// pullPolicy checks when an image is pulled.
func pullPolicy() stringCheck {
	return isNot("a pull policy", func(s string) error {
		switch images.PullPolicy(s) {
		case images.PullMissing, images.PullAlways, images.PullNever:
			return nil
		}
		return fmt.Errorf("it is %q; write %q, %q or %q", s, images.PullMissing, images.PullAlways, images.PullNever)
	})
}

func containerName() stringCheck {
	return matching(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`, "a name of a container, without a node", "dtr-cache")
}

// duration checks a duration that is not negative.
func aDuration() stringCheck {
	return durationCheck("a duration", time.Second, "30s", func(d time.Duration) error {
		if d < 0 {
			return fmt.Errorf("%q is negative", duration.Text(d))
		}
		return nil
	})
}

// timeLimit checks a time limit of timeouts.
func timeLimit() stringCheck {
	return durationCheck("a time limit", time.Hour, "90m", func(d time.Duration) error {
		if d <= 0 {
			return fmt.Errorf("%q leaves no time; write a longer one, or leave it out", duration.Text(d))
		}
		return nil
	})
}

// windowDuration checks for how long a maintenance window stays open.
func windowDuration() stringCheck {
	return durationCheck("the duration of a maintenance window", time.Hour, "4h", window.CheckDuration)
}

// durationCheck checks a duration. One without a unit is taken to have been meant in
// the given one. What is proposed is nothing that would be refused in turn.
func durationCheck(what string, unit time.Duration, example string, check func(time.Duration) error) stringCheck {
	return isNot(what, func(s string) error {
		d, err := time.ParseDuration(s)
		if err == nil {
			return check(d)
		}
		if d, ok := meantDuration(s, unit); ok && check(d) == nil {
			return fmt.Errorf("it is %q; write %q", s, duration.Text(d))
		}
		return fmt.Errorf("it is %q; write it like %q", s, example)
	})
}

var (
	durationPart  = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?) *([a-z]*)`)
	durationUnits = map[string]time.Duration{
		"s": time.Second, "sec": time.Second, "second": time.Second,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute,
		"h": time.Hour, "hr": time.Hour, "hour": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour,
	}
)

// meantDuration reads a duration as people write it: "6 hours", "1 h 30 m", or "4"
// of the unit that is usual there.
func meantDuration(s string, unit time.Duration) (time.Duration, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	parts := durationPart.FindAllStringSubmatch(s, -1)
	if len(parts) == 0 || strings.Trim(durationPart.ReplaceAllLiteralString(s, ""), " ,") != "" {
		return 0, false
	}
	var sum time.Duration
	for _, part := range parts {
		of, known := durationUnits[part[2]]
		if !known {
			of, known = durationUnits[strings.TrimSuffix(part[2], "s")]
		}
		if part[2] == "" && len(parts) == 1 {
			of, known = unit, true
		}
		number, err := strconv.ParseFloat(part[1], 64)
		if !known || err != nil {
			return 0, false
		}
		sum += time.Duration(number * float64(of))
	}
	return sum, true
}

// windowSchedule checks when a maintenance window opens.
func windowSchedule() stringCheck {
	return isNot("a cron schedule", window.CheckSchedule)
}

// windowZone checks the zone of a maintenance window.
func windowZone() stringCheck {
	return isNot("a time zone", func(s string) error {
		if s == "" { // which package window takes for one that is left out
			return errors.New(`it is empty; write "UTC", or an IANA name like "Europe/Berlin"`)
		}
		return window.CheckZone(s)
	})
}

// skippableCheck checks the name of a preflight check of skip_checks.
func skippableCheck() stringCheck {
	return stringCheck{"a check that can be skipped", "names", func(s string) error {
		if slices.Contains(preflight.Skippable(), preflight.Check(s)) {
			return nil
		}
		why := "which is no check"
		switch preflight.Check(s) {
		case preflight.ReplicaCount, preflight.UCPVersion, preflight.EngineVersion, preflight.ReleaseAdvisory:
			why = "which only warns, so that there is nothing to skip"
		case preflight.Backup:
			why = "which only warns where no backup is asked for; one that is asked for has to be taken, or backup removed"
		case preflight.Window:
			why = "which cannot be skipped; remove maintenance_window instead"
		case preflight.Transition, preflight.MixedVersions, preflight.ForeignUpgrade, preflight.PendingMigration:
			why = "which cannot be skipped: an upgrade in spite of what it finds is refused by DTR, or harms the cluster"
		}
		return fmt.Errorf("%q, %s; what can be skipped is %s", s, why, skippable("", ", "))
	}}
}

// numberCheck is a validator of one whole number, which may be low, high or between
// them. Unknown and null values pass.
type numberCheck struct{ low, high int64 }

func atLeast(low int64) numberCheck { return numberCheck{low, math.MaxInt64} }

var _ validator.Int64 = numberCheck{}

func (c numberCheck) Description(context.Context) string {
	if c.high == math.MaxInt64 {
		return fmt.Sprintf("a number of at least %d", c.low)
	}
	return fmt.Sprintf("a number from %d to %d", c.low, c.high)
}

func (c numberCheck) MarkdownDescription(ctx context.Context) string { return c.Description(ctx) }

func (c numberCheck) ValidateInt64(ctx context.Context, req validator.Int64Request, resp *validator.Int64Response) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	if n := req.ConfigValue.ValueInt64(); n < c.low || n > c.high {
		what := c.Description(ctx)
		resp.Diagnostics.AddAttributeError(req.Path, "Not "+what, fmt.Sprintf("%s is not %s: it is %d.", attributeName(req.Path), what, n))
	}
}

// goesWith is a validator of a text that is of use only with another attribute next to
// it, of which it is the name. Where either is unknown, it passes.
type goesWith string

var _ validator.String = goesWith("")

func (g goesWith) Description(context.Context) string         { return "goes with " + string(g) }
func (g goesWith) MarkdownDescription(context.Context) string { return "goes with `" + string(g) + "`" }

func (g goesWith) ValidateString(ctx context.Context, req validator.StringRequest, resp *validator.StringResponse) {
	if req.ConfigValue.IsNull() || req.ConfigValue.IsUnknown() {
		return
	}
	var other types.String
	at := req.Path.ParentPath().AtName(string(g))
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, at, &other)...)
	if !resp.Diagnostics.HasError() && other.IsNull() {
		m := message{
			Summary: "An attribute needs another one", Seen: fmt.Sprintf("%s needs %s.", req.Path, at),
			Todo: fmt.Sprintf("Set %s as well, or remove %s.", at, req.Path),
		}
		resp.Diagnostics.Append(diag.WithPath(req.Path, m.failure()))
	}
}

// noNulls checks that a collection has no null in it, which what looks at its
// elements passes by.
type noNulls struct{}

var (
	_ validator.List = noNulls{}
	_ validator.Set  = noNulls{}
	_ validator.Map  = noNulls{}
)

func (noNulls) Description(context.Context) string         { return "none of its values is null" }
func (noNulls) MarkdownDescription(context.Context) string { return "none of its values is null" }

func (noNulls) ValidateList(_ context.Context, req validator.ListRequest, resp *validator.ListResponse) {
	for i, e := range req.ConfigValue.Elements() {
		resp.Diagnostics.Append(refuseNull(req.Path.AtListIndex(i), "is null", e)...)
	}
}

func (noNulls) ValidateSet(_ context.Context, req validator.SetRequest, resp *validator.SetResponse) {
	for _, e := range req.ConfigValue.Elements() {
		resp.Diagnostics.Append(refuseNull(req.Path, "holds a null", e)...)
	}
}

func (noNulls) ValidateMap(_ context.Context, req validator.MapRequest, resp *validator.MapResponse) {
	for _, key := range slices.Sorted(maps.Keys(req.ConfigValue.Elements())) {
		resp.Diagnostics.Append(refuseNull(req.Path.AtMapKey(key), "is null", req.ConfigValue.Elements()[key])...)
	}
}

func refuseNull(at path.Path, is string, v attr.Value) diag.Diagnostics {
	if !v.IsNull() {
		return nil
	}
	m := message{Summary: "A value is null", Seen: fmt.Sprintf("%s %s.", at, is), Todo: "Write a value, or leave it out."}
	return diag.Diagnostics{diag.WithPath(at, m.failure())}
}
