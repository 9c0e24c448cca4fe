package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	providerschema "github.com/hashicorp/terraform-plugin-framework/provider/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// TestValidatorsNameTheAttribute has the validators of every text of the provider
// and the resources refuse what none of them takes.
func TestValidatorsNameTheAttribute(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	checked := 0
	visit := func(of string, at path.Path, a any) {
		texts, ok := a.(interface{ StringValidators() []validator.String })
		if !ok {
			return
		}
		for _, v := range texts.StringValidators() {
			for _, text := range []string{"", "~\x00 of no kind\n"} {
				if _, is := v.(goesWith); is {
					continue // it looks at another attribute
				}
				var resp validator.StringResponse
				v.ValidateString(ctx, validator.StringRequest{Path: at, PathExpression: at.Expression(), ConfigValue: types.StringValue(text)}, &resp)
				for _, d := range resp.Diagnostics {
					checked++
					if !strings.Contains(d.Detail(), at.String()) {
						t.Errorf("%s: %s is refused without its name: %s", of, at, d.Detail())
					}
					if heading(d.Summary()) == "" {
						t.Errorf("%s: %s is refused with %q, which the guide does not explain", of, at, d.Summary())
					}
				}
			}
		}
	}
	p := New("test")()
	var own provider.SchemaResponse
	p.Schema(ctx, provider.SchemaRequest{}, &own)
	for name, a := range own.Schema.Attributes {
		visit("provider", path.Root(name), a)
		if nested, ok := a.(providerschema.SingleNestedAttribute); ok {
			for part, a := range nested.Attributes {
				visit("provider", path.Root(name).AtName(part), a)
			}
		}
	}
	for _, r := range p.Resources(ctx) {
		var meta resource.MetadataResponse
		r().Metadata(ctx, resource.MetadataRequest{ProviderTypeName: "dtr"}, &meta)
		var resp resource.SchemaResponse
		r().Schema(ctx, resource.SchemaRequest{}, &resp)
		for name, a := range resp.Schema.Attributes {
			visit(meta.TypeName, path.Root(name), a)
			if nested, ok := a.(schema.SingleNestedAttribute); ok {
				for part, a := range nested.Attributes {
					visit(meta.TypeName, path.Root(name).AtName(part), a)
				}
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d refusals were seen", checked)
	}
}
