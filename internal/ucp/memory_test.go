package ucp

import (
	"strconv"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint/endpointtest"
)

// TestLargestConfiguration has UCP give configurations that take much more memory than their text, and one that is too long.
//
//nolint:paralleltest // it measures memory
func TestLargestConfiguration(t *testing.T) {
	if !endpointtest.Measured(t) {
		return
	}
	var tables strings.Builder
	for i := 0; tables.Len() < maxConfig-100; i++ {
		tables.WriteString("[" + strconv.Itoa(i) + "]\n")
	}
	for name, text := range map[string]string{
		"tables":        tables.String(),
		"list of lists": "a = [" + strings.Repeat("[],", maxConfig/3-10) + "]",
		"inline tables": "a = [" + strings.Repeat("{},", maxConfig/3-10) + "]",
		"many tables":   strings.Repeat("[[a]]\n", maxConfig/6-1),
		"nested":        "a = " + strings.Repeat("[", 10_000),
		"too long":      strings.Repeat("#\n", maxConfig/2+1),
	} {
		s := serveUCP(t, "1.37", handlers{"GET /api/ucp/config-toml": always(200, text)})
		_, err := s.client().RequireContentTrust(t.Context())
		if mib := endpointtest.Mapped(); mib > 200 {
			t.Errorf("%s: %d MiB, error %v", name, mib, err)
		}
		if (name == "too long") != (err != nil && strings.Contains(err.Error(), "it is longer than")) {
			t.Errorf("%s: error %v", name, err)
		}
		s.Close()
	}
}
