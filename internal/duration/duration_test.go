package duration

import (
	"testing"
	"time"
)

func TestText(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		2 * time.Hour: "2h", 90 * time.Minute: "1h30m", 30 * time.Minute: "30m", 40 * time.Second: "40s", 20 * time.Hour: "20h",
		time.Hour + 10*time.Second: "1h0m10s", 10 * time.Minute: "10m", 0: "0s", -4 * time.Hour: "-4h", 1500 * time.Millisecond: "1.5s",
	} {
		if got := Text(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}
