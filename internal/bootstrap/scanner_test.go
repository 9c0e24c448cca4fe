package bootstrap

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func scan(t *testing.T, r io.Reader) []Record {
	t.Helper()
	s := NewScanner(r)
	var records []Record
	for s.Scan() {
		records = append(records, s.Record())
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	if s.Scan() || s.Record().Message != "" {
		t.Error("there is something after the end")
	}
	return records
}

func TestScanner(t *testing.T) {
	t.Parallel()
	const text = "level=info msg=one\r\n\n  \nlevel=info msg=two\nthree\r\nlevel=info msg=\"fo\\nur\"\nfive"
	want := []Record{
		{Level: "info", Message: "one"},
		{Level: "info", Message: "two"},
		{Message: "three"},
		{Level: "info", Message: `fo\nur`},
		{Message: "five"},
	}
	for name, r := range map[string]io.Reader{
		"at once":        strings.NewReader(text),
		"byte by byte":   iotest.OneByteReader(strings.NewReader(text)),
		"end with data":  iotest.DataErrReader(strings.NewReader(text)),
		"half by half":   iotest.HalfReader(strings.NewReader(text)),
		"with a newline": strings.NewReader(text + "\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, scan(t, r)); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestScannerLongLines(t *testing.T) {
	t.Parallel()
	const head = `level=error msg="`
	tests := []struct {
		name   string
		length int // of the message, quoted
		end    string
		kept   int
	}{
		{"longer than a buffer", 100_000, "\n", 100_000},
		{"just kept", MaxLine - len(head) - 1, "\n", MaxLine - len(head) - 1},
		{"just kept, with a carriage return", MaxLine - len(head) - 1, "\r\n", MaxLine - len(head) - 1},
		{"just kept, the last", MaxLine - len(head) - 1, "", MaxLine - len(head) - 1},
		{"the quote cut", MaxLine - len(head), "\n", MaxLine - len(head)},
		{"much cut", 3 * MaxLine, "\n", MaxLine - len(head)},
		{"much cut, the last", 3 * MaxLine, "", MaxLine - len(head)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := head + strings.Repeat("x", tt.length) + `"` + tt.end
			if tt.end != "" {
				text += "level=info msg=next\n"
			}
			got := scan(t, strings.NewReader(text))
			if got[0].Level != "error" || got[0].Message != strings.Repeat("x", tt.kept) {
				t.Errorf("%d characters of level %q", len(got[0].Message), got[0].Level)
			}
			if tt.end != "" && (len(got) != 2 || got[1].Message != "next") {
				t.Errorf("then %d records", len(got)-1)
			}
		})
	}
}

// A carriage return at the very limit is neither a line end nor room to spare.
func TestScannerReturnsAtTheLimit(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", MaxLine) + strings.Repeat("\r", 10_000) + "y\nnext"
	got := scan(t, strings.NewReader(text))
	if len(got) != 2 || len(got[0].Message) != MaxLine || got[1].Message != "next" {
		t.Errorf("%d records", len(got))
	}
}

func TestScannerError(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	s := NewScanner(io.MultiReader(strings.NewReader("one\ntw"), iotest.ErrReader(broken)))
	var messages []string
	for s.Scan() {
		messages = append(messages, s.Record().Message)
	}
	if diff := cmp.Diff([]string{"one", "tw"}, messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if !errors.Is(s.Err(), broken) {
		t.Errorf("error %v", s.Err())
	}
}
