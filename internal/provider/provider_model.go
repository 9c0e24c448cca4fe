package provider

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/bootstrap"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/wait"
)

type providerModel struct {
	URL                types.String `tfsdk:"url"`
	Username           types.String `tfsdk:"username"`
	Password           types.String `tfsdk:"password"`
	CACert             types.String `tfsdk:"ca_cert"`
	InsecureSkipVerify types.Bool   `tfsdk:"insecure_skip_verify"`
	ProgressFile       types.String `tfsdk:"progress_file"`
	UCP                types.Object `tfsdk:"ucp"`
	Docker             types.Object `tfsdk:"docker"`
}

type ucpModel struct {
	URL                types.String `tfsdk:"url"`
	Username           types.String `tfsdk:"username"`
	Password           types.String `tfsdk:"password"`
	CACert             types.String `tfsdk:"ca_cert"`
	InsecureSkipVerify types.Bool   `tfsdk:"insecure_skip_verify"`
}

type dockerModel struct {
	Host        types.String `tfsdk:"host"`
	CACert      types.String `tfsdk:"ca_cert"`
	ClientCert  types.String `tfsdk:"client_cert"`
	ClientKey   types.String `tfsdk:"client_key"`
	NetworkMode types.String `tfsdk:"network_mode"`
}

// connection is what the provider's configuration comes to. It holds no open
// connection: every operation makes its own clients, but for UCP's, since UCP limits
// how many sessions a user has.
type connection struct {
	dtr         dtr.Config
	ucp         ucp.Config
	docker      *ucp.DockerConfig // nil runs the bootstrapper through UCP
	networkMode string

	progressFile string // "" for none

	// unknown are the attributes whose values only an apply will tell. While there
	// are any, nothing is connected to.
	unknown []string

	version string
	pace    wait.Pace
	now     func() time.Time // nil is time.Now
	turn    chan struct{}    // of the joins and removals of replicas, one at a time
	session *sharedUCP       // of all operations

	refreshed *refreshed // what the last refresh has read

	replaced *sync.Map // ids of replicas in the state, by the node that is configured for them
}

// sharedUCP is the client of UCP, made by the first operation that needs it.
type sharedUCP struct {
	once   sync.Once
	client *ucp.Client
	err    error
}

func (s *sharedUCP) of(c ucp.Config) (*ucp.Client, error) {
	s.once.Do(func() { s.client, s.err = ucp.New(c) })
	return s.client, s.err
}

// refreshed is the inventory that a refresh has read, for the plan that follows it in
// the same process. An apply is of another process, and looks for itself.
type refreshed struct {
	mu   sync.Mutex
	seen *cluster.Inventory
	at   time.Time
}

// refreshedLimit is how old an inventory may be when a plan takes it. Terraform plans a
// resource right after its refresh.
const refreshedLimit = 5 * time.Second

func (r *refreshed) keep(seen *cluster.Inventory) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.at = seen, time.Now()
}

// take returns the inventory once, and nil if there is none or it is too old.
func (r *refreshed) take() *cluster.Inventory {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	if time.Since(r.at) > refreshedLimit {
		return nil
	}
	return seen
}

// connectionOf is what Configure of the provider has handed to a resource, a data
// source or an action; nil before that, while Terraform validates.
func connectionOf(data any, diags *diag.Diagnostics) *connection {
	if data == nil {
		return nil
	}
	conn, ok := data.(*connection)
	if !ok {
		diags.AddError("Provider data of an unexpected type", fmt.Sprintf("Got %T. This is a bug in the provider.", data))
	}
	return conn
}

// notConnectedError says that the provider cannot be asked before an apply.
type notConnectedError struct{ unknown []string }

func (e *notConnectedError) Error() string {
	return "the value of " + strings.Join(e.unknown, ", ") + " in the provider's configuration is not known yet"
}

// cluster makes the clients. It makes no network call. The error is a
// *notConnectedError while something is unknown.
func (c *connection) cluster() (cluster.Cluster, error) {
	if len(c.unknown) > 0 {
		return cluster.Cluster{}, &notConnectedError{c.unknown}
	}
	d, err := dtr.New(c.dtr)
	if err != nil {
		return cluster.Cluster{}, err
	}
	u, err := c.session.of(c.ucp)
	if err != nil {
		return cluster.Cluster{}, err
	}
	var docker *cluster.Docker
	if c.docker != nil {
		docker = cluster.NewDocker(*c.docker)
	}
	return cluster.Cluster{
		DTR: d,
		UCP: u,
		Login: bootstrap.UCP{
			URL:      u.URL(),
			Username: c.ucp.Username,
			Password: c.ucp.Password,
			CA:       c.ucp.CACert,
			Insecure: c.ucp.InsecureSkipVerify,
		},
		Docker:      docker,
		NetworkMode: c.networkMode,
	}, nil
}

// connection resolves the configuration. It makes no network call.
func (m providerModel) connection(ctx context.Context) (*connection, diag.Diagnostics) {
	var r resolver
	var conn connection

	conn.dtr = dtr.Config{
		URL:                r.required(path.Root("url"), m.URL, "DTR_URL", checkAddress(dtrService)),
		Username:           r.required(path.Root("username"), m.Username, "DTR_USERNAME", checkEnvironmentLogin),
		Password:           r.required(path.Root("password"), m.Password, "DTR_PASSWORD", checkEnvironmentLogin),
		CACert:             r.text(path.Root("ca_cert"), m.CACert, "DTR_CA_CERT", checkCertificates),
		InsecureSkipVerify: r.flag(path.Root("insecure_skip_verify"), m.InsecureSkipVerify, "DTR_INSECURE_SKIP_VERIFY"),
	}

	if !m.ProgressFile.IsUnknown() { // nothing waits for it
		conn.progressFile = r.text(path.Root("progress_file"), m.ProgressFile, "DTR_PROGRESS_FILE", nil)
	}

	at := path.Root("ucp")
	if m.UCP.IsUnknown() {
		r.unknown = append(r.unknown, at.String())
	} else {
		var u ucpModel
		r.diags.Append(m.UCP.As(ctx, &u, basetypes.ObjectAsOptions{UnhandledNullAsEmpty: true})...)
		conn.ucp = ucp.Config{
			URL:                r.required(at.AtName("url"), u.URL, "UCP_URL", checkAddress(ucpService)),
			Username:           r.required(at.AtName("username"), u.Username, "UCP_USERNAME", checkEnvironmentLogin),
			Password:           r.required(at.AtName("password"), u.Password, "UCP_PASSWORD", checkEnvironmentLogin),
			CACert:             r.text(at.AtName("ca_cert"), u.CACert, "UCP_CA", checkCertificates),
			InsecureSkipVerify: r.flag(at.AtName("insecure_skip_verify"), u.InsecureSkipVerify, "UCP_INSECURE_TLS"),
		}
	}

	at = path.Root("docker")
	if m.Docker.IsUnknown() {
		r.unknown = append(r.unknown, at.String())
	} else if !m.Docker.IsNull() {
		var d dockerModel
		r.diags.Append(m.Docker.As(ctx, &d, basetypes.ObjectAsOptions{})...)
		conn.docker = &ucp.DockerConfig{
			Host:       r.text(at.AtName("host"), d.Host, "", nil),
			CACert:     r.text(at.AtName("ca_cert"), d.CACert, "", nil),
			ClientCert: r.text(at.AtName("client_cert"), d.ClientCert, "", nil),
			ClientKey:  r.text(at.AtName("client_key"), d.ClientKey, "", nil),
			// An address from the environment brings its certificates along, and one
			// from the configuration must not be shown those of another engine.
			UseEnv: d.Host.IsNull(),
		}
		conn.networkMode = r.text(at.AtName("network_mode"), d.NetworkMode, "", nil)
	}

	conn.unknown, conn.turn, conn.session, conn.refreshed, conn.replaced = r.unknown, make(chan struct{}, 1), &sharedUCP{}, &refreshed{}, &sync.Map{}
	return &conn, r.diags
}

// resolver looks attributes up. One that is not set is taken from the
// environment; one that is not known yet is not, since the environment may mean
// another cluster.
type resolver struct {
	unknown []string
	diags   diag.Diagnostics
}

// text is the value of an attribute, "" when it is not set anywhere or not known
// yet. The check is made on what the environment says: attributes have
// validators. No env is no fall-back.
func (r *resolver) text(at path.Path, v types.String, env string, check func(string) error) string {
	if v.IsUnknown() {
		r.unknown = append(r.unknown, at.String())
		return ""
	}
	if !v.IsNull() || env == "" {
		return v.ValueString()
	}
	value := os.Getenv(env)
	if value == "" || check == nil {
		return value
	}
	if err := check(value); err != nil {
		r.diags.Append(badEnvironment(at, env, err))
	}
	return value
}

func (r *resolver) required(at path.Path, v types.String, env string, check func(string) error) string {
	value := r.text(at, v, env, check)
	if value == "" && !v.IsUnknown() {
		r.diags.Append(missingSetting(at, env))
	}
	return value
}

func (r *resolver) flag(at path.Path, v types.Bool, env string) bool {
	switch {
	case v.IsUnknown():
		r.unknown = append(r.unknown, at.String())
		return false
	case !v.IsNull() || os.Getenv(env) == "":
		return v.ValueBool()
	}
	value, err := strconv.ParseBool(os.Getenv(env))
	if err != nil {
		r.diags.Append(badEnvironment(at, env, errNoBool))
	}
	return value
}
