// Package duration writes durations for people. It imports nothing of this project.
package duration

import (
	"strings"
	"time"
)

// Text writes a duration as people do: 2h, where time.Duration writes 2h0m0s.
func Text(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
