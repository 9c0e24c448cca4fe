package provider

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

// resolve configures a provider and returns what it made of it.
func resolve(t *testing.T, config values) (*connection, []string) {
	t.Helper()
	p := New("test")()
	var schema provider.SchemaResponse
	p.Schema(t.Context(), provider.SchemaRequest{}, &schema)
	raw := value(t, schema.Schema.Type().TerraformType(t.Context()), config)
	var resp provider.ConfigureResponse
	p.Configure(t.Context(), provider.ConfigureRequest{Config: tfsdk.Config{Raw: raw, Schema: schema.Schema}}, &resp)
	var problems []string
	for _, d := range resp.Diagnostics.Errors() {
		problems = append(problems, d.Detail())
	}
	conn, _ := resp.ResourceData.(*connection)
	if conn.turn == nil {
		t.Error("there is no turn to wait for")
	}
	conn.turn, conn.session, conn.refreshed, conn.replaced = nil, nil, nil, nil // every connection has its own
	return conn, problems
}

const testCA = `-----BEGIN CERTIFICATE-----
MIIBdjCCAR2gAwIBAgIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDEwtleGFtcGxl
-----END CERTIFICATE-----
`

func TestConfigure(t *testing.T) {
	environment := map[string]string{
		"DTR_URL": "https://dtr.example.com", "DTR_USERNAME": "admin", "DTR_PASSWORD": "dtr-secret",
		"UCP_URL": "https://ucp.example.com", "UCP_USERNAME": "root", "UCP_PASSWORD": "ucp-secret",
	}
	inEnvironment := connection{
		dtr:     dtr.Config{URL: "https://dtr.example.com", Username: "admin", Password: "dtr-secret", UserAgent: "terraform-provider-dtr/test"},
		ucp:     ucp.Config{URL: "https://ucp.example.com", Username: "root", Password: "ucp-secret", UserAgent: "terraform-provider-dtr/test"},
		version: "test",
	}
	with := func(change func(*connection)) connection {
		c := inEnvironment
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		config   values
		env      map[string]string
		want     connection
		problems []string
	}{
		"environment": {env: environment, want: inEnvironment},
		"configuration before environment": {
			config: values{"url": "https://other.example.com", "ucp": values{"username": "operator"}},
			env:    environment,
			want: with(func(c *connection) {
				c.dtr.URL = "https://other.example.com"
				c.ucp.Username = "operator"
			}),
		},
		"flags of the environment": {
			env: merge(environment, map[string]string{"DTR_INSECURE_SKIP_VERIFY": "true", "UCP_INSECURE_TLS": "1"}),
			want: with(func(c *connection) {
				c.dtr.InsecureSkipVerify, c.ucp.InsecureSkipVerify = true, true
			}),
		},
		"false in the configuration before true in the environment": {
			config: values{"insecure_skip_verify": false},
			env:    merge(environment, map[string]string{"DTR_INSECURE_SKIP_VERIFY": "true"}),
			want:   inEnvironment,
		},
		"unknown is not replaced by the environment": {
			config: values{"url": unknown{}, "password": unknown{}, "ucp": values{"ca_cert": unknown{}, "insecure_skip_verify": unknown{}}},
			env:    merge(environment, map[string]string{"UCP_CA": "none"}),
			want: with(func(c *connection) {
				c.dtr.URL, c.dtr.Password = "", ""
				c.unknown = []string{"url", "password", "ucp.ca_cert", "ucp.insecure_skip_verify"}
			}),
		},
		"unknown objects": {
			config: values{"ucp": unknown{}, "docker": unknown{}},
			env:    environment,
			want: with(func(c *connection) {
				c.ucp = ucp.Config{UserAgent: "terraform-provider-dtr/test"}
				c.unknown = []string{"ucp", "docker"}
			}),
		},
		"engine of the environment": {
			config: values{"docker": values{}},
			env:    environment,
			want: with(func(c *connection) {
				c.docker = &ucp.DockerConfig{UseEnv: true, UserAgent: "terraform-provider-dtr/test"}
			}),
		},
		"engine of the configuration": {
			config: values{"docker": values{"host": "tcp://node1.example.com:2376", "ca_cert": "ca", "client_cert": "cert", "client_key": "key", "network_mode": "host"}},
			env:    environment,
			want: with(func(c *connection) {
				c.docker = &ucp.DockerConfig{
					Host: "tcp://node1.example.com:2376", CACert: "ca", ClientCert: "cert", ClientKey: "key", UserAgent: "terraform-provider-dtr/test",
				}
				c.networkMode = "host"
			}),
		},
		"nothing": {
			want: connection{
				dtr: dtr.Config{UserAgent: "terraform-provider-dtr/test"}, ucp: ucp.Config{UserAgent: "terraform-provider-dtr/test"}, version: "test",
			},
			problems: []string{
				"Neither the provider's url nor the environment variable DTR_URL is set.\n\nSet one of them.",
				"Neither the provider's username nor the environment variable DTR_USERNAME is set.\n\nSet one of them.",
				"Neither the provider's password nor the environment variable DTR_PASSWORD is set.\n\nSet one of them.",
				"Neither the provider's ucp.url nor the environment variable UCP_URL is set.\n\nSet one of them.",
				"Neither the provider's ucp.username nor the environment variable UCP_USERNAME is set.\n\nSet one of them.",
				"Neither the provider's ucp.password nor the environment variable UCP_PASSWORD is set.\n\nSet one of them.",
			},
		},
		"bad environment": {
			env: merge(environment, map[string]string{"DTR_URL": "http://dtr.example.com", "UCP_CA": "/etc/ca.pem", "UCP_INSECURE_TLS": "maybe"}),
			want: with(func(c *connection) {
				c.dtr.URL, c.ucp.CACert = "http://dtr.example.com", "/etc/ca.pem"
			}),
			problems: []string{
				`The URL of DTR has the scheme "http": only https protects the password; write "https://dtr.example.com".`,
				"No PEM text of a certificate (-----BEGIN CERTIFICATE-----) was found; give the text itself, not the name of a file.",
				"It takes true or false.",
			},
		},
		"line break in the environment": {
			env: merge(environment, map[string]string{"UCP_PASSWORD": "hunter2\n"}),
			want: with(func(c *connection) {
				c.ucp.Password = "hunter2\n"
			}),
			problems: []string{"It ends in a line break, as the text of a file does."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			got, problems := resolve(t, c.config)
			secrets := cmp.Comparer(func(_, _ *scrub.Secrets) bool { return true }) // TestHostileTexts knows them
			if diff := cmp.Diff(c.want, *got, cmp.AllowUnexported(connection{}), secrets); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.problems, problems); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func merge(settings ...map[string]string) map[string]string {
	merged := map[string]string{}
	for _, s := range settings {
		maps.Copy(merged, s)
	}
	return merged
}

// TestConfigureIsOffline holds that nothing is asked before a plan: the
// addresses lead nowhere.
func TestConfigureIsOffline(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	login := values{"url": "https://192.0.2.1", "username": "admin", "password": "secret"}
	p.ok(nil, p.configure(values{
		"url": "https://192.0.2.1", "username": "admin", "password": "secret",
		"ucp": login, "docker": values{"host": "tcp://192.0.2.1:2376"},
	}))
}

func TestValidateProvider(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config values
		want   string // "" is valid
	}{
		"empty":               {values{}, ""},
		"address":             {values{"url": "https://dtr.example.com:4443/"}, ""},
		"bare host":           {values{"url": "dtr.example.com"}, ""},
		"unknown":             {values{"url": unknown{}, "ca_cert": unknown{}, "ucp": unknown{}, "docker": values{"host": unknown{}, "client_key": unknown{}}}, ""},
		"HTTP":                {values{"url": "http://dtr.example.com"}, "Error: Not the address of DTR\n  at url\n\nurl has the scheme \"http\": only https protects the password; write \"https://dtr.example.com\".\n"},
		"HTTP, nested":        {values{"url": "https://dtr.example.com", "ucp": values{"url": "http://ucp.example.com:8443"}}, "\n\nucp.url has the scheme \"http\": only https protects the password; write \"https://ucp.example.com:8443\".\n"},
		"path":                {values{"url": "https://dtr.example.com/api"}, "more than a host and a port"},
		"password in URL":     {values{"ucp": values{"url": "https://admin:hunter2@ucp.example.com"}}, "Error: Not the address of UCP\n  at ucp.url\n"},
		"empty password":      {values{"password": ""}, "Error: Not a value\n  at password\n\npassword is empty; write a value.\n"},
		"empty UCP user":      {values{"ucp": values{"username": ""}}, "\n\nucp.username is empty; write a value.\n"},
		"password of a file":  {values{"password": "secret", "ucp": values{"password": "hunter2\n"}}, "\n\nucp.password ends in a line break, as the text of a file does: remove it with trimspace().\n"},
		"user of a file":      {values{"username": "admin\r\n"}, "\n\nusername ends in a line break"},
		"path of a CA":        {values{"ca_cert": "/etc/dtr/ca.pem"}, "not the name of a file"},
		"garbage as UCP's CA": {values{"ca_cert": nil, "ucp": values{"ca_cert": "garbage"}}, "Error: Not a PEM certificate\n  at ucp.ca_cert\n\nucp.ca_cert holds no PEM certificate: no PEM text of a certificate"},
		"garbage as engine's": {values{"docker": values{"client_cert": "garbage", "client_key": "hunter2"}}, "docker.client_cert holds no PEM certificate:"},
		"key as a CA":         {values{"ucp": values{"ca_cert": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}}, "where a CERTIFICATE is due"},
		"garbage as a CA":     {values{"ca_cert": testCA}, "Not a PEM certificate"},
		"engine of HTTP":      {values{"docker": values{"host": "http://node1:2375"}}, "Not the address of a Docker Engine"},
		"engine nowhere":      {values{"docker": values{"host": "tcp://"}}, "docker.host is not the address of a Docker Engine: nothing follows tcp://.\n"},
		"engine by socket":    {values{"docker": values{"host": "unix:///var/run/docker.sock"}}, ""},
		"engine by ssh":       {values{"docker": values{"host": "ssh://admin@node1.example.com"}}, ""},
		"engine's password":   {values{"docker": values{"host": "ssh://admin:hunter2@node1.example.com"}}, "log in with a key"},
		"key alone":           {values{"docker": values{"client_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}}, "Error: An attribute needs another one\n  at docker.client_key\n\ndocker.client_key needs docker.client_cert.\n\nSet docker.client_cert as well, or remove docker.client_key.\n"},
		"certificate to come": {values{"docker": values{"client_cert": unknown{}, "client_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"}}, ""},
		"no key":              {values{"docker": values{"client_key": "hunter2"}}, "docker.client_key holds no PEM private key: no PEM text of a key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProtocol(t)
			resp, err := p.server.ValidateProviderConfig(p.ctx, &tfprotov6.ValidateProviderConfigRequest{
				Config: p.dynamic(value(t, p.provider, c.config)),
			})
			p.ok(err, nil)
			got := render(p.linked(resp.Diagnostics))
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got:\n%s\nwant in it: %q", got, c.want)
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("a secret is repeated:\n%s", got)
			}
		})
	}
}

// TestSchemaIsDocumented holds the house's rules for schemas.
func TestSchemaIsDocumented(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	var visit func(at string, attributes []*tfprotov6.SchemaAttribute)
	visit = func(at string, attributes []*tfprotov6.SchemaAttribute) {
		for _, a := range attributes {
			name := at + a.Name
			if !strings.HasSuffix(a.Description, ".") {
				t.Errorf("%s: description %q is not made of sentences", name, a.Description)
			}
			if a.NestedType != nil {
				visit(name+".", a.NestedType.Attributes)
			}
		}
	}
	schemas, err := p.server.GetProviderSchema(p.ctx, &tfprotov6.GetProviderSchemaRequest{})
	p.ok(err, schemas.Diagnostics)
	visit("provider.", schemas.Provider.Block.Attributes)
	for name, schema := range schemas.ResourceSchemas {
		visit(name+".", schema.Block.Attributes)
	}
	for _, name := range []string{"password", "client_key"} {
		if !sensitive(schemas.Provider.Block.Attributes, name) {
			t.Errorf("%s is not sensitive", name)
		}
	}
}

func sensitive(attributes []*tfprotov6.SchemaAttribute, name string) bool {
	found := false
	for _, a := range attributes {
		if a.Name == name {
			if !a.Sensitive {
				return false
			}
			found = true
		}
		if a.NestedType != nil && sensitive(a.NestedType.Attributes, name) {
			found = true
		}
	}
	return found
}
