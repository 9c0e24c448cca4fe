package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

// replicaAttributes are the attributes of dtr_replica: required, optional,
// computed, timeouts.
func replicaAttributes(ctx context.Context) map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"node": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "The UCP node that the replica runs on, by its host name: a Linux worker without a replica. " +
				"Changing it joins a replica on the other node and removes this one; with `create_before_destroy` in that order, so that the cluster never has fewer replicas.",
			Validators:    []validator.String{notEmpty()},
			PlanModifiers: []planmodifier.String{stringplanmodifier.RequiresReplace()}, // a replica's data cannot be moved
		},

		"existing_replica_id": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "The replica that the bootstrapper connects to, and on whose node it runs; by default the first healthy one by id. " +
				"Changing it changes nothing on the cluster; a removal ignores one that no longer exists.",
			Validators: []validator.String{replicaID()},
		},
		"replica_http_port":  portAttribute("HTTP", "80"),
		"replica_https_port": portAttribute("HTTPS", "443"),
		"image": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "Where the bootstrapper's image comes from. " +
				"Changing it affects the removal only.",
			Attributes: map[string]schema.Attribute{
				"repository": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "Repository of the bootstrapper's image, without a tag; by default the vendor's for the version that the cluster runs. " +
						"With a mirror, `registry.example.com/mirror/dtr`, the other images are expected next to it.",
					Validators: []validator.String{repository()},
				},
				"pull": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "When the bootstrapper's image is pulled: `missing`, which is the default, `always` or `never`. " +
						"With `never` all images must have been loaded before, on the node too.",
					Validators: []validator.String{pullPolicy()},
				},
			},
		},

		"id": lasting("The replica's id: 12 hexadecimal digits."),
		"cluster": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "DTR's external host, which is the `id` of `dtr_upgrade`.",
		},
		"version": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "The lowest version that runs in any container of the replica. A replica joins at the version of the cluster, and is upgraded with it.",
		},
		"health": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "`OK`, or what DTR's cluster status says instead.",
		},

		"timeouts": timeLimits(ctx, timeouts.Opts{
			CreateDescription: "How long an apply waits for the replica to join, its turn included; 2 hours by default. What was started on the cluster continues after that, and the next apply waits for it.",
			ReadDescription:   "How long a plan or a refresh may read the cluster; 2 minutes by default.",
			DeleteDescription: "How long an apply waits for the replica to be removed, its turn included; 2 hours by default. What was started on the cluster continues after that, and the next apply waits for it.",
		}),
	}
}

func portAttribute(protocol, usual string) schema.Int64Attribute {
	return schema.Int64Attribute{
		Optional: true,
		Computed: true,
		MarkdownDescription: "The port that the replica serves " + protocol + " on; DTR's default is " + usual + ". " +
			"It is set when the replica joins, and changing it is refused.",
		Validators: []validator.Int64{numberCheck{1, 65535}},
	}
}
