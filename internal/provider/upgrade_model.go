package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/backup"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/ucp"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/window"
)

type upgradeModel struct {
	TargetVersion     types.String   `tfsdk:"target_version"`
	Via               types.List     `tfsdk:"via"`
	ExistingReplicaID types.String   `tfsdk:"existing_replica_id"`
	Image             types.Object   `tfsdk:"image"`
	MaintenanceWindow types.Object   `tfsdk:"maintenance_window"`
	Backup            types.Object   `tfsdk:"backup"`
	Migration         types.Object   `tfsdk:"migration"`
	MaxInterruption   types.String   `tfsdk:"max_interruption"`
	SkipChecks        types.Set      `tfsdk:"skip_checks"`
	ID                types.String   `tfsdk:"id"`
	CurrentVersion    types.String   `tfsdk:"current_version"`
	ReplicaVersions   types.Map      `tfsdk:"replica_versions"`
	UpgradePath       types.List     `tfsdk:"upgrade_path"`
	LastUpgrade       types.Object   `tfsdk:"last_upgrade"`
	Timeouts          timeouts.Value `tfsdk:"timeouts"`
}

type imageModel struct {
	Repository types.String `tfsdk:"repository"`
	Pull       types.String `tfsdk:"pull"`
	Digests    types.Map    `tfsdk:"digests"`
	Archives   types.Map    `tfsdk:"archives"`
}

type windowModel struct {
	Schedule types.String `tfsdk:"schedule"`
	Duration types.String `tfsdk:"duration"`
	Timezone types.String `tfsdk:"timezone"`
	Wait     types.Bool   `tfsdk:"wait"`
}

type migrationModel struct {
	Retriggers types.Int64 `tfsdk:"retriggers"`
}

type lastUpgradeModel struct {
	From                  string `tfsdk:"from"`
	To                    string `tfsdk:"to"`
	StartedAt             string `tfsdk:"started_at"`
	FinishedAt            string `tfsdk:"finished_at"`
	Hops                  int64  `tfsdk:"hops"`
	BootstrapperRuns      int64  `tfsdk:"bootstrapper_runs"`
	MigrationAttempts     int64  `tfsdk:"migration_attempts"`
	Probes                int64  `tfsdk:"probes"`
	FailedProbes          int64  `tfsdk:"failed_probes"`
	LongestInterruptionMS int64  `tfsdk:"longest_interruption_ms"`
}

// The types of computed values, as the schema has them.
var (
	hopType, _         = upgradePathAttribute.NestedObject.Type().(types.ObjectType)
	lastUpgradeType, _ = lastUpgradeAttribute.GetType().(types.ObjectType)
)

// Defaults of attributes that are left out. The schema has none, so that a
// cluster that was imported, or a configuration written before an attribute
// existed, plans no change.
const (
	defaultMaxInterruption = 30 * time.Second
	defaultRetriggers      = 1
)

// stops are the versions of via and the target; nil while one of them is not
// known. The validators have seen to it that they are versions.
func (m *upgradeModel) stops() ([]*semver.Version, error) {
	if m.Via.IsUnknown() {
		return nil, nil
	}
	var stops []*semver.Version
	for _, e := range append(slices.Clone(m.Via.Elements()), m.TargetVersion) {
		s, ok := e.(types.String)
		if !ok || s.IsUnknown() {
			return nil, nil
		}
		v, err := transition.Parse(s.ValueString())
		if err != nil {
			return nil, err
		}
		stops = append(stops, v)
	}
	return stops, nil
}

// options is the configuration as a run understands it. What is not known yet
// counts as left out, except that without skip_checks no check that may be
// skipped is an error: apply decides, with all of it known. There are no options
// while the versions are not known.
func (m *upgradeModel) options(ctx context.Context, prior *upgradeModel) (*upgrade.Options, diag.Diagnostics) {
	var diags diag.Diagnostics
	stops, err := m.stops()
	if err != nil {
		return nil, diagnose(err)
	}
	if stops == nil {
		return nil, nil
	}
	var image imageModel
	var asked backupModel
	var migration migrationModel
	lenient := basetypes.ObjectAsOptions{UnhandledNullAsEmpty: true, UnhandledUnknownAsEmpty: true}
	diags.Append(m.Image.As(ctx, &image, lenient)...)
	diags.Append(m.Backup.As(ctx, &asked, lenient)...)
	diags.Append(m.Migration.As(ctx, &migration, lenient)...)

	last := len(stops) - 1
	if last > 0 && stops[last-1].Equal(stops[last]) { // via is a path that ends in the target
		last--
		stops = slices.Delete(stops, last, last+1)
	}
	o := &upgrade.Options{
		Host:              m.ID.ValueString(),
		Target:            stops[last],
		Via:               stops[:last],
		ExistingReplicaID: m.ExistingReplicaID.ValueString(),
		Images:            image.source(),
		Retriggers:        defaultRetriggers,
		MaxInterruption:   defaultMaxInterruption,
		SkipChecks:        map[preflight.Check]bool{},
	}
	if prior != nil { // whose target the state has only because it was reached
		o.Applied, _ = transition.ParseWire(prior.TargetVersion.ValueString())
	}
	if !m.Backup.IsNull() { // its file is "" while it is not known
		o.Backup = &upgrade.Backup{File: absolutePath(asked.File.ValueString())}
	}
	if r := migration.Retriggers; !r.IsNull() && !r.IsUnknown() {
		o.Retriggers = int(r.ValueInt64())
	}
	window, err := m.window(ctx)
	if err != nil {
		diags.AddAttributeError(path.Root("maintenance_window"), "Not a maintenance window", preflight.Sentence(err))
	}
	o.Window = window
	limit := m.Timeouts.Update
	if prior == nil {
		limit = m.Timeouts.Create
	}
	o.TimeLimit, _ = limit(ctx, defaultRunTimeout)
	if d, err := time.ParseDuration(m.MaxInterruption.ValueString()); err == nil {
		o.MaxInterruption = d
	}
	unknown := m.SkipChecks.IsUnknown()
	for _, e := range m.SkipChecks.Elements() {
		if s, ok := e.(types.String); ok {
			unknown = unknown || s.IsUnknown()
			o.SkipChecks[preflight.Check(s.ValueString())] = true
		}
	}
	if unknown {
		for _, c := range preflight.Skippable() {
			o.SkipChecks[c] = true
		}
	}
	return o, diags
}

// window is the maintenance window; nil where there is none, or while a part of it
// is not known.
func (m *upgradeModel) window(ctx context.Context) (*window.Window, error) {
	if m.MaintenanceWindow.IsNull() || m.MaintenanceWindow.IsUnknown() {
		return nil, nil
	}
	var w windowModel
	if diags := m.MaintenanceWindow.As(ctx, &w, basetypes.ObjectAsOptions{}); diags.HasError() {
		return nil, errors.New(diags.Errors()[0].Detail())
	}
	if w.Schedule.IsUnknown() || w.Duration.IsUnknown() || w.Timezone.IsUnknown() || w.Wait.IsUnknown() {
		return nil, nil
	}
	duration, err := time.ParseDuration(w.Duration.ValueString())
	if err != nil {
		return nil, err
	}
	window, err := window.New(w.Schedule.ValueString(), duration, w.Timezone.ValueString())
	if err != nil {
		return nil, err
	}
	window.Wait = w.Wait.ValueBool()
	return window, nil
}

// source is where images come from. What is not known yet is left out.
func (m imageModel) source() images.Source {
	return images.Source{
		Repository: ucp.FamiliarImage(m.Repository.ValueString()),
		Pull:       images.PullPolicy(m.Pull.ValueString()),
		Digests:    known(m.Digests),
		Archives:   absolute(known(m.Archives)),
	}
}

// known are the texts of a map that are known.
func known(m types.Map) map[string]string {
	texts := map[string]string{}
	for key, e := range m.Elements() {
		if s, ok := e.(types.String); ok && !s.IsUnknown() {
			texts[key] = s.ValueString()
		}
	}
	return texts
}

// absolute are files by their absolute paths, so that a text names them wholly: what
// a relative one means depends on where Terraform runs.
func absolute(files map[string]string) map[string]string {
	for key, name := range files {
		files[key] = absolutePath(name)
	}
	return files
}

func absolutePath(name string) string {
	if name == "" {
		return ""
	}
	return backup.Absolute(name)
}

// observe sets the computed values to what the cluster shows. A replica that DTR
// lists and UCP does not show keeps the version that it was last seen with.
func (m *upgradeModel) observe(seen *cluster.Inventory, before types.Map) {
	if v := seen.CurrentVersion(); v != nil {
		m.CurrentVersion = types.StringValue(v.String())
	}
	last := before.Elements()
	versions := map[string]attr.Value{}
	for id, v := range seen.ReplicaVersions() {
		if v != nil {
			versions[id] = types.StringValue(v.String())
		} else if known, ok := last[id]; ok {
			versions[id] = known
		}
	}
	m.ReplicaVersions = types.MapValueMust(types.StringType, versions)
}

// finish fills in what the plan left open after a run. What the plan has
// promised stays as it is; the next Read brings it up to date.
func (m *upgradeModel) finish(ctx context.Context, report *upgrade.Report, prior *upgradeModel) diag.Diagnostics {
	var diags diag.Diagnostics
	var before types.Map
	if prior != nil {
		before = prior.ReplicaVersions
	}
	var seen upgradeModel
	seen.observe(report.Inventory, before)
	fill(&m.ID, types.StringValue(report.Inventory.Host))
	fill(&m.CurrentVersion, seen.CurrentVersion)
	fill(&m.ReplicaVersions, seen.ReplicaVersions)
	fill(&m.UpgradePath, upgradePath(report.Hops))
	fillPath(&m.UpgradePath, report.PathFrom)
	if m.LastUpgrade.IsUnknown() {
		switch {
		case report.Worked():
			last, d := types.ObjectValueFrom(ctx, lastUpgradeType.AttrTypes, lastUpgradeModel{
				From:                  report.From,
				To:                    report.To,
				StartedAt:             report.StartedAt.Format(time.RFC3339),
				FinishedAt:            report.FinishedAt.Format(time.RFC3339),
				Hops:                  int64(len(report.Hops)),
				BootstrapperRuns:      int64(report.BootstrapperRuns),
				MigrationAttempts:     int64(report.MigrationAttempts),
				Probes:                int64(report.Probes),
				FailedProbes:          int64(report.FailedProbes),
				LongestInterruptionMS: report.LongestInterruption.Milliseconds(),
			})
			diags.Append(d...)
			m.LastUpgrade = last
		case prior != nil:
			m.LastUpgrade = prior.LastUpgrade
		default:
			m.LastUpgrade = types.ObjectNull(lastUpgradeType.AttrTypes)
		}
	}
	return diags
}

// upgradePath is the value of the attribute of that name.
func upgradePath(hops []transition.Hop) types.List {
	elements := make([]attr.Value, len(hops))
	for i, h := range hops {
		elements[i] = hopValue(h, types.StringValue(h.From.String()), types.StringValue(string(h.Rule)))
	}
	return types.ListValueMust(hopType, elements)
}

// openPath is upgradePath of a plan that leaves open with which version it begins, and
// whether a patch is skipped.
func openPath(hops []transition.Hop) types.List {
	path := upgradePath(hops)
	if len(hops) == 0 {
		return path
	}
	elements, first := path.Elements(), hops[0]
	rule := types.StringValue(string(first.Rule))
	if first.Rule == transition.PatchUpgrade || first.Rule == transition.PatchSkip {
		rule = types.StringUnknown()
	}
	elements[0] = hopValue(first, types.StringUnknown(), rule)
	return types.ListValueMust(hopType, elements)
}

func hopValue(h transition.Hop, from, rule types.String) attr.Value {
	jobs := make([]attr.Value, len(h.MigrationJobs))
	for j, name := range h.MigrationJobs {
		jobs[j] = types.StringValue(name)
	}
	return types.ObjectValueMust(hopType.AttrTypes, map[string]attr.Value{
		"from": from, "to": types.StringValue(h.To.String()), "rule": rule, "migration_jobs": types.ListValueMust(types.StringType, jobs),
	})
}

// fillPath fills in with which version a path began, where its plan has left that open.
func fillPath(path *types.List, from string) {
	elements := path.Elements()
	if len(elements) == 0 {
		return
	}
	first, _ := elements[0].(types.Object)
	fields := first.Attributes()
	if from, rule := fields["from"], fields["rule"]; !from.IsUnknown() && !rule.IsUnknown() {
		return
	}
	fields["from"] = types.StringValue(from)
	to, _ := fields["to"].(types.String)
	if began, err := transition.ParseWire(from); err == nil && fields["rule"].IsUnknown() {
		if next, err := transition.ParseWire(to.ValueString()); err == nil {
			fields["rule"] = types.StringValue(string(transition.Classify(began, next)))
		}
	}
	elements[0] = types.ObjectValueMust(hopType.AttrTypes, fields)
	*path = types.ListValueMust(hopType, elements)
}

// running are the versions that the model's replicas were last seen with.
func (m *upgradeModel) running() []*semver.Version {
	texts := []types.String{m.CurrentVersion}
	for _, e := range m.ReplicaVersions.Elements() {
		if s, ok := e.(types.String); ok {
			texts = append(texts, s)
		}
	}
	var versions []*semver.Version
	for _, s := range texts {
		if v, err := transition.ParseWire(s.ValueString()); err == nil {
			versions = append(versions, v)
		}
	}
	return versions
}

// checkDigests refuses a digest for a version whose images come out of an archive:
// a digest is that of a registry's manifest, and what was loaded has none to
// compare.
func checkDigests(ctx context.Context, of types.Object) diag.Diagnostics {
	var image imageModel
	diags := of.As(ctx, &image, basetypes.ObjectAsOptions{UnhandledNullAsEmpty: true, UnhandledUnknownAsEmpty: true})
	archives := image.Archives.Elements()
	for _, version := range slices.Sorted(maps.Keys(image.Digests.Elements())) {
		if _, both := archives[version]; both {
			diags.AddAttributeError(parsePath(fmt.Sprintf("image.digests[%q]", version)), "The digest of an image from an archive cannot be checked",
				fmt.Sprintf("image.archives and image.digests both name %s. A digest is that of a registry's manifest, and an image that is loaded from a file has none.\n\n"+
					"Leave the digest out, and check the file itself: by the sum that came with it, for example.", version))
		}
	}
	return diags
}
