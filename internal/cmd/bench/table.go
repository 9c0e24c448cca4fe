package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// row is one figure beside another.
type row struct {
	What   string  `json:"what"`
	Unit   string  `json:"unit"`
	Figure float64 `json:"figure"`
	Beside string  `json:"beside"`
	Peer   float64 `json:"beside_figure"`
	Ratio  float64 `json:"ratio,omitempty"` // of figures that can be compared
	Goal   string  `json:"goal,omitempty"`
	Met    *bool   `json:"met,omitempty"` // as is Goal, of those that have one
}

// goal is what a row is to hold.
type goal func(r row) (text string, met bool)

// most is a goal of the figure itself.
func most(limit float64) goal {
	return func(r row) (string, bool) {
		return strings.TrimSpace("at most " + number(limit) + " " + r.Unit), r.Figure <= limit
	}
}

// times is a goal of the ratio.
func times(limit float64) goal {
	return func(r row) (string, bool) { return "at most " + number(limit) + " times", r.Figure <= limit*r.Peer }
}

// more is a goal of the difference.
func more(limit float64) goal {
	return func(r row) (string, bool) {
		if limit == 0 {
			return "no more", r.Figure <= r.Peer
		}
		return "at most " + number(limit) + " " + r.Unit + " more", r.Figure-r.Peer <= limit
	}
}

// newRow computes what follows from the two figures. A goal is judged before they are rounded.
func newRow(what, unit string, figure float64, beside string, peer float64, goals ...goal) row {
	r := row{What: what, Unit: unit, Figure: figure, Beside: beside, Peer: peer}
	if peer != 0 {
		r.Ratio = figure / peer
	}
	for _, g := range goals {
		text, met := g(r)
		r.Goal, r.Met = text, &met
	}
	r.Figure, r.Peer, r.Ratio = round(r.Figure), round(r.Peer), round(r.Ratio)
	return r
}

// newCount is a row of two counts, of which the second is a part of the first, or counts
// something else: a ratio would say nothing.
func newCount(what string, figure float64, beside string, peer float64, goals ...goal) row {
	r := newRow(what, "", figure, beside, peer, goals...)
	r.Ratio = 0
	return r
}

// report is everything that is written.
type report struct {
	Setting setting `json:"setting"`
	Seconds float64 `json:"seconds"` // that the measuring took, all in all
	Rows    []row   `json:"rows"`
}

// setting is what the figures depend on.
type setting struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"`
	System    string `json:"system"`
	Go        string `json:"go"`
	Terraform string `json:"terraform"`
	Peer      string `json:"peer"`
	Runs      int    `json:"runs"`
	Applies   int    `json:"applies"`
}

func (s setting) String() string {
	return fmt.Sprintf("%d cores (%s), %s, %s, Terraform %s, %s; medians of %d runs, %d of applies",
		s.Cores, s.Processor, s.System, s.Go, s.Terraform, s.Peer, s.Runs, s.Applies)
}

var headings = []string{"what", "figure", "beside", "its figure", "ratio", "goal", ""}

// cells are a row as people read it.
func (r row) cells() []string {
	verdict := ""
	if r.Met != nil {
		verdict = map[bool]string{true: "met", false: "missed"}[*r.Met]
	}
	ratio := ""
	if r.Ratio != 0 {
		ratio = strconv.FormatFloat(r.Ratio, 'f', 2, 64)
	}
	return []string{
		r.What, strings.TrimSpace(number(r.Figure) + " " + r.Unit), r.Beside, strings.TrimSpace(number(r.Peer) + " " + r.Unit),
		ratio, r.Goal, verdict,
	}
}

// text is the table for a terminal.
func (r report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Setting)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(headings, "\t"))
	for _, row := range r.Rows {
		fmt.Fprintln(w, strings.Join(row.cells(), "\t"))
	}
	_ = w.Flush()
	return b.String()
}

// markdown is the table for CONTRIBUTING.md.
func (r report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Setting)
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(headings)
	line(slices.Repeat([]string{"---"}, len(headings)))
	for _, row := range r.Rows {
		line(row.cells())
	}
	return b.String()
}

// write writes the report as JSON.
func (r report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// round is to three significant digits: more would be noise.
func round(f float64) float64 {
	if f == 0 || math.Abs(f) >= 100 {
		return math.Round(f)
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(f))))
	return math.Round(f*scale) / scale
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// samples are the figures of several runs, by name.
type samples map[string][]float64

func (s samples) add(name string, figure float64) { s[name] = append(s[name], figure) }

func (s samples) measured(name string) bool { return len(s[name]) > 0 }

// median of the figures; there is at least one.
func (s samples) median(name string) float64 {
	sorted := slices.Sorted(slices.Values(s[name]))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
