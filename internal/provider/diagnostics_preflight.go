package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
)

func preflightDiagnostics(err error) diag.Diagnostics {
	if failed, ok := errors.AsType[*preflight.FailedError](err); ok {
		return findings(failed.Findings.Errors())
	}
	return nil
}

// findings turns what preflight found into diagnostics, on the attribute that
// the user can change.
func findings(found preflight.Findings) diag.Diagnostics {
	var diags diag.Diagnostics
	for _, f := range found {
		if f.Err != nil {
			diags.Append(diagnose(f.Err)...)
			continue
		}
		m := message{Attribute: f.Attribute, Summary: f.Summary, Seen: f.Seen, Todo: f.Todo}
		for _, a := range f.Advice {
			m.Todo = strings.TrimSpace(m.Todo + " " + advice(a))
		}
		if f.Severity == preflight.Warning {
			diags.Append(m.warning())
		} else {
			diags.Append(m.failure())
		}
	}
	return diags
}

// advice words a way out that lies in the configuration.
func advice(a preflight.Advice) string {
	switch a.Kind {
	case preflight.SkipCheck:
		return fmt.Sprintf("To continue regardless, add %q to skip_checks.", a.Value)
	case preflight.UpgradeTo:
		return fmt.Sprintf("Set target_version to %q, or name that version in via, and apply.", a.Value)
	case preflight.RepeatMigration:
		return fmt.Sprintf("Set target_version to %q and apply: that starts the job where it is missing, and waits for it.", a.Value)
	case preflight.FinishUpgrade:
		return "Apply dtr_upgrade: it continues the upgrade."
	case preflight.OrderResources:
		return "If both are in one configuration, add depends_on to the one that is to come second."
	case preflight.RunElsewhere:
		return "Name its replica in existing_replica_id, or its engine in docker of the provider."
	case preflight.ForgetReplica:
		return "To keep this one and only remove it from the state, run terraform state rm."
	case preflight.ReplaceReplica:
		return "This plan does that where it replaces the resource. With create_before_destroy, or where another resource has that replica, the apply refuses the join."
	case preflight.ImportReplica:
		return fmt.Sprintf("To manage the replica that is there, import it with the id %s.", a.Value)
	case preflight.RemoveReplica:
		return fmt.Sprintf(`If it is gone for good, remove it from DTR: write a resource "dtr_replica" "gone" with node set to its node, `+
			"run terraform import dtr_replica.gone %s and terraform destroy -target=dtr_replica.gone, then delete that resource from the configuration.", a.Value)
	case preflight.AddBackup:
		return `To take one before anything is changed, set backup = { file = "..." }.`
	case preflight.AddArchive:
		return fmt.Sprintf("Or add the archive of %s to image.archives.", a.Value)
	case preflight.UseRepository:
		return fmt.Sprintf("Set image.repository to %q.", a.Value)
	case preflight.RaiseTimeLimit:
		return "To have it wait from now on, raise create and update of timeouts."
	case preflight.FollowVersion:
		return "Set version to that of DTR, best by a reference: dtr_upgrade.<name>.current_version."
	case preflight.FollowByResource:
		return "They follow if a dtr_content_cache or a dtr_vulnerability_database in this configuration refers to dtr_upgrade.<name>.current_version."
	}
	return ""
}
