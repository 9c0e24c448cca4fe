package provider

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/registry"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

var _ datasource.DataSourceWithConfigure = (*releasesDataSource)(nil)

type releasesDataSource struct{ dataSource }

func newReleasesDataSource() datasource.DataSource {
	return &releasesDataSource{dataSource{suffix: "_releases"}}
}

type releasesModel struct {
	Line       types.String   `tfsdk:"line"`
	Repository types.String   `tfsdk:"repository"`
	CACert     types.String   `tfsdk:"ca_cert"`
	Lines      []releaseModel `tfsdk:"lines"`
	Versions   types.List     `tfsdk:"versions"`
	Latest     types.String   `tfsdk:"latest"`
	Tags       types.List     `tfsdk:"tags"`
	Available  types.List     `tfsdk:"available"`
}

type releaseModel struct {
	Line          string     `tfsdk:"line"`
	FirstReleased string     `tfsdk:"first_released"`
	Latest        string     `tfsdk:"latest"`
	Versions      types.List `tfsdk:"versions"`
}

func (d *releasesDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The releases of DTR that this version of the provider knows, and those that a registry has images of. " +
			"A version that is missing from the list is unknown to the provider, not invalid. Without `repository` it contacts no network.",
		Attributes: map[string]schema.Attribute{
			"line": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The minor version to narrow the lists to, such as `2.7`.",
				Validators:          []validator.String{matching(`^[0-9]+\.[0-9]+$`, "a minor version", "2.7")},
			},
			"repository": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "The repository of the bootstrapper's image whose tags are read, such as `docker/dtr` or `registry.example.com/mirror/dtr`. " +
					"For the DTR that the provider is configured for, the provider's login is used; for any other registry, none.",
				Validators: []validator.String{repository()},
			},
			"ca_cert": schema.StringAttribute{
				Optional: true,
				MarkdownDescription: "The CA that signed the registry's certificate, as PEM text; it is then the only one trusted. " +
					"Without it the system's CAs are, and for the provider's own DTR the provider's `ca_cert`.",
				Validators: []validator.String{certificates(), goesWith("repository")},
			},
			"lines": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The minor versions, ascending.",
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"line":           computedText("The minor version."),
					"first_released": computedText("When it first appeared: `YYYY-MM-DD`, or the year."),
					"latest":         computedText("Its latest known patch version."),
					"versions":       computedTexts("Its known patch versions, ascending."),
				}},
			},
			"versions":  computedTexts("All versions of `lines`, ascending."),
			"latest":    computedText("The last of `versions`; null when the line is unknown."),
			"tags":      computedTexts("The repository's tags, as the registry lists them; null without `repository`."),
			"available": computedTexts("Those of `tags` that are a version, of `line` if that is set, ascending; null without `repository`."),
		},
	}
}

func (d *releasesDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m releasesModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	m.fill(transition.Releases())
	m.Tags, m.Available = types.ListNull(types.StringType), types.ListNull(types.StringType)
	if !m.Repository.IsNull() {
		ctx, cancel := withTimeout(ctx, "read", defaultReadTimeout)
		defer cancel()
		tags, err := registry.Tags(ctx, m.Repository.ValueString(), d.registry(m))
		if err != nil {
			resp.Diagnostics.Append(diagnose(err)...)
			return
		}
		m.Tags, m.Available = texts(tags), versionTexts(m.versionsAmong(tags))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

// fill sets the releases of the line, or of all.
func (m *releasesModel) fill(releases []transition.Release) {
	m.Lines, m.Latest = []releaseModel{}, types.StringNull()
	var all, ofLine []*semver.Version
	for _, r := range releases {
		if !m.Line.IsNull() && r.Line != m.Line.ValueString() {
			continue
		}
		if n := len(m.Lines); n == 0 || m.Lines[n-1].Line != r.Line {
			m.Lines, ofLine = append(m.Lines, releaseModel{Line: r.Line, FirstReleased: r.FirstReleased}), nil
		}
		all, ofLine = append(all, r.Version), append(ofLine, r.Version)
		last := &m.Lines[len(m.Lines)-1]
		last.Latest, last.Versions = r.Version.String(), versionTexts(ofLine)
		m.Latest = versionValue(r.Version)
	}
	m.Versions = versionTexts(all)
}

// versionsAmong are the versions of the line among some tags.
func (m *releasesModel) versionsAmong(tags []string) []*semver.Version {
	var list []*semver.Version
	for _, tag := range tags {
		v, err := transition.Parse(tag)
		if err == nil && (m.Line.IsNull() || strings.HasPrefix(tag, m.Line.ValueString()+".")) {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, (*semver.Version).Compare)
	return list
}

// registry is how the repository's registry is reached. The login and the CA of
// the provider are for its own DTR.
func (d *releasesDataSource) registry(m releasesModel) registry.Config {
	c := registry.Config{CACert: m.CACert.ValueString(), UserAgent: d.conn.dtr.UserAgent, Retry: d.conn.dtr.Retry, Secrets: d.conn.dtr.Secrets}
	host, err := registry.Host(m.Repository.ValueString())
	if err != nil || len(d.conn.unknown) > 0 || !sameAddress(d.conn.dtr.URL, host) {
		return c
	}
	c.Username, c.Password = d.conn.dtr.Username, d.conn.dtr.Password
	if m.CACert.IsNull() {
		c.CACert, c.InsecureSkipVerify = d.conn.dtr.CACert, d.conn.dtr.InsecureSkipVerify
	}
	return c
}

// sameAddress reports whether DTR's address is a registry's host.
func sameAddress(address, host string) bool {
	if _, after, ok := strings.Cut(address, "://"); ok {
		address = after
	}
	a, errA := url.Parse("https://" + strings.TrimSpace(address))
	b, errB := url.Parse("https://" + host)
	port := func(u *url.URL) string {
		if u.Port() == "" {
			return "443"
		}
		return u.Port()
	}
	return errA == nil && errB == nil && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}
