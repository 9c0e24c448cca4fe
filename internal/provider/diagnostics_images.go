package provider

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
)

func imagesDiagnostics(err error) diag.Diagnostics {
	var failed *images.BringError
	var digest *images.DigestError
	switch {
	case errors.As(err, &failed):
		return notBrought(failed).failures()
	case errors.As(err, &digest):
		return message{
			Attribute: "image.digests", Summary: "The bootstrapper's image does not have the expected digest",
			Seen: fmt.Sprintf("Image: %s\nExpected: %s\nFound: %s", digest.Location, digest.Want, orNone(strings.Join(digest.Got, ", "))),
			Todo: "Nothing was started. Correct the digest, or find out who changed the image.",
		}.failures()
	}
	return nil
}

// notBrought names every image with its node, and once what was said of the node.
func notBrought(e *images.BringError) message {
	m := message{
		Summary: "Images could not be pulled",
		Todo: "Nothing was started. Check that the nodes named above are up, have space and reach the registry, or load the images there with docker load. " +
			adviceApplyAgain,
	}
	var lines []string
	if e.Archive != "" {
		m.Attribute, m.Summary = fmt.Sprintf("image.archives[%q]", e.Version), "Images could not be loaded"
		m.Todo = "Nothing was started. Fix what is named above, or load the file on these nodes with docker load. " + adviceApplyAgain
		lines = append(lines, "File: "+e.Archive)
	}
	for _, f := range e.Failed {
		lines = append(lines, "Missing: "+f.Location.String())
	}
	for _, f := range e.Failed {
		line := "Nothing is known to have failed on " + f.Where() + "; look at the engine's log there."
		if f.Cause != nil {
			line = "Error on " + f.Where() + ": " + preflight.Sentence(f.Cause)
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	m.Seen = strings.Join(lines, "\n")
	return m
}
