package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestShownMessagesAreLogged holds that the provider still logs what the demo shows:
// a message that was reworded would only be missing from its output.
func TestShownMessagesAreLogged(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../*/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources found: %v", err)
	}
	var sources strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources.Write(text)
	}
	for message := range tellings {
		if !strings.Contains(sources.String(), `tflog.Info(ctx, "`+message+`"`) {
			t.Errorf("nothing logs %q", message)
		}
	}
}
