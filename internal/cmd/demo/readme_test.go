package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

var (
	shown = regexp.MustCompile("(?s)```text\n(.*?)```") // in the README
	// address is that of the simulated cluster, which the README calls dtr.example.com.
	address = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	clock   = regexp.MustCompile(`\d+\.\d s  `)
)

// TestTerraformDemoIsWhatTheReadmeShows runs the demo, and holds that it prints every
// line that the README says it does.
func TestTerraformDemoIsWhatTheReadmeShows(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", ".", "-speed", "40").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	printed := map[string]bool{}
	for line := range strings.Lines(clock.ReplaceAllString(address.ReplaceAllString(string(out), "dtr.example.com"), "")) {
		printed[strings.Join(strings.Fields(line), " ")] = true
	}
	lines := 0
	for _, block := range shown.FindAllStringSubmatch(string(readme), -1) {
		for line := range strings.Lines(clock.ReplaceAllString(block[1], "")) {
			if line = strings.Join(strings.Fields(line), " "); line == "" {
				continue
			}
			if lines++; !printed[line] {
				t.Errorf("the demo does not print %q", line)
			}
		}
	}
	if lines < 20 {
		t.Errorf("the README shows %d lines of it", lines)
	}
	if t.Failed() {
		t.Logf("the demo prints:\n%s", out)
	}
}
