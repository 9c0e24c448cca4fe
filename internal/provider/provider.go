// Package provider is the Terraform provider: schemas, models, plans and
// diagnostics. It alone knows terraform-plugin-framework; what happens on a
// cluster is the business of the upgrade package, and the rules of transition.
//
// It must not import the simulator outside its tests.
package provider

import (
	"context"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/action"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

var (
	_ provider.Provider              = (*dtrProvider)(nil)
	_ provider.ProviderWithFunctions = (*dtrProvider)(nil)
	_ provider.ProviderWithActions   = (*dtrProvider)(nil)
)

type dtrProvider struct {
	version string
	pace    wait.Pace
	now     func() time.Time
	retry   endpoint.Retry
	secrets *scrub.Secrets

	progress log.Progress
}

// Option changes how a provider works; for tests.
type Option func(*dtrProvider)

// WithPace sets how often a run looks at the cluster and how long it waits.
func WithPace(p wait.Pace) Option {
	return func(d *dtrProvider) { d.pace = p }
}

// WithClock sets the clock that maintenance windows are held against.
func WithClock(now func() time.Time) Option {
	return func(d *dtrProvider) { d.now = now }
}

// WithRetry bounds the requests to DTR, UCP and the Docker Engine.
func WithRetry(r endpoint.Retry) Option {
	return func(d *dtrProvider) { d.retry = r }
}

// New returns the constructor that the plugin server asks for; [NewServer] is that server. The version goes
// into the user agent and onto the bootstrapper's container.
func New(version string, opts ...Option) func() provider.Provider {
	return func() provider.Provider {
		p := &dtrProvider{version: version, secrets: scrub.NewSecrets()}
		for _, o := range opts {
			o(p)
		}
		return p
	}
}

func (p *dtrProvider) Metadata(_ context.Context, _ provider.MetadataRequest, resp *provider.MetadataResponse) {
	resp.TypeName = "dtr"
	resp.Version = p.version
}

func (p *dtrProvider) Schema(_ context.Context, _ provider.SchemaRequest, resp *provider.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Upgrades Docker Trusted Registry (DTR) clusters, and Mirantis Secure Registry 2.8 and 2.9, " +
			"along the supported version transitions and nothing else.",
		Attributes: map[string]schema.Attribute{
			"url": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Address of DTR, or of the load balancer in front of it: `https://dtr.example.com`. " +
					"Environment: `DTR_URL`.",
				Validators: []validator.String{address(dtrService)},
			},
			"username": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Name of a DTR administrator. " +
					"Environment: `DTR_USERNAME`.",
				Validators: []validator.String{login()},
			},
			"password": schema.StringAttribute{
				Optional:  true,
				Sensitive: true,
				MarkdownDescription: "Password or access token of that administrator. " +
					"Environment: `DTR_PASSWORD`.",
				Validators: []validator.String{login()},
			},
			"ca_cert": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "The CA that signed DTR's certificate, as PEM text; it is then the only one trusted. " +
					"Without it the system's CAs are. Environment: `DTR_CA_CERT`.",
				Validators: []validator.String{certificates()},
			},
			"insecure_skip_verify": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Whether any certificate of DTR is accepted; `false` by default. " +
					"With `true` the password can be read by whoever answers in DTR's place. Environment: `DTR_INSECURE_SKIP_VERIFY`.",
			},
			"progress_file": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "A file that gets a line for each step of an apply, such as `upgrade.log`; `/dev/tty` is the terminal. Lines are appended. " +
					"Environment: `DTR_PROGRESS_FILE`.",
				Validators: []validator.String{notEmpty()},
			},
			"ucp":    ucpSchema(),
			"docker": dockerSchema(),
		},
	}
}

func ucpSchema() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "The Universal Control Plane that DTR runs on. " +
			"It shows which containers run on which node, and the bootstrapper works through it.",
		Attributes: map[string]schema.Attribute{
			"url": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Address of UCP: `https://ucp.example.com`. " +
					"Environment: `UCP_URL`.",
				Validators: []validator.String{address(ucpService)},
			},
			"username": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Name of a UCP administrator. " +
					"Environment: `UCP_USERNAME`.",
				Validators: []validator.String{login()},
			},
			"password": schema.StringAttribute{
				Optional:  true,
				Sensitive: true,
				MarkdownDescription: "Password of that administrator. The bootstrapper gets it too, in its environment. " +
					"Environment: `UCP_PASSWORD`.",
				Validators: []validator.String{login()},
			},
			"ca_cert": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "The CA that signed UCP's certificate, as PEM text; it is then the only one trusted. " +
					"Without it the system's CAs are. Environment: `UCP_CA`.",
				Validators: []validator.String{certificates()},
			},
			"insecure_skip_verify": schema.BoolAttribute{
				Optional: true,
				MarkdownDescription: "Whether any certificate of UCP is accepted, by the bootstrapper too; `false` by default. " +
					"With `true` the password can be read by whoever answers in UCP's place. Environment: `UCP_INSECURE_TLS`.",
			},
		},
	}
}

func dockerSchema() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional: true,
		MarkdownDescription: "The Docker Engine that runs the bootstrapper. " +
			"Without it the bootstrapper runs through UCP, and no engine is needed where Terraform runs. " +
			"`docker = {}` takes the engine from the environment: `DOCKER_HOST`, `DOCKER_CERT_PATH`, `DOCKER_TLS_VERIFY`.",
		Attributes: map[string]schema.Attribute{
			"host": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Address of the engine: `unix://`, `tcp://` or `ssh://`. " +
					"Environment: `DOCKER_HOST`.",
				Validators: []validator.String{engineAddress()},
			},
			"ca_cert": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The CA that signed the engine's certificate, as PEM text. `tcp://` needs it, or a client certificate, unless the engine is on this machine; with a client certificate alone the system's CAs are trusted.",
				Validators:          []validator.String{certificates()},
			},
			"client_cert": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The certificate to show to the engine, as PEM text. Goes with `client_key`.",
				Validators:          []validator.String{certificates(), goesWith("client_key")},
			},
			"client_key": schema.StringAttribute{
				Optional:            true,
				Sensitive:           true,
				MarkdownDescription: "The key of `client_cert`, as PEM text.",
				Validators:          []validator.String{privateKey(), goesWith("client_cert")},
			},
			"network_mode": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "Network mode of the bootstrapper's container: `host`, `bridge` or the name of a network. " +
					"UCP must be reachable from there; by default it is the engine's default network.",
				Validators: []validator.String{notEmpty()},
			},
		},
	}
}

func (p *dtrProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var m providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	conn, diags := m.connection(ctx)
	resp.Diagnostics.Append(diags...)
	conn.version, conn.pace, conn.now = p.version, p.pace, p.now
	p.secrets.Add(conn.dtr.Password, conn.ucp.Password)
	conn.dtr.Secrets, conn.ucp.Secrets = p.secrets, p.secrets
	conn.dtr.UserAgent, conn.dtr.Retry = p.userAgent(), p.retry
	conn.ucp.UserAgent, conn.ucp.Retry = p.userAgent(), p.retry
	conn.ucp.Patience = p.pace.Outage
	if conn.docker != nil {
		conn.docker.UserAgent, conn.docker.Retry, conn.docker.Secrets = p.userAgent(), p.retry, p.secrets
	}
	if name := conn.progressFile; name != "" {
		if err := p.progress.Open(name); err != nil {
			resp.Diagnostics.Append(noProgress(name, err))
		}
	}
	resp.ResourceData, resp.DataSourceData, resp.ActionData = conn, conn, conn
}

func (p *dtrProvider) userAgent() string { return "terraform-provider-dtr/" + p.version }

func (p *dtrProvider) Resources(context.Context) []func() resource.Resource {
	return []func() resource.Resource{newUpgradeResource, newReplicaResource, newDatabaseResource, newCacheResource}
}

func (p *dtrProvider) DataSources(context.Context) []func() datasource.DataSource {
	return []func() datasource.DataSource{newClusterDataSource, newReleasesDataSource, newJobDataSource, newJobsDataSource}
}

func (p *dtrProvider) Actions(context.Context) []func() action.Action {
	return []func() action.Action{newJobAction, newBackupAction}
}

func (p *dtrProvider) Functions(context.Context) []func() function.Function {
	return []func() function.Function{newTransitionFunction, newUpgradePathFunction}
}
