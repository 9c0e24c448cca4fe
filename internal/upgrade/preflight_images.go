package upgrade

import (
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

const archiveAdvice = "Name a file that docker save wrote, such as dtr_images_2.6.15.tar.gz, on the machine that runs Terraform."

// archiveFinding cannot be skipped: nothing else brings the images.
func archiveFinding(version, name, seen, todo string) preflight.Finding {
	return preflight.Finding{
		Check: preflight.Image, Severity: preflight.Error, Attribute: fmt.Sprintf("image.archives[%q]", version),
		Summary: fmt.Sprintf("The image archive of DTR %s cannot be used", version),
		Seen:    fmt.Sprintf("File: %s\n%s", name, seen),
		Todo:    todo,
	}
}

// checkImages checks that every image that the plan needs is there or can be pulled.
func checkImages(p *checks) {
	for _, hop := range p.Hops {
		if p.o.Images.Archives[hop.To.String()] != "" {
			continue // what archives checks
		}
		missing, cause := p.obs.Images.Unavailable(hop.To, p.obs.ReplicaNodes())
		if len(missing) == 0 {
			continue
		}
		seen := p.o.missingLines(hop.To, missing) + unknownRelease(hop.To)
		todo := "Check the repository and the version, and that the nodes reach the registry; or load the images on every replica's node."
		switch {
		case p.o.Images.Pull == images.PullNever:
			seen += "\nPulling is turned off."
			todo = `Load the images on every replica's node, or allow pulling ("missing").`
		case cause != nil:
			seen += "\n" + cause.Error()
		}
		p.find(preflight.Finding{
			Check: preflight.Image, Severity: preflight.Error, Attribute: "image",
			Summary: fmt.Sprintf("Images of DTR %s are not available", hop.To), Seen: seen, Todo: todo,
		})
	}
}

// missingLines names the images of a version that are missing: one a line, or where
// all of them are, in a single one.
func (o Options) missingLines(v *semver.Version, missing []string) string {
	if len(missing) == len(o.Images.All(v)) {
		return fmt.Sprintf("Missing: %s, and the images of all its parts", missing[0])
	}
	return "Missing: " + strings.Join(missing, "\nMissing: ")
}

// unknownRelease is a line about a version that may not exist, "" for a known one.
func unknownRelease(v *semver.Version) string {
	if slices.ContainsFunc(transition.Releases(), func(r transition.Release) bool { return r.Version.Equal(v) }) {
		return ""
	}
	line := fmt.Sprintf("%d.%d", v.Major(), v.Minor())
	if latest, ok := transition.LatestPatch(v.Major(), v.Minor()); ok {
		return fmt.Sprintf("\n%s is not known here; the latest %s known here is %s.", v, line, latest)
	}
	return fmt.Sprintf("\n%s is not known here, nor is any other %s.", v, line)
}

// checkArchives checks that what is to be loaded can be.
func checkArchives(p *checks) {
	for i, hop := range p.Hops {
		version := hop.To.String()
		err := p.obs.Images.Archives[version]
		if err == nil || i == 0 && p.adopts() || len(p.obs.Images.Missing(hop.To, p.obs.ReplicaNodes())) == 0 {
			continue
		}
		p.findings = append(p.findings, archiveFinding(version, p.o.Images.Archives[version], preflight.Sentence(err), archiveAdvice))
	}
}
