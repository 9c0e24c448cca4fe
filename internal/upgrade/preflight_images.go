package upgrade

import (
	"fmt"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/images"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/preflight"
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

// images checks that every image that the plan needs is there or can be pulled.
func (p *checks) images() {
	for _, hop := range p.Hops {
		if p.o.Images.Archives[hop.To.String()] != "" {
			continue // what archives checks
		}
		missing, cause := p.obs.Images.Unavailable(hop.To, p.obs.ReplicaNodes())
		if len(missing) == 0 {
			continue
		}
		seen := "Missing: " + strings.Join(missing, "\nMissing: ")
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

// archives checks that what is to be loaded can be.
func (p *checks) archives() {
	for i, hop := range p.Hops {
		version := hop.To.String()
		err := p.obs.Images.Archives[version]
		if err == nil || i == 0 && p.adopts() || len(p.obs.Images.Missing(hop.To, p.obs.ReplicaNodes())) == 0 {
			continue
		}
		p.findings = append(p.findings, archiveFinding(version, p.o.Images.Archives[version], preflight.Sentence(err), archiveAdvice))
	}
}
