package transition

import "testing"

// transitions meet the first row of the table, the last, an advisory's condition
// and a refusal.
var transitions = []struct{ from, to string }{
	{"2.6.15", "2.6.15"},
	{"2.6.0", "2.6.15"},
	{"2.5.6", "2.6.15"},
	{"2.9.30", "3.0.0"},
	{"2.3.0", "2.3.1"},
	{"2.5.6", "2.7.8"},
	{"2.7.4", "2.6.8"},
	{"2.6.0-tp9", "2.6.0"},
}

// A plan asks for many transitions. The count of allocations is the same on every
// machine, so it is a test and not a figure.
func TestAllocations(t *testing.T) {
	for _, tt := range transitions {
		t.Run(tt.from+" -> "+tt.to, func(t *testing.T) {
			from, to := v(t, tt.from), v(t, tt.to)
			if n := testing.AllocsPerRun(100, func() { _ = Classify(from, to) }); n != 0 {
				t.Errorf("Classify allocates %v times", n)
			}
			if n := testing.AllocsPerRun(100, func() { _ = known.check(from, to) }); n > 2 {
				t.Errorf("check allocates %v times", n)
			}
		})
	}
}

func BenchmarkClassify(b *testing.B) {
	for _, tt := range transitions {
		b.Run(tt.from+" -> "+tt.to, func(b *testing.B) {
			from, to := v(b, tt.from), v(b, tt.to)
			b.ReportAllocs()
			for b.Loop() {
				Classify(from, to)
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, tt := range transitions {
		b.Run(tt.from+" -> "+tt.to, func(b *testing.B) {
			from, to := v(b, tt.from), v(b, tt.to)
			b.ReportAllocs()
			for b.Loop() {
				_ = known.check(from, to)
			}
		})
	}
}

func BenchmarkUpgradePath(b *testing.B) {
	from, to := v(b, "2.0.0"), v(b, "2.9.30")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := UpgradePath(from, to); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse("2.6.15"); err != nil {
			b.Fatal(err)
		}
	}
}
