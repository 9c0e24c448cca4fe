package provider

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// hostileCluster is a cluster whose texts are those of somebody who knows all its
// secrets and means ill.
type hostileCluster struct {
	*simulator.Cluster
	out    clustertest.Log
	forget func() // the token, and listen for none

	mu    sync.Mutex
	token string
}

const hostilePassword = `pa55 "word"/ü<&>+1`

func startHostile(t *testing.T, version string) *hostileCluster {
	t.Helper()
	c := &hostileCluster{Cluster: simulatortest.Start(t, simulatortest.Weathered(simulator.Options{Version: version, Host: host, Password: hostilePassword}))}
	remove := c.Inject(simulator.Fault{Service: simulator.ServiceUCP, Method: http.MethodPost, Path: "/auth/login", Rewrite: func(status int, body []byte) (int, []byte) {
		var answer struct {
			Token string `json:"auth_token"`
		}
		if json.Unmarshal(body, &answer) == nil && answer.Token != "" {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.token = answer.Token
		}
		return status, body
	}})
	c.forget = func() {
		remove()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.token = ""
	}
	return c
}

// secrets are in all the ways in which somebody may repeat them.
func (c *hostileCluster) secrets() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var forms []string
	for _, secret := range []string{hostilePassword, c.token} {
		if secret == "" {
			continue
		}
		encoded, err := json.Marshal(secret)
		must(err)
		quoted := strconv.Quote(secret)
		forms = append(forms,
			secret, string(encoded[1:len(encoded)-1]), quoted[1:len(quoted)-1], url.QueryEscape(secret), url.PathEscape(secret),
			base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)))
	}
	return append(forms, base64.StdEncoding.EncodeToString([]byte("admin:"+hostilePassword)))
}

const forged = "Error: this line is forged"

// text is what should neither be seen nor obeyed.
func (c *hostileCluster) text() string {
	return "\x1b]0;gone\a\x1b[31m\u009b31m\u202e\u2066\u200b\u2028\x00\x7f\r\n" + forged + "\r\n" + strings.Join(c.secrets(), " ") + " " + strings.Repeat("<p>&é", 1000)
}

// protocol is a provider that is connected, its log kept.
func (c *hostileCluster) protocol(t *testing.T) *protocol {
	t.Helper()
	p := newProtocol(t, append(quick(), brief())...)
	p.ctx = tflogtest.RootLogger(p.ctx, &c.out)
	p.ok(nil, p.configure(connected(c.Cluster)))
	return p
}

func hasControls(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) || r == unicode.ReplacementChar
	})
}

// harmless fails the test for what may not be shown.
func (c *hostileCluster) harmless(t *testing.T, name string, diags []*tfprotov6.Diagnostic, states ...any) {
	t.Helper()
	sizes := map[tfprotov6.DiagnosticSeverity]int{}
	told := func(what, text string) {
		t.Helper()
		for _, secret := range c.secrets() {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s: %s tells %q: %q", name, what, secret, text[max(0, i-100):min(len(text), i+100)])
			}
		}
	}
	for _, d := range diags {
		sizes[d.Severity] += len(d.Summary) + len(d.Detail)
		told("a diagnostic", d.Summary+"\n"+d.Detail)
		for i, line := range append([]string{d.Summary}, strings.Split(d.Detail, "\n")...) {
			if hasControls(line) || strings.HasPrefix(strings.TrimSpace(line), forged) || len(line) > 4<<10 {
				t.Errorf("%s: line %d of %d bytes: %q", name, i, len(line), line[:min(len(line), 300)])
			}
		}
		if d.Severity == tfprotov6.DiagnosticSeverityError && strings.TrimSpace(d.Detail) == "" {
			t.Errorf("%s: nothing is left of %q", name, d.Summary)
		}
	}
	for _, size := range sizes {
		if size > 16<<10 {
			t.Errorf("%s: %d bytes of diagnostics", name, size)
		}
	}
	log := c.out.Take()
	told("the log", log)
	for line := range strings.SplitSeq(strings.TrimSpace(log), "\n") {
		if line == "" {
			continue
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || len(line) > 4<<10 {
			t.Errorf("%s: a line of the log of %d bytes, error %v: %q", name, len(line), err, line[:min(len(line), 300)])
		}
		for key, value := range fields {
			if text, ok := value.(string); ok && hasControls(text) {
				t.Errorf("%s: %s in the log: %q", name, key, text[:min(len(text), 300)])
			}
		}
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if hasControls(v) {
				t.Errorf("%s: in the state: %q", name, v[:min(len(v), 300)])
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case values:
			for key, e := range v {
				walk(key)
				walk(e)
			}
		}
	}
	for _, s := range states {
		walk(s)
	}
}

// looks are what only reads, and asks everything that is asked.
var looks = []string{"dtr_upgrade", "dtr_replica", "dtr_cluster", "dtr_jobs", "dtr_job"}

func (c *hostileCluster) look(p *protocol, what string) (diags []*tfprotov6.Diagnostic, state any) {
	switch what {
	case "dtr_upgrade":
		planned := p.plan(nil, values{"target_version": "2.6.15"})
		state := values{}
		for name, v := range planned.after {
			state[name] = plain(v)
		}
		return planned.diags, state
	case "dtr_replica":
		return p.of("dtr_replica").plan(nil, values{"node": "worker4", "version": "2.5.6"}).diags, nil
	case "dtr_job":
		got := p.data(what, values{"id": c.Jobs()[0].ID, "log_lines": 5})
		return got.diags, got.plain()
	}
	got := p.data(what, values{})
	return got.diags, got.plain()
}

var (
	apiVersion = regexp.MustCompile(`^/v1\.\d+/`)
	anID       = regexp.MustCompile(`[0-9a-f]{12,64}`)
)

// leaves are the places of the texts in a JSON value; members named by an id, and the
// elements of a list, count as one.
func leaves(value any, at string, found map[string]bool) {
	switch v := value.(type) {
	case string:
		found[at] = true
	case []any:
		for _, e := range v {
			leaves(e, at+"[]", found)
		}
	case map[string]any:
		for key, e := range v {
			leaves(e, at+"."+anID.ReplaceAllString(key, "*"), found)
		}
	}
}

// spoil adds the text to all texts at a place.
func spoil(value any, at, place, text string) any {
	switch v := value.(type) {
	case string:
		if at == place {
			return v + text
		}
	case []any:
		for i, e := range v {
			v[i] = spoil(e, at+"[]", place, text)
		}
	case map[string]any:
		for key, e := range v {
			v[key] = spoil(e, at+"."+anID.ReplaceAllString(key, "*"), place, text)
		}
	}
	return value
}

// TestHostileTexts puts a hostile text in the place of each text of each answer that a
// look at a cluster gets, one after the other.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	c := startHostile(t, "2.5.6")
	c.AddUser("other", "other-password")
	p := c.protocol(t)
	_, diags := p.invoke("dtr_job", values{"action": "onlinegc"}, nil)
	p.ok(nil, diags)

	type source struct{ service, path string }
	asked := map[source][]string{} // by which look
	for _, what := range looks {
		c.ResetRequests()
		diags, state := c.look(p, what)
		c.harmless(t, what, diags, state)
		for _, r := range c.Requests() {
			s := source{r.Service, apiVersion.ReplaceAllString(r.Path, "/")}
			if r.Method == http.MethodGet && !slices.Contains(asked[s], what) {
				asked[s] = append(asked[s], what)
			}
		}
	}
	cases := 0
	shapes := map[string]bool{}
	for _, s := range slices.SortedFunc(maps.Keys(asked), func(a, b source) int { return strings.Compare(a.service+a.path, b.service+b.path) }) {
		shape := s.service + " " + anID.ReplaceAllString(s.path, "*")
		if shapes[shape] {
			continue // the same of another replica
		}
		shapes[shape] = true
		places := map[string]bool{}
		var mu sync.Mutex
		remove := c.Inject(simulator.Fault{Service: s.service, Method: http.MethodGet, Path: s.path, Rewrite: func(status int, body []byte) (int, []byte) {
			var value any
			if json.Unmarshal(body, &value) == nil {
				mu.Lock()
				defer mu.Unlock()
				leaves(value, "", places)
			}
			return status, body
		}})
		for _, what := range asked[s] {
			c.look(p, what)
		}
		remove()
		for _, place := range slices.Sorted(maps.Keys(places)) {
			remove := c.Inject(simulator.Fault{Service: s.service, Method: http.MethodGet, Path: s.path, Rewrite: func(status int, body []byte) (int, []byte) {
				var value any
				if json.Unmarshal(body, &value) != nil {
					return status, body
				}
				spoiled, err := json.Marshal(spoil(value, "", place, c.text()))
				must(err)
				return status, spoiled
			}})
			for _, what := range asked[s] {
				diags, state := c.look(p, what)
				c.harmless(t, fmt.Sprintf("%s %s, seen by %s", shape, place, what), diags, state)
				cases++
			}
			remove()
		}
		// And where the service, or what is in front of it, refuses to answer.
		for _, status := range []int{302, 403, 418} {
			remove := c.Inject(c.refusal(simulator.Fault{Service: s.service, Method: http.MethodGet, Path: s.path, Status: status}))
			for _, what := range asked[s] {
				diags, state := c.look(p, what)
				c.harmless(t, fmt.Sprintf("%s refused with %d, seen by %s", shape, status, what), diags, state)
				cases++
			}
			remove()
		}
	}
	t.Logf("%d cases at %d kinds of requests", cases, len(shapes))
	if cases < 200 {
		t.Errorf("%d cases: what is asked was not found", cases)
	}
}

// refusal is a fault with a hostile text in all the places where a client looks for
// the reason.
func (c *hostileCluster) refusal(f simulator.Fault) simulator.Fault {
	text := c.text()
	body, err := json.Marshal(map[string]any{"message": text, "errors": []any{map[string]any{"code": text, "message": text}}})
	must(err)
	f.Body = string(body)
	f.Header = http.Header{"Location": {"https://user:in-the-user@login.example.com/\u202e%1B[31m/" + url.PathEscape(hostilePassword) + "?password=" + url.QueryEscape(hostilePassword)}}
	return f
}

// TestHostileRun has what is changed refused, or gone wrong, with hostile texts.
func TestHostileRun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		fault func(c *hostileCluster)
		want  string // in the diagnostics
	}{
		"login": {func(c *hostileCluster) {
			c.forget()
			c.Inject(c.refusal(simulator.Fault{Service: simulator.ServiceUCP, Path: "/auth/login", Status: 401}))
		}, "UCP refuses the user name or the password"},
		"login redirected": {func(c *hostileCluster) {
			c.forget()
			c.Inject(c.refusal(simulator.Fault{Service: simulator.ServiceUCP, Path: "/auth/login", Status: 302}))
		}, "redirects to https://login.example.com/"},
		"create": {func(c *hostileCluster) {
			c.Inject(c.refusal(simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create", Status: 400}))
		}, "Error response from daemon"},
		"create redirected": {func(c *hostileCluster) {
			c.Inject(c.refusal(simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/containers/create", Status: 307}))
		}, "redirects to https://login.example.com/"},
		"pull": {func(c *hostileCluster) {
			c.RemoveImage("docker/dtr:2.6.15")
			c.Inject(c.refusal(simulator.Fault{Service: simulator.ServiceEngine, Method: http.MethodPost, Path: "/images/create", Status: 404}))
		}, "could not be pulled"},
		"bootstrapper": {func(c *hostileCluster) {
			c.SetBootstrapper(simulator.BootstrapperFaults{DieAtReplica: 1, FatalRecord: "failed to wait for rethink to be healthy" + c.text()})
		}, "database did not become ready"},
		"job's status": {func(c *hostileCluster) {
			c.SetMigration(simulator.MigrationFaults{Status: "levitating" + c.text()})
		}, "levitating"},
		"job's log": {func(c *hostileCluster) {
			c.SetMigration(simulator.MigrationFaults{Fail: -1})
			c.Inject(simulator.Fault{Service: simulator.ServiceDTR, Method: http.MethodGet, Path: "/api/v0/jobs/*/logs", Rewrite: func(status int, _ []byte) (int, []byte) {
				body, err := json.Marshal([]any{map[string]any{"data": "before" + c.text(), "lineNum": 1}, map[string]any{"data": c.text(), "lineNum": 2}})
				must(err)
				return status, body
			}})
		}, "The last lines of its log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startHostile(t, "2.5.6")
			p := c.protocol(t)
			p.ok(nil, p.plan(nil, values{"target_version": "2.6.15"}).diags)
			planned := p.plan(nil, values{"target_version": "2.6.15"})
			tt.fault(c)
			if strings.HasPrefix(name, "login") {
				p = c.protocol(t) // without a session
			}
			done := p.applyPlan(nil, planned)
			c.harmless(t, name, done.diags, done.plain())
			if text := render(done.diags); !strings.Contains(text, tt.want) {
				t.Errorf("got:\n%s\nwant %q", text, tt.want)
			}
		})
	}
}
