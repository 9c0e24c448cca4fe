package provider

import (
	"context"

	"github.com/Masterminds/semver/v3"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

var _ datasource.DataSourceWithConfigure = (*clusterDataSource)(nil)

type clusterDataSource struct{ dataSource }

func newClusterDataSource() datasource.DataSource {
	return &clusterDataSource{dataSource{suffix: "_cluster"}}
}

type clusterModel struct {
	ID             string                `tfsdk:"id"`
	CurrentVersion types.String          `tfsdk:"current_version"`
	Versions       types.List            `tfsdk:"versions"`
	Replicas       []clusterReplicaModel `tfsdk:"replicas"`
	Migration      clusterMigrationModel `tfsdk:"migration"`
	Scanner        clusterScannerModel   `tfsdk:"scanner"`
	Caches         []clusterCacheModel   `tfsdk:"caches"`
	GCLockHolder   types.String          `tfsdk:"gc_lock_holder"`
	UCPVersion     types.String          `tfsdk:"ucp_version"`
}

type clusterReplicaModel struct {
	ID            string       `tfsdk:"id"`
	Node          string       `tfsdk:"node"`
	Version       types.String `tfsdk:"version"`
	Healthy       bool         `tfsdk:"healthy"`
	Health        types.String `tfsdk:"health"`
	ReportedAt    types.String `tfsdk:"reported_at"`
	Stale         bool         `tfsdk:"stale"`
	EngineVersion types.String `tfsdk:"engine_version"`
}

type clusterMigrationModel struct {
	State  string       `tfsdk:"state"`
	JobID  types.String `tfsdk:"job_id"`
	Status types.String `tfsdk:"status"`
}

type clusterScannerModel struct {
	Enabled          bool         `tfsdk:"enabled"`
	DatabaseVersion  types.Int64  `tfsdk:"database_version"`
	UpdatedAt        types.String `tfsdk:"updated_at"`
	LastUpdateFailed types.Bool   `tfsdk:"last_update_failed"`
}

type clusterCacheModel struct {
	ID   string `tfsdk:"id"`
	Name string `tfsdk:"name"`
	Host string `tfsdk:"host"`
}

func (d *clusterDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	list := func(description string, attributes map[string]schema.Attribute) schema.ListNestedAttribute {
		return schema.ListNestedAttribute{Computed: true, MarkdownDescription: description, NestedObject: schema.NestedAttributeObject{Attributes: attributes}}
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "The DTR cluster as it is: versions, replicas, the metadata store's migration, the scanner and the caches. It changes nothing.",
		Attributes: map[string]schema.Attribute{
			"id":              computedText("DTR's external host, as DTR itself is configured."),
			"current_version": computedText("The lowest version that runs in any container of any replica."),
			"versions":        computedTexts("The versions that run in any container, ascending; more than one while an upgrade is running or was interrupted."),
			"replicas": list("The replicas, by id.", map[string]schema.Attribute{
				"id":             computedText("The replica's id."),
				"node":           computedText("The UCP node that it runs on."),
				"version":        computedText("The lowest version that runs in any of its containers; null when UCP shows none of them."),
				"healthy":        computedFlag("Whether it reports good health, and the report is not stale."),
				"health":         computedText("Its health in DTR's words, `OK` or a reason; null when it does not report."),
				"reported_at":    computedText("When it last reported its health (RFC 3339, UTC)."),
				"stale":          computedFlag("Whether that report is older than 2 minutes by DTR's own clock."),
				"engine_version": computedText("The version of its node's Docker Engine."),
			}),
			"migration": schema.SingleNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The metadata store's migration, which belongs to the upgrade from 2.5 to 2.6.",
				Attributes: map[string]schema.Attribute{
					"state":  computedText("Its state: `pending`, `running`, `done`, `failed` (DTR does not try again) or `unknown`."),
					"job_id": computedText("The latest `metadatastoremigration` job; null when DTR lists none."),
					"status": computedText("That job's status in DTR's words."),
				},
			},
			"scanner": schema.SingleNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The image scanner and its vulnerability database.",
				Attributes: map[string]schema.Attribute{
					"enabled":            computedFlag("Whether scanning is enabled; the other attributes are null if it is not, and while the database is being updated."),
					"database_version":   computedNumber("The version of the vulnerability database, as DTR numbers it."),
					"updated_at":         computedText("When it was last updated (RFC 3339, UTC)."),
					"last_update_failed": computedFlag("Whether its last update failed."),
				},
			},
			"caches": list("The content caches that are registered.", map[string]schema.Attribute{
				"id":   computedText("The cache's id."),
				"name": computedText("Its name."),
				"host": computedText("Its address."),
			}),
			"gc_lock_holder": computedText("The holder of the garbage collection lock; null if no garbage collection is running."),
			"ucp_version":    computedText("The version of UCP."),
		},
	}
}

func (d *clusterDataSource) Read(ctx context.Context, _ datasource.ReadRequest, resp *datasource.ReadResponse) {
	cluster, ok := d.cluster(&resp.Diagnostics)
	if !ok {
		return
	}
	ctx, cancel := withTimeout(ctx, "read", defaultReadTimeout)
	defer cancel()
	seen, err := upgrade.Describe(ctx, cluster)
	if err != nil {
		resp.Diagnostics.Append(diagnose(notDTRError(ctx, cluster, err))...)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, newClusterModel(seen))...)
}

func newClusterModel(seen *upgrade.Description) *clusterModel {
	m := &clusterModel{
		ID:             seen.Host,
		CurrentVersion: versionValue(seen.CurrentVersion()),
		Versions:       versionTexts(seen.Versions()),
		Replicas:       []clusterReplicaModel{},
		Migration: clusterMigrationModel{
			State: string(seen.Migration.State), JobID: textOrNull(seen.Migration.Job.ID), Status: textOrNull(string(seen.Migration.Job.Status)),
		},
		Caches:       []clusterCacheModel{},
		GCLockHolder: textOrNull(seen.Status.GCLockHolder),
		UCPVersion:   textOrNull(seen.Version.UCP),
	}
	for _, r := range seen.Replicas {
		health, stale := seen.Status.Health[r.ID], seen.Stale(r.ID)
		m.Replicas = append(m.Replicas, clusterReplicaModel{
			ID: r.ID, Node: r.Node, Version: versionValue(r.Version()),
			Healthy: health == dtr.HealthOK && !stale, Health: textOrNull(health),
			ReportedAt: timeValue(seen.Status.Timestamp[r.ID]), Stale: stale,
			EngineVersion: textOrNull(seen.Engine(r.Node)),
		})
	}
	switch s := seen.Scan; {
	case s == nil:
	case s.Busy:
		m.Scanner.Enabled = true
	default:
		m.Scanner = clusterScannerModel{
			Enabled: true, DatabaseVersion: types.Int64Value(int64(s.DBVersion)),
			UpdatedAt: timeValue(s.DBUpdatedAt), LastUpdateFailed: types.BoolValue(s.LastDBUpdateFailed),
		}
	}
	for _, c := range seen.Caches {
		m.Caches = append(m.Caches, clusterCacheModel(c))
	}
	return m
}

func versionValue(v *semver.Version) types.String {
	if v == nil {
		return types.StringNull()
	}
	return types.StringValue(v.String())
}

func versionTexts(list []*semver.Version) types.List {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.String()
	}
	return texts(words)
}

// texts is a list of texts, never null.
func texts(list []string) types.List {
	elements := make([]attr.Value, len(list))
	for i, s := range list {
		elements[i] = types.StringValue(s)
	}
	return types.ListValueMust(types.StringType, elements)
}
