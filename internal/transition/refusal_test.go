package transition

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRefusalPath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, stops string
		want        []string // nil for none
	}{
		{"2.5.6", "2.7.8", []string{"2.6.15", "2.7.8"}},
		{"2.5.6", "2.6.0 2.9.1", []string{"2.6.0", "2.7.8", "2.8.13", "2.9.1"}},
		{"2.4.3", "2.6.0 2.7.1", []string{"2.5.17", "2.6.0", "2.7.1"}},
		{"2.9.30", "3.0.1", []string{"3.0.0", "3.0.1"}},
		{"2.9.30", "4.0.0", []string{"3.0.0", "4.0.0"}},
		{"2.9.30", "5.0.1", []string{"3.0.0", "4.0.0", "5.0.0", "5.0.1"}},
		{"2.9.30", "2.12.0", nil},
		{"2.7.4", "2.6.8", nil},
		{"2.3.0", "2.3.1", nil},
		{"2.5.6", "2.6.15 2.6.8", nil},
		{"2.6.0-tp9", "2.6.0", nil},
		{"2.7.8", "20210412.0.0", nil},
	}
	for _, tt := range tests {
		t.Run(tt.from+" -> "+tt.stops, func(t *testing.T) {
			t.Parallel()
			_, err := known.hops(v(t, tt.from), stops(t, tt.stops))
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("error %v", err)
			}
			got, err := refusal.Path()
			if diff := cmp.Diff(append([]string{}, tt.want...), texts(got)); diff != "" || (err == nil) != (tt.want != nil) {
				t.Errorf("error %v, path (-want +got):\n%s", err, diff)
			}
		})
	}
}

// By other data a way around an advisory is found, and none to a wrong first release.
func TestRefusalPathByOtherReleaseData(t *testing.T) {
	t.Parallel()
	c := testCatalog(t)
	got, err := c.refuse(v(t, "2.8.3"), v(t, "2.9.4")).Path()
	if diff := cmp.Diff([]string{"2.9.3", "2.9.4"}, texts(got)); diff != "" || err != nil {
		t.Errorf("error %v, path (-want +got):\n%s", err, diff)
	}
	if got, err := c.refuse(v(t, "2.9.4"), v(t, "3.0.0")).Path(); err == nil {
		t.Errorf("path %s", got)
	}
}
