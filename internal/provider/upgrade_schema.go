package provider

import (
	"context"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/mapvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
)

// upgradeAttributes are the attributes of dtr_upgrade: required, optional,
// computed, timeouts.
func upgradeAttributes(ctx context.Context) map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"target_version": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "The version that every replica should run: `MAJOR.MINOR.PATCH`. " +
				"Raising it upgrades the cluster in place; lowering it is refused.",
			Validators: []validator.String{version()},
		},

		"via": schema.ListAttribute{
			Optional:    true,
			ElementType: types.StringType,
			MarkdownDescription: "The versions to stop at on the way, in order, when one step cannot reach the target: `[\"2.6.15\"]`. " +
				"Stops that the cluster has passed are ignored, so the list may stay after the upgrade.",
			Validators: []validator.List{noNulls{}, listvalidator.ValueStringsAre(version())},
		},
		"existing_replica_id": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "The replica that the bootstrapper connects to, and on whose node it runs; by default the first healthy one by id. " +
				"Changing it affects the next upgrade only.",
			Validators: []validator.String{replicaID()},
		},
		"image": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "Where DTR's images come from. " +
				"Changing it affects the next upgrade only.",
			Attributes: map[string]schema.Attribute{
				"repository": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "Repository of the bootstrapper's image, without a tag; by default the vendor's for the version, such as `docker/dtr`. " +
						"With a mirror, `registry.example.com/mirror/dtr`, the other images are expected next to it.",
					Validators: []validator.String{repository()},
				},
				"pull": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "When the bootstrapper's image is pulled: `missing`, which is the default, `always` or `never`. " +
						"With `never` it must have been loaded before.",
					Validators: []validator.String{pullPolicy()},
				},
				"digests": schema.MapAttribute{
					Optional:    true,
					ElementType: types.StringType,
					MarkdownDescription: "The digest that the bootstrapper's image must have, by version: `{ \"2.6.15\" = \"sha256:...\" }`. " +
						"An image with another digest is not run. An image from an archive has none.",
					Validators: []validator.Map{noNulls{}, mapvalidator.KeysAre(version()), mapvalidator.ValueStringsAre(imageDigest())},
				},
				"archives": schema.MapAttribute{
					Optional:    true,
					ElementType: types.StringType,
					MarkdownDescription: "Archives written by `docker save`, by the version whose images they hold: `{ \"2.6.15\" = \"dtr_images_2.6.15.tar.gz\" }`. " +
						"They are read on the machine that runs Terraform and loaded on all nodes where images are missing; nothing is pulled for these versions.",
					Validators: []validator.Map{noNulls{}, mapvalidator.KeysAre(version()), mapvalidator.ValueStringsAre(filePath())},
				},
			},
		},
		"backup": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "A backup of DTR's metadata that is taken before the first hop; none by default. " +
				"Changing it affects the next upgrade only.",
			Attributes: map[string]schema.Attribute{
				"file": schema.StringAttribute{
					Required: true,
					MarkdownDescription: "The file that the backup is written to, on the machine that runs Terraform. " +
						"It is never overwritten: use another name for each upgrade.",
					Validators: []validator.String{filePath()},
				},
				"upload": uploadAttribute,
			},
		},
		"maintenance_window": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "When the bootstrapper may be started, such as outside of peak hours; at any time by default. It is checked before each hop; a hop that has begun is finished. " +
				"Changing it affects the next upgrade only.",
			Attributes: map[string]schema.Attribute{
				"schedule": schema.StringAttribute{
					Required: true,
					MarkdownDescription: "When the window opens, in cron's five fields: minute, hour, day of month, month, day of week. `\"0 22 * * 6\"` is every Saturday at 22:00. " +
						"`@daily`, `@weekly` and `@monthly` are accepted as well.",
					Validators: []validator.String{windowSchedule()},
				},
				"duration": schema.StringAttribute{
					Required: true,
					MarkdownDescription: "How long the window stays open: `\"4h\"`, at least a minute and at most a week. " +
						"No hop begins after that; one that has begun is finished.",
					Validators: []validator.String{windowDuration()},
				},
				"timezone": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "IANA name of the schedule's time zone, such as `Europe/Berlin`; `UTC` by default. " +
						"The schedule follows local (wall-clock) time: a time that is skipped when clocks go forward opens the window right after the change, one that comes twice opens it the first time.",
					Validators: []validator.String{windowZone()},
				},
				"wait": schema.BoolAttribute{
					Optional: true,
					MarkdownDescription: "Whether an apply outside the window waits for it, within its `timeouts`; `false` by default: the apply is refused. " +
						"After the wait all checks are made again.",
				},
			},
		},
		"migration": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "How failed migration jobs are handled. " +
				"Changing it affects the next upgrade only.",
			Attributes: map[string]schema.Attribute{
				"retriggers": schema.Int64Attribute{
					Optional: true,
					MarkdownDescription: "How often a migration job is started again after DTR's own two retries have failed; `1` by default. " +
						"After that the apply fails, and the next one starts the job again.",
					Validators: []validator.Int64{atLeast(0)},
				},
			},
		},
		"max_interruption": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "The longest interruption of DTR during an upgrade that passes without a warning; `\"30s\"` by default, `\"0s\"` means no limit. " +
				"Changing it affects the next upgrade only.",
			Validators: []validator.String{aDuration()},
		},
		"skip_checks": schema.SetAttribute{
			Optional:    true,
			ElementType: types.StringType,
			MarkdownDescription: "Preflight checks whose findings are warnings instead of errors: " + skippable("`", ", ") + ". " +
				"Changing it affects the next upgrade only.",
			Validators: []validator.Set{noNulls{}, setvalidator.ValueStringsAre(skippableCheck())},
		},

		"id": lasting("DTR's external host, as DTR itself is configured."),
		"current_version": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "The lowest version that runs in any container of any replica.",
		},
		"replica_versions": schema.MapAttribute{
			Computed:            true,
			ElementType:         types.StringType,
			MarkdownDescription: "The lowest version that runs in any container of a replica, by replica id.",
		},
		"upgrade_path": upgradePathAttribute,
		"last_upgrade": lastUpgradeAttribute,

		"timeouts": timeLimits(ctx, timeouts.Opts{
			CreateDescription: "How long the first apply waits for an upgrade; 6 hours by default. What was started on the cluster continues after that, and the next apply waits for it.",
			ReadDescription:   "How long a plan or a refresh may read the cluster; 2 minutes by default.",
			UpdateDescription: "How long a later apply waits for an upgrade; 6 hours by default. What was started on the cluster continues after that, and the next apply waits for it.",
		}),
	}
}

var upgradePathAttribute = schema.ListNestedAttribute{
	Computed:            true,
	MarkdownDescription: "The hops that this plan makes; after an apply, those that it made. A create that goes on after an interrupted one shows the hops that were finished then, too, while they are known.",
	NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
		"from":           schema.StringAttribute{Computed: true, MarkdownDescription: "The version before the hop."},
		"to":             schema.StringAttribute{Computed: true, MarkdownDescription: "The version after the hop."},
		"rule":           schema.StringAttribute{Computed: true, MarkdownDescription: "The rule that allows the hop, such as `minor-upgrade`."},
		"migration_jobs": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "The jobs that DTR runs after the hop, and that the next one waits for."},
	}},
}

var lastUpgradeAttribute = schema.SingleNestedAttribute{
	Computed:            true,
	MarkdownDescription: "The last upgrade that this resource made; null if it has made none. After an interruption, what the apply did that finished it.",
	Attributes: map[string]schema.Attribute{
		"from":                    schema.StringAttribute{Computed: true, MarkdownDescription: "The version before it; after an interruption, that before the hop that the apply went on with."},
		"to":                      schema.StringAttribute{Computed: true, MarkdownDescription: "The version after it."},
		"started_at":              schema.StringAttribute{Computed: true, MarkdownDescription: "When it began (RFC 3339, UTC)."},
		"finished_at":             schema.StringAttribute{Computed: true, MarkdownDescription: "When it ended (RFC 3339, UTC)."},
		"hops":                    schema.Int64Attribute{Computed: true, MarkdownDescription: "How many hops it made or finished."},
		"bootstrapper_runs":       schema.Int64Attribute{Computed: true, MarkdownDescription: "How many runs of the bootstrapper it started or adopted."},
		"migration_attempts":      schema.Int64Attribute{Computed: true, MarkdownDescription: "How often migration jobs were attempted, DTR's own retries included."},
		"probes":                  schema.Int64Attribute{Computed: true, MarkdownDescription: "How often DTR's availability was probed."},
		"failed_probes":           schema.Int64Attribute{Computed: true, MarkdownDescription: "How many of the probes failed."},
		"longest_interruption_ms": schema.Int64Attribute{Computed: true, MarkdownDescription: "The longest time without a healthy response, in milliseconds."},
	},
}

// skippable lists the checks of skip_checks.
func skippable(quote, separator string) string {
	var names []string
	for _, c := range preflight.Skippable() {
		names = append(names, quote+string(c)+quote)
	}
	return strings.Join(names, separator)
}
