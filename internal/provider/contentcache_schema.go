package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
)

// cacheAttributes are the attributes of dtr_content_cache: required, optional,
// computed, timeouts.
func cacheAttributes(ctx context.Context) map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"name": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "Name of the cache in DTR, by which users choose it. " +
				"Changing it replaces the registration, which DTR cannot change: users who had chosen the cache have to choose it again.",
			Validators: []validator.String{notEmpty()},
		},
		"host": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "Address of the cache: `https://cache.example.com`, with a port if it is not the default. " +
				"Changing it replaces the registration, as changing `name` does.",
			Validators: []validator.String{cacheAddress()},
		},

		"version": schema.StringAttribute{
			Optional: true,
			MarkdownDescription: "The version that the cache should run, `MAJOR.MINOR.PATCH`; usually that of DTR, by a reference to `dtr_upgrade.<name>.current_version`. " +
				"Changing it updates the service or the container to the image of that version; without it only the registration is managed.",
			Validators: []validator.String{version()},
		},
		"service": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "The swarm service that runs the cache; `version` needs this or `container`. " +
				"Changing it changes no service by itself: `version` does.",
			Attributes: map[string]schema.Attribute{
				"name": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "Name of the service; `" + defaultCacheService + "` by default. " +
						"Changing it leaves the other service as it is.",
					Validators: []validator.String{notEmpty()},
				},
			},
		},
		"container": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "The standalone container that runs the cache; `version` needs this or `service`. " +
				"Changing it changes no container by itself: `version` does.",
			Attributes: map[string]schema.Attribute{
				"name": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "Name of the container, without a node; `" + defaultCacheContainer + "` by default. " +
						"Changing it leaves the other container as it is.",
					Validators: []validator.String{containerName()},
				},
				"node": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "Name of the node that has the container; by default the one node where it is found. " +
						"Changing it moves nothing.",
					Validators: []validator.String{notEmpty()},
				},
			},
		},
		"image": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "Where the cache's image comes from. " +
				"Changing it updates the cache to the image from there.",
			Attributes: map[string]schema.Attribute{
				"repository": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "Repository of the cache's image, without a tag, such as `registry.example.com/mirror/dtr-content-cache`. " +
						"By default it stays the one that the cache has; the vendor's own repository follows the version: `docker/dtr-content-cache` or `mirantis/dtr-content-cache`.",
					Validators: []validator.String{repository()},
				},
			},
		},
		"probe": schema.SingleNestedAttribute{
			Optional: true,
			MarkdownDescription: "The check that the cache works, before it is registered and after its image was changed: `GET <host>/v2/_catalog` has to answer with 200 or 401. " +
				"Changing it affects the next change only.",
			Attributes: map[string]schema.Attribute{
				"enabled": schema.BoolAttribute{
					Optional: true,
					MarkdownDescription: "Whether the cache is probed; `true` by default. " +
						"Set it to `false` if the cache cannot be reached from where Terraform runs.",
				},
				"ca_cert": schema.StringAttribute{
					Optional: true,
					MarkdownDescription: "The CA that signed the cache's certificate, as PEM text; it is then the only one trusted. " +
						"Without it the system's CAs are.",
					Validators: []validator.String{certificates()},
				},
				"insecure_skip_verify": schema.BoolAttribute{
					Optional: true,
					MarkdownDescription: "Whether any certificate of the cache is accepted; `false` by default. " +
						"Nothing secret is sent to the cache.",
				},
			},
		},

		"id":      lasting("DTR's id of the registration."),
		"cluster": lasting("DTR's external host, which is the `id` of `dtr_upgrade`."),
		"current_version": schema.StringAttribute{
			Computed: true,
			MarkdownDescription: "The lowest version that runs in any task of the service, or in the container; " +
				"null where nothing runs, where the image's tag is no version (`latest`), and without `service` and `container`.",
		},

		"timeouts": timeLimits(ctx, timeouts.Opts{
			CreateDescription: "How long the first apply waits for the cache; 30 minutes by default. What was started continues after that, and the next apply waits for it.",
			ReadDescription:   "How long a plan or a refresh may read the cache; 2 minutes by default.",
			UpdateDescription: "How long a later apply waits for the cache; 30 minutes by default. What was started continues after that, and the next apply waits for it.",
			DeleteDescription: "How long the removal of the registration may take; 2 minutes by default.",
		}),
	}
}
