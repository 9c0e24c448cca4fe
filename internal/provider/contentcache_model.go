package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/contentcache"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
)

type cacheModel struct {
	Name           types.String   `tfsdk:"name"`
	Host           types.String   `tfsdk:"host"`
	Version        types.String   `tfsdk:"version"`
	Service        types.Object   `tfsdk:"service"`
	Container      types.Object   `tfsdk:"container"`
	Image          types.Object   `tfsdk:"image"`
	Probe          types.Object   `tfsdk:"probe"`
	ID             types.String   `tfsdk:"id"`
	Cluster        types.String   `tfsdk:"cluster"`
	CurrentVersion types.String   `tfsdk:"current_version"`
	Timeouts       timeouts.Value `tfsdk:"timeouts"`
}

type cacheServiceModel struct {
	Name types.String `tfsdk:"name"`
}

type cacheContainerModel struct {
	Name types.String `tfsdk:"name"`
	Node types.String `tfsdk:"node"`
}

type cacheImageModel struct {
	Repository types.String `tfsdk:"repository"`
}

type cacheProbeModel struct {
	Enabled            types.Bool   `tfsdk:"enabled"`
	CACert             types.String `tfsdk:"ca_cert"`
	InsecureSkipVerify types.Bool   `tfsdk:"insecure_skip_verify"`
}

// What runs a cache that was deployed as the vendor's pages say. The schema has no
// defaults, see those of dtr_upgrade.
const (
	defaultCacheService   = "dtr-cache_cache"
	defaultCacheContainer = "dtr-cache"
)

// deployed reports whether a service or a container is configured.
func (m *cacheModel) deployed() bool { return !m.Service.IsNull() || !m.Container.IsNull() }

// check finds what one attribute demands of another. What is not known yet passes.
func (m *cacheModel) check() diag.Diagnostics {
	var diags diag.Diagnostics
	known := func(v attr.Value) bool { return !v.IsNull() && !v.IsUnknown() }
	switch {
	case known(m.Service) && known(m.Container):
		diags.AddAttributeError(path.Root("container"), "A content cache is run by a service or by a container",
			"Both service and container are set.\n\nRemove one of them.")
	case known(m.Version) && m.Service.IsNull() && m.Container.IsNull():
		diags.AddAttributeError(path.Root("version"), "It is not said what runs the content cache",
			"version is set, and neither service nor container is.\n\n"+
				"Add service = {} for the swarm service "+defaultCacheService+", container = {} for the container "+defaultCacheContainer+", or name another one in it. "+
				"Without version the registration alone is managed.")
	}
	return diags
}

// options is the configuration as a run understands it; ok is false while part of
// it is not known.
func (m *cacheModel) options(ctx context.Context, conn *connection) (o contentcache.Options, ok bool, diags diag.Diagnostics) {
	var service cacheServiceModel
	var container cacheContainerModel
	var image cacheImageModel
	probe := cacheProbeModel{Enabled: types.BoolNull()}
	lenient := basetypes.ObjectAsOptions{UnhandledNullAsEmpty: true, UnhandledUnknownAsEmpty: true}
	diags.Append(m.Service.As(ctx, &service, lenient)...)
	diags.Append(m.Container.As(ctx, &container, lenient)...)
	diags.Append(m.Image.As(ctx, &image, lenient)...)
	diags.Append(m.Probe.As(ctx, &probe, lenient)...)
	for _, v := range []attr.Value{
		m.Name, m.Host, m.Version, m.Service, m.Container, m.Image, m.Probe,
		service.Name, container.Name, container.Node, image.Repository, probe.Enabled, probe.CACert, probe.InsecureSkipVerify,
	} {
		if v.IsUnknown() {
			return o, false, diags
		}
	}
	o = contentcache.Options{
		Name: m.Name.ValueString(), Host: m.Host.ValueString(), DTRHost: m.Cluster.ValueString(),
		Node: container.Node.ValueString(), Repository: ucp.FamiliarImage(image.Repository.ValueString()), Pace: conn.pace,
	}
	orElse := func(v types.String, otherwise string) string {
		if v.IsNull() {
			return otherwise
		}
		return v.ValueString()
	}
	switch {
	case !m.Service.IsNull():
		o.Service = orElse(service.Name, defaultCacheService)
	case !m.Container.IsNull():
		o.Container = orElse(container.Name, defaultCacheContainer)
	}
	if !m.Version.IsNull() {
		v, err := transition.Parse(m.Version.ValueString())
		if err != nil { // of a value that was not known when the validators ran
			diags.AddAttributeError(path.Root("version"), "Not a DTR version", preflight.Sentence(fmt.Errorf("version is not a DTR version: %w", err)))
			return o, false, diags
		}
		o.Version = v
	}
	if probe.Enabled.IsNull() || probe.Enabled.ValueBool() {
		o.Probe = &contentcache.Probe{
			CACert: probe.CACert.ValueString(), InsecureSkipVerify: probe.InsecureSkipVerify.ValueBool(), UserAgent: conn.dtr.UserAgent,
		}
	}
	return o, true, diags
}

// setRegistration takes a registration over. An address that is only written differently
// stays as the configuration has it.
func (m *cacheModel) setRegistration(c dtr.ContentCache) {
	m.ID = types.StringValue(c.ID)
	m.Name = types.StringValue(c.Name)
	if !contentcache.SameHost(m.Host.ValueString(), c.Host) {
		m.Host = types.StringValue(c.Host)
	}
}

// observe sets the computed values to what runs.
func (m *cacheModel) observe(w contentcache.Workload) {
	m.CurrentVersion = types.StringNull()
	if w.Version != nil {
		m.CurrentVersion = types.StringValue(w.Version.String())
	}
}

// registrationChanged reports whether the registration of prior has to be replaced.
func (m *cacheModel) registrationChanged(prior *cacheModel) bool {
	return !m.Name.Equal(prior.Name) || !contentcache.SameHost(m.Host.ValueString(), prior.Host.ValueString())
}

// runBySame reports whether the same service or container runs the cache.
func (m *cacheModel) runBySame(other *cacheModel) bool {
	return m.Service.Equal(other.Service) && m.Container.Equal(other.Container)
}
