package main

import (
	"bytes"
	"encoding/json"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
)

// The generator reads the schema through terraform-json, and takes an absent
// resource for one that needs no page.
func TestSchemaIsReadByTerraformJSON(t *testing.T) {
	t.Parallel()

	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	var schemas tfjson.ProviderSchemas
	if err := json.Unmarshal(out.Bytes(), &schemas); err != nil {
		t.Fatal(err)
	}
	schema := schemas.Schemas[name]
	if schema == nil {
		t.Fatalf("no provider %s in %s", name, out.String())
	}
	upgrade := schema.ResourceSchemas["dtr_upgrade"]
	if upgrade == nil || upgrade.Block.Attributes["target_version"] == nil || !upgrade.Block.Attributes["target_version"].Required {
		t.Errorf("dtr_upgrade has no required target_version: %+v", upgrade)
	}
	for _, source := range []string{"dtr_cluster", "dtr_releases", "dtr_job", "dtr_jobs"} {
		if schema.DataSourceSchemas[source] == nil {
			t.Errorf("no data source %s", source)
		}
	}
	action := schema.ActionSchemas["dtr_job"]
	if action == nil || action.Block.Attributes["action"] == nil || !action.Block.Attributes["action"].Required {
		t.Errorf("action dtr_job has no required action: %+v", action)
	}
	for _, function := range []string{"transition", "upgrade_path"} {
		if f := schema.Functions[function]; f == nil || len(f.Parameters) != 2 {
			t.Errorf("function %s: got %+v, want two parameters", function, f)
		}
	}
}
