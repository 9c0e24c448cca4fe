package provider

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
)

func imagesDiagnostics(err error) diag.Diagnostics {
	var archive *images.ArchiveError
	var digest *images.DigestError
	switch {
	case errors.As(err, &archive):
		return notLoaded(archive).failures()
	case errors.As(err, &digest):
		return message{
			Attribute: "image.digests", Summary: "The bootstrapper's image does not have the expected digest",
			Seen: fmt.Sprintf("Image: %s\nExpected: %s\nFound: %s", digest.Image, digest.Want, orNone(strings.Join(digest.Got, ", "))),
			Todo: "Nothing was started. Correct the digest, or find out who changed the image.",
		}.failures()
	}
	return nil
}

func notLoaded(e *images.ArchiveError) message {
	m := message{
		Attribute: fmt.Sprintf("image.archives[%q]", e.Version), Summary: fmt.Sprintf("The images of DTR %s could not be loaded", e.Version),
		Seen: "File: " + e.File,
		Todo: "The hop was not begun. The engines accepted the file and do not show these images. Look at their logs. " + adviceApplyAgain,
	}
	if e.Cause != nil {
		m.Seen += "\nError: " + preflight.Sentence(e.Cause)
		m.Todo = "The hop was not begun. Fix the cause of the error. " + adviceApplyAgain
	}
	if len(e.Missing) > 0 {
		m.Seen += "\nMissing: " + strings.Join(e.Missing, "\nMissing: ")
	}
	return m
}
