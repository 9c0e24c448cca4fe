package provider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/upgrade"
)

// fileProblem words the errors about files on the machine that runs Terraform: the
// backup and the archives of images. It is nil for every other error.
func fileProblem(err error) diag.Diagnostics {
	var backup *upgrade.BackupError
	var archive *upgrade.ArchiveError
	switch {
	case errors.As(err, &backup):
		return diag.Diagnostics{diag.WithPath(attributeAt("backup.file"), noBackup(backup))}
	case errors.As(err, &archive):
		return diag.Diagnostics{diag.WithPath(attributeAt(fmt.Sprintf("image.archives[%q]", archive.Version)), notLoaded(archive))}
	}
	return nil
}

func noBackup(e *upgrade.BackupError) diag.Diagnostic {
	const untouched = "The hop was not begun. "
	if e.Exists {
		return diag.NewErrorDiagnostic("The file of the backup exists already",
			fmt.Sprintf("File: %s\nIt was not written for this upgrade, or has come to be there meanwhile.\n\n%sNo file is overwritten. Move it away, or name another.", e.File, untouched))
	}
	seen, log := "File: "+e.File, ""
	if e.Bootstrapper != nil {
		_, how, _ := bootstrapperFailed(e.Bootstrapper)
		seen += "\n" + how
		log = logLines(e.Bootstrapper.Log)
	}
	if e.Cause != nil {
		seen += "\nError: " + sentence(e.Cause)
	}
	return diag.NewErrorDiagnostic("The backup of DTR failed", seen+"\n\n"+untouched+"Mend what is named above. "+again+log)
}

func notLoaded(e *upgrade.ArchiveError) diag.Diagnostic {
	seen := "File: " + e.File
	if e.Cause != nil {
		seen += "\nError: " + sentence(e.Cause)
	}
	if len(e.Missing) > 0 {
		seen += "\nMissing: " + strings.Join(e.Missing, "\nMissing: ")
	}
	todo := "The engines took the file and do not show these images. Look at their logs. "
	if e.Cause != nil {
		todo = "Mend what the error tells of. "
	}
	return diag.NewErrorDiagnostic(fmt.Sprintf("The images of DTR %s could not be loaded", e.Version),
		seen+"\n\nThe hop was not begun. "+todo+again)
}

// attributeAt is the path of an attribute as Terraform's language writes it:
// backup.file, image.archives["2.6.15"].
func attributeAt(text string) path.Path {
	names, key, keyed := strings.Cut(text, "[")
	steps := strings.Split(names, ".")
	at := path.Root(steps[0])
	for _, name := range steps[1:] {
		at = at.AtName(name)
	}
	if keyed {
		if name, err := strconv.Unquote(strings.TrimSuffix(key, "]")); err == nil {
			at = at.AtMapKey(name)
		}
	}
	return at
}

// checkDigests refuses a digest for a version whose images come out of an archive:
// a digest is that of a registry's manifest, and what was loaded has none to
// compare.
func (m *upgradeModel) checkDigests(ctx context.Context) diag.Diagnostics {
	var image imageModel
	diags := m.Image.As(ctx, &image, basetypes.ObjectAsOptions{UnhandledNullAsEmpty: true, UnhandledUnknownAsEmpty: true})
	archives := image.Archives.Elements()
	for _, version := range slices.Sorted(maps.Keys(image.Digests.Elements())) {
		if _, both := archives[version]; both {
			diags.AddAttributeError(attributeAt(fmt.Sprintf("image.digests[%q]", version)), "The digest of an image from an archive cannot be checked",
				fmt.Sprintf("image.archives and image.digests both name %s. A digest is that of a registry's manifest, and an image that is loaded from a file has none.\n\n"+
					"Leave the digest out, and check the file itself: by the sum that came with it, for example.", version))
		}
	}
	return diags
}
