// Provider-schema prints the provider's schema as `terraform providers schema
// -json` does, for the documentation generator. It starts no Terraform, and it
// knows what the installed Terraform may not know yet, such as actions.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	tfjson "github.com/hashicorp/terraform-json"
	"github.com/hashicorp/terraform-plugin-framework/providerserver"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/zclconf/go-cty/cty"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/provider"
)

// name is the key that tfplugindocs looks for: not the address, of which it
// knows no other namespace than hashicorp.
const name = "dtr"

func main() {
	log.SetFlags(0)
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run writes the schema to w, as one JSON document.
func run(ctx context.Context, w io.Writer) error {
	server, err := providerserver.NewProtocol6WithError(provider.New("dev")())()
	if err != nil {
		return err
	}
	schema, err := server.GetProviderSchema(ctx, &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		return err
	}
	for _, d := range schema.Diagnostics {
		if d.Severity == tfprotov6.DiagnosticSeverityError {
			return fmt.Errorf("%s: %s", d.Summary, d.Detail)
		}
	}
	return json.NewEncoder(w).Encode(tfjson.ProviderSchemas{
		FormatVersion: "1.0",
		Schemas: map[string]*tfjson.ProviderSchema{name: {
			ConfigSchema:             schemaJSON(schema.Provider),
			ResourceSchemas:          mapValues(schema.ResourceSchemas, schemaJSON),
			DataSourceSchemas:        mapValues(schema.DataSourceSchemas, schemaJSON),
			EphemeralResourceSchemas: mapValues(schema.EphemeralResourceSchemas, schemaJSON),
			ListResourceSchemas:      mapValues(schema.ListResourceSchemas, schemaJSON),
			ActionSchemas:            mapValues(schema.ActionSchemas, actionJSON),
			Functions:                mapValues(schema.Functions, functionJSON),
		}},
	})
}

func schemaJSON(s *tfprotov6.Schema) *tfjson.Schema {
	return &tfjson.Schema{
		Version: uint64(s.Version),
		Block:   blockJSON(s.Block),
	}
}

func actionJSON(a *tfprotov6.ActionSchema) *tfjson.ActionSchema {
	return &tfjson.ActionSchema{Block: blockJSON(a.Schema.Block)}
}

func blockJSON(b *tfprotov6.SchemaBlock) *tfjson.SchemaBlock {
	blocks := make(map[string]*tfjson.SchemaBlockType, len(b.BlockTypes))
	for _, t := range b.BlockTypes {
		blocks[t.TypeName] = &tfjson.SchemaBlockType{
			NestingMode: tfjson.SchemaNestingMode(strings.ToLower(t.Nesting.String())),
			Block:       blockJSON(t.Block),
			MinItems:    uint64(t.MinItems),
			MaxItems:    uint64(t.MaxItems),
		}
	}
	return &tfjson.SchemaBlock{
		Attributes:      attributesJSON(b.Attributes),
		NestedBlocks:    blocks,
		Description:     b.Description,
		DescriptionKind: kindJSON(b.DescriptionKind),
		Deprecated:      b.Deprecated,
	}
}

func attributesJSON(attributes []*tfprotov6.SchemaAttribute) map[string]*tfjson.SchemaAttribute {
	out := make(map[string]*tfjson.SchemaAttribute, len(attributes))
	for _, a := range attributes {
		attribute := &tfjson.SchemaAttribute{
			Description:     a.Description,
			DescriptionKind: kindJSON(a.DescriptionKind),
			Deprecated:      a.Deprecated,
			Required:        a.Required,
			Optional:        a.Optional,
			Computed:        a.Computed,
			Sensitive:       a.Sensitive,
			WriteOnly:       a.WriteOnly,
		}
		if a.NestedType != nil {
			attribute.AttributeNestedType = &tfjson.SchemaNestedAttributeType{
				Attributes:  attributesJSON(a.NestedType.Attributes),
				NestingMode: tfjson.SchemaNestingMode(strings.ToLower(a.NestedType.Nesting.String())),
			}
		} else {
			attribute.AttributeType = typeJSON(a.Type)
		}
		out[a.Name] = attribute
	}
	return out
}

func functionJSON(f *tfprotov6.Function) *tfjson.FunctionSignature {
	signature := &tfjson.FunctionSignature{
		Description:        f.Description,
		Summary:            f.Summary,
		DeprecationMessage: f.DeprecationMessage,
		ReturnType:         typeJSON(f.Return.Type),
	}
	for _, p := range f.Parameters {
		signature.Parameters = append(signature.Parameters, parameterJSON(p))
	}
	if f.VariadicParameter != nil {
		signature.VariadicParameter = parameterJSON(f.VariadicParameter)
	}
	return signature
}

func parameterJSON(p *tfprotov6.FunctionParameter) *tfjson.FunctionParameter {
	return &tfjson.FunctionParameter{
		Name:        p.Name,
		Description: p.Description,
		IsNullable:  p.AllowNullValue,
		Type:        typeJSON(p.Type),
	}
}

func kindJSON(k tfprotov6.StringKind) tfjson.SchemaDescriptionKind {
	if k == tfprotov6.StringKindMarkdown {
		return tfjson.SchemaDescriptionKindMarkdown
	}
	return tfjson.SchemaDescriptionKindPlain
}

// typeJSON goes through JSON, the form that both type systems share. What fails
// is a type that no Terraform could read either.
func typeJSON(t tftypes.Type) cty.Type {
	var out cty.Type
	text, err := json.Marshal(t)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		panic(fmt.Sprintf("type %s: %v", t, err))
	}
	return out
}

func mapValues[A, B any](in map[string]A, convert func(A) B) map[string]B {
	out := make(map[string]B, len(in))
	for name, value := range in {
		out[name] = convert(value)
	}
	return out
}
