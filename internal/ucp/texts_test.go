package ucp

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// hostile is what an engine should not be able to have shown.
const hostile = "\x1b]0;gone\a\u202e\u009b31m\nError: forged "

// shown fails the test for what must not be in an error.
func shown(t *testing.T, err error, limit int) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	text := err.Error()
	if text != scrub.Line(text) || strings.Contains(text, "pa55word") || strings.Contains(text, "cGE1NXdvcmQ") || strings.Contains(text, "token1") || len(text) > limit {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

// TestEngineErrorsAreScrubbed holds that an error of an engine repeats no secret, is short, and stays what it was.
func TestEngineErrorsAreScrubbed(t *testing.T) {
	said := `refused: UCP_PASSWORD=pa55word, cGE1NXdvcmQ=, Bearer token1-of-a-session ` + hostile + strings.Repeat("<p>HTML</p>", 55_000)
	refusal := func(status int) http.HandlerFunc { return always(status, map[string]string{"message": said}) }
	s := serveUCP(t, "1.40", handlers{
		"POST /auth/login":          always(200, `{"auth_token":"token1-of-a-session"}`),
		"POST /containers/create":   refusal(409),
		"GET /containers/x/json":    refusal(404),
		"POST /containers/x/start":  always(500, said),
		"POST /images/create":       always(200, map[string]any{"errorDetail": map[string]any{"code": 404, "message": said[:10_000]}}),
		"GET /services/x":           refusal(404),
		"GET /images/json":          refusal(403),
		"GET /nodes":                always(200, `["`+strings.Repeat("x", 3000)),
		"GET /containers/y/json":    always(200, `{"State":{"Error":"pa55word\u001b\u202e"}}`),
		"GET /distribution/x/json":  refusal(503),
		"DELETE /containers/x":      always(502, said),
		"GET /containers/json":      always(418, said),
		"GET /containers/log/json":  always(200, `{}`),
		"GET /containers/log/logs":  refusal(500),
		"POST /containers/log/stop": always(302, ""),
	})
	s.tokens = nil
	e := s.engine()
	ctx := t.Context()
	errorOf := func(_ any, err error) error { return err }
	for name, tt := range map[string]struct {
		err error
		is  func(error) bool
	}{
		"create":  {errorOf(e.Create(ctx, CreateSpec{Name: "x", Image: "i", Env: []string{"UCP_PASSWORD=pa55word"}})), cerrdefs.IsConflict},
		"inspect": {errorOf(e.Container(ctx, "x")), cerrdefs.IsNotFound},
		"start":   {e.Start(ctx, "x"), cerrdefs.IsInternal},
		"pull":    {e.Pull(ctx, "x", nil), cerrdefs.IsNotFound},
		"service": {errorOf(e.Services().Inspect(ctx, "x")), cerrdefs.IsNotFound},
		"images":  {errorOf(e.Images(ctx, "")), cerrdefs.IsPermissionDenied},
		"nodes":   {errorOf(e.Nodes(ctx)), func(err error) bool { _, ok := errors.AsType[*endpoint.ResponseError](err); return ok }},
		"look up": {errorOf(e.RemoteImage(ctx, "x")), cerrdefs.IsUnavailable},
		"remove":  {e.Remove(ctx, "x"), cerrdefs.IsUnavailable},
		"list":    {errorOf(e.Containers(ctx, nil)), func(error) bool { return true }},
		"log":     {errorOf(e.Logs(ctx, "log", nil, false)), cerrdefs.IsInternal},
	} {
		t.Run(name, func(t *testing.T) {
			shown(t, tt.err, 700)
			if !tt.is(tt.err) {
				t.Errorf("it lost its type: %v", tt.err)
			}
		})
	}
	if c, err := e.Container(ctx, "y"); err != nil || c.Error != `***\x1b\u202e` {
		t.Errorf("%q, error %v", c.Error, err)
	}
}

// TestTextsOfTheEngineCanBeShown holds that names and other texts of what an engine lists are no commands to a terminal.
func TestTextsOfTheEngineCanBeShown(t *testing.T) {
	const bad = `\u001b[31m\n\u202e`
	s := serveUCP(t, "1.40", handlers{
		"GET /containers/json":   always(200, `[{"Names":["/w`+bad+`/c`+bad+`"],"Image":"i`+bad+`","State":"`+bad+`","Status":"`+bad+`","Command":"`+bad+`","Labels":{"`+bad+`":"`+bad+`"}}]`),
		"GET /containers/x/json": always(200, `{"Name":"/c`+bad+`","State":{"Status":"`+bad+`","Health":{"Status":"`+bad+`"}},"Config":{"Image":"`+bad+`","Labels":{"`+bad+`":"`+bad+`"}}}`),
		"GET /nodes":             always(200, `[{"ID":"`+bad+`","Spec":{"Role":"`+bad+`","Availability":"`+bad+`"},"Description":{"Hostname":"n`+bad+`","Platform":{"OS":"`+bad+`"},"Engine":{"EngineVersion":"`+bad+`"}},"Status":{"State":"`+bad+`","Addr":"`+bad+`"}}]`),
		"GET /version":           always(200, `{"Version":"`+bad+`","Components":[{"Name":"Universal Control Plane","Version":"`+bad+`"}]}`),
		"GET /services/x":        always(200, `{"ID":"x","Spec":{"Name":"s`+bad+`","TaskTemplate":{"ContainerSpec":{"Image":"`+bad+`"}}},"UpdateStatus":{"State":"`+bad+`","Message":"`+bad+`"}}`),
		"GET /tasks":             always(200, `[{"ID":"`+bad+`","ServiceID":"x","NodeID":"`+bad+`","DesiredState":"`+bad+`","Status":{"State":"`+bad+`","Err":"`+bad+`"}}]`),
		"GET /images/json":       always(200, `[{"RepoTags":["`+bad+`"],"RepoDigests":["`+bad+`"]}]`),
	})
	e := s.engine()
	ctx := t.Context()
	list, err := e.Containers(ctx, nil)
	check := func(what string, err error, texts ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for i, text := range texts {
			if !strings.Contains(text, `\x1b[31m\n\u202e`) || text != scrub.Line(text) {
				t.Errorf("%s: text %d is %q", what, i, text)
			}
		}
	}
	for _, c := range list {
		check("list", err, c.Name, c.Node, c.Image, c.State, c.Status, c.Command)
		for name, value := range c.Labels {
			check("labels", nil, name, value)
		}
	}
	c, err := e.Container(ctx, "x")
	check("container", err, c.Name, c.Status, c.Health, c.Image)
	for name, value := range c.Labels {
		check("labels", nil, name, value)
	}
	nodes, err := e.Nodes(ctx)
	for _, n := range nodes {
		check("node", err, n.ID, n.Hostname, n.Addr, n.State, n.Availability, n.Role, n.OS, n.EngineVersion)
	}
	v, err := e.Version(ctx)
	check("version", err, v.Engine, v.UCP)
	service, err := e.Services().Inspect(ctx, "x")
	check("service", err, service.Name, service.Image, string(service.UpdateState), service.UpdateMessage)
	tasks, err := e.Services().Tasks(ctx, service)
	for _, task := range tasks {
		check("task", err, task.ID, task.NodeID, task.Desired, task.State, task.Error)
	}
	images, err := e.Images(ctx, "")
	for image := range images {
		check("image", err, image)
	}
	if len(list) != 1 || len(nodes) != 1 || len(tasks) != 1 || len(images) != 1 {
		t.Error("not all was read")
	}
}

// TestLoginIsRedirected holds that a login that is sent elsewhere says where to, and sends the password there by no means.
func TestLoginIsRedirected(t *testing.T) {
	s := serveUCP(t, "1.40", handlers{"POST /auth/login": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://sso.example.com/start/pa55word?request=in-the-query", http.StatusFound)
	}})
	err := s.client().Login(t.Context())
	redirect, ok := errors.AsType[*endpoint.RedirectError](err)
	if !ok || redirect.From != s.URL+loginPath || redirect.To != "https://sso.example.com/start/***" {
		t.Errorf("error %v", err)
	}
}

// TestShortPasswordHidesNothing holds that a password which is in every text by chance neither hides what failed nor is told by it.
func TestShortPasswordHidesNothing(t *testing.T) {
	for _, password := range []string{"a", "500", "UCP", "page", "answered"} {
		s := serveUCP(t, "1.40", handlers{
			"POST /auth/login":         always(200, `{"auth_token":"t"}`),
			"GET /distribution/x/json": always(404, `{"message":"404 page not found"}`),
			"POST /containers/x/start": always(500, `{"message":"page 5000 was answered"}`),
		})
		s.tokens = nil
		c, err := New(Config{URL: s.URL, Username: "admin", Password: password, CACert: s.ca, Retry: quick})
		if err != nil {
			t.Fatal(err)
		}
		e, err := c.Engine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.RemoteImage(t.Context(), "x"); !errors.Is(err, ErrNoPage) {
			t.Errorf("%q: error %v", password, err)
		}
		err = e.Start(t.Context(), "x")
		if !cerrdefs.IsInternal(err) || !strings.Contains(err.Error(), "cannot start container x") {
			t.Errorf("%q: error %v", password, err)
		}
		if _, told, _ := strings.Cut(err.Error(), "***"); told != "" {
			t.Errorf("%q is told by: %v", password, err)
		}
	}
}
