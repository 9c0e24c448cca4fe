package scrub

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ in, want string }{
		"plain":           {"Replica 1a2b: é ü 漢字 ✓ 😀\u00a0|\t|", "Replica 1a2b: é ü 漢字 ✓ 😀\u00a0|\t|"},
		"colour":          {"\x1b[31mred", `\x1b[31mred`},
		"title":           {"\x1b]0;gone\x07", `\x1b]0;gone\x07`},
		"C1":              {"\u009b31m\u0085", `\u009b31m\u0085`},
		"8-bit C1":        {"\x9b31m", `\x9b31m`},
		"DEL, NUL, BS":    {"\x7f\x00\b", `\x7f\x00\x08`},
		"newline":         {"a\r\nError: forged", `a\r\nError: forged`},
		"other line ends": {"a\u2028b\u2029c\vd\fe", `a\u2028b\u2029c\x0bd\x0ce`},
		"bidi":            {"\u202egnp\u2066\u200f\u061c", `\u202egnp\u2066\u200f\u061c`},
		"invisible":       {"a\u200bb\ufeffc\u00add\U000e0041\ufe0f\u3164\u034f", `a\u200bb\ufeffc\u00add\U000e0041\ufe0f\u3164\u034f`},
		"invalid":         {"a\xffb\xc3", `a\xffb\xc3`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Line(tt.in); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	if got := Text("a\nb\x1b\r\n  c"); got != "a\nb\\x1b\\r\n  c" {
		t.Errorf("%q", got)
	}
	got := Text("short\n" + strings.Repeat("é", MaxLine) + "\nend")
	lines := strings.Split(got, "\n")
	if len(lines) != 3 || lines[0] != "short" || lines[2] != "end" || len(lines[1]) > MaxLine || len(lines[1]) < MaxLine-4 {
		t.Errorf("%d lines, the second of %d bytes", len(lines), len(lines[1]))
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for limit := range 12 {
		got := Cut("añ漢😀", limit) // 1 + 2 + 3 + 4 bytes
		if len(got) > limit || !utf8.ValidString(got) {
			t.Errorf("to %d: %q", limit, got)
		}
	}
	if got := Cut("añ漢😀", 10); got != "añ漢😀" {
		t.Errorf("%q", got)
	}
	if got := Cut("añ漢😀", 8); got != "añ…" {
		t.Errorf("%q", got)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\x1b[31m\n\u202e\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := Line(text)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool {
			return r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp))
		}) || Line(got) != got {
			t.Errorf("%q became %q", text, got)
		}
	})
}
