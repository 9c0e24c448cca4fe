// Package scrub makes texts fit to be shown: what others wrote, and whatever leaves the provider.
// It imports no other package of this module.
package scrub

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxQuote bounds what is repeated of a single text of somebody else, in bytes.
	MaxQuote = 500
	// MaxLine bounds a line of an error or of the log.
	MaxLine = 4 << 10
	// MaxError bounds an error in all.
	MaxError = 16 << 10
)

// more stands for what was cut off.
const more = "…"

// Text is a text for a terminal. What a terminal would take for a command, and what nobody would see, is written as Go writes it in a string; lines stay
// lines, no longer than [MaxLine].
func Text(s string) string {
	s = escape(s, '\n')
	if len(s) <= MaxLine {
		return s
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Cut(line, MaxLine)
	}
	return strings.Join(lines, "\n")
}

// Line is the whole of a text as one line of a terminal: its newlines are written, too, so that they cannot pass for the beginning of a line of ours.
func Line(s string) string { return escape(s, -1) }

// Cut is the beginning of a text, in whole characters, if it has more than so many bytes.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit - len(more)
	if end < 0 {
		return ""
	}
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + more
}

// escape writes out all that is not visible but tabs and the characters to keep.
func escape(s string, keep rune) string {
	visible := func(r rune) bool { return r == keep || r == '\t' || isVisible(r) }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !visible(r) }) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case visible(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r < utf8.RuneSelf:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[size:]
	}
	return b.String()
}

// isVisible is false for what controls a terminal or the direction of a text, ends a line, or is not shown at all: control and format characters, and those
// that Unicode has programs ignore.
func isVisible(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != '\x7f'
	}
	return (unicode.IsPrint(r) || unicode.Is(unicode.Zs, r)) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
