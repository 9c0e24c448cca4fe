package upgrade

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/transition"
)

// stepShown is a step in the picture of the guide.
var stepShown = regexp.MustCompile(`(?m)^          (\w+)   +\S`)

// TestGuideShowsTheSteps holds that the picture of a hop in the guide has its steps, in
// their order.
func TestGuideShowsTheSteps(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../templates/guides/how-an-upgrade-runs.md")
	if err != nil {
		t.Fatal(err)
	}
	var shown, made []string
	for _, m := range stepShown.FindAllSubmatch(guide, -1) {
		shown = append(shown, string(m[1]))
	}
	for _, s := range newRun(cluster.Cluster{}, to("2.6.15")).steps(observation("2.5.6"), transition.Hop{}) {
		made = append(made, s.Name)
	}
	if !slices.Equal(shown, made) {
		t.Errorf("the guide shows the steps %q, and a hop has %q", shown, made)
	}
}
