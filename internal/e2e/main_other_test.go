//go:build e2e && !linux

package e2e_test

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(*testing.M) {
	fmt.Fprintln(os.Stderr, "the end-to-end tests start Docker Engines of their own in namespaces, which takes root on Linux")
	os.Exit(1)
}
