package bootstrap

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-logfmt/logfmt"
)

// Record is one line of the bootstrapper's output.
type Record struct {
	Time    time.Time // zero when the line does not say it
	Level   string    // trace, debug, info, warning, error, fatal or panic; empty when the line is no log record
	Message string
	Fields  map[string]string // what follows the message, if anything
	Cut     bool              // the line was longer than MaxLine, and the rest is lost
}

// Fatal reports whether the record says that the run has failed. That no record
// does is no proof of success.
func (r Record) Fatal() bool {
	switch r.Level {
	case "fatal", "panic":
		return true
	case "error":
		return strings.Contains(r.Message, "Upgrade has failed")
	}
	return false
}

// text is the message with the fields, in the order of their keys.
func (r Record) text() string {
	var b strings.Builder
	b.WriteString(r.Message)
	for _, key := range slices.Sorted(maps.Keys(r.Fields)) {
		b.WriteString(" " + key + "=" + r.Fields[key])
	}
	return b.String()
}

// levels are the level words that logrus writes and their short forms, of which
// it shows the first four letters on a terminal.
var levels = map[string]string{
	"trac": "trace", "debu": "debug", "warn": "warning", "erro": "error", "fata": "fatal", "pani": "panic",
}

func level(word string) string {
	word = strings.ToLower(word)
	if full, ok := levels[word]; ok {
		return full
	}
	return word
}

// ParseRecord reads one line: a record of logrus's text format, the form that
// logrus gives it on a terminal, with or without colours, or anything else, which
// is all message. The texts are valid UTF-8, whatever the line is.
func ParseRecord(line string) Record {
	line = plain(strings.ToValidUTF8(strings.TrimRight(line, "\r\n"), "\ufffd"))
	if r, ok := parseText(line); ok {
		return r
	}
	if r, ok := parseTerminal(line); ok {
		return r
	}
	return Record{Message: line}
}

// escapeSequence is what a terminal takes for a command, a colour for instance; or
// the start of one alone, so that what is left cannot join to a command again.
var escapeSequence = regexp.MustCompile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\a\x1b]*(?:\a|\x1b\\\\)?)?")

func plain(s string) string {
	if !strings.Contains(s, "\x1b") {
		return s
	}
	return escapeSequence.ReplaceAllString(s, "")
}

// parseText reads time="..." level=info msg="..." key=value.
func parseText(line string) (Record, bool) {
	if !strings.Contains(line, "level=") || !strings.Contains(line, "msg=") || strings.Contains(line, "\n") {
		return Record{}, false
	}
	line = escapes.ReplaceAllStringFunc(line, jsonEscape)
	// Second chance for a line that was cut within its message.
	for _, text := range []string{line, strings.TrimRight(line, `\`) + `"`} {
		pairs, _ := decode(text)
		var r Record
		hasMessage := false
		for _, p := range pairs {
			switch {
			case p.key == "level" && r.Level == "":
				r.Level = level(plain(p.value))
			case p.key == "msg" && !hasMessage:
				r.Message, hasMessage = plain(p.value), true
			case p.key == "time" && r.Time.IsZero():
				r.Time, _ = time.Parse(time.RFC3339Nano, p.value)
			default:
				r.setField(p)
			}
		}
		// What follows the message may be damaged; the message counts all the same.
		if r.Level != "" && hasMessage {
			return r, true
		}
	}
	return Record{}, false
}

func (r *Record) setField(p pair) {
	if r.Fields == nil {
		r.Fields = map[string]string{}
	}
	r.Fields[p.key] = plain(p.value)
}

type pair struct{ key, value string }

// decode reads key=value pairs up to the first that is damaged, and reports
// whether there was none.
func decode(line string) ([]pair, bool) {
	var pairs []pair
	d := logfmt.NewDecoderSize(strings.NewReader(line), len(line)+1)
	for d.ScanRecord() {
		for d.ScanKeyval() {
			pairs = append(pairs, pair{string(d.Key()), string(d.Value())})
		}
	}
	return pairs, d.Err() == nil
}

// escapes matches the escapes of Go's quoted strings, which logrus writes, and a
// backslash that is itself escaped, so that it is not taken for the start of one.
var escapes = regexp.MustCompile(`\\(?:\\|a|v|x[0-9a-f]{2}|U[0-9a-f]{8})`)

// jsonEscape turns an escape that only Go knows into one of JSON, which is what
// logfmt reads.
func jsonEscape(s string) string {
	switch s[1] {
	case 'a':
		return `\u0007`
	case 'v':
		return `\u000b`
	case 'x':
		return `\u00` + s[2:]
	case 'U':
		return `\ufffd` // a character that cannot be printed, in any case
	}
	return s
}

// terminalForm is INFO[0012] message, or with the time in the brackets.
var terminalForm = regexp.MustCompile(`^(TRAC|DEBU|INFO|WARN|ERRO|FATA|PANI)[A-Z]* *\[([^\]]*)\] ?(.*)$`)

func parseTerminal(line string) (Record, bool) {
	m := terminalForm.FindStringSubmatch(line)
	if m == nil {
		return Record{}, false
	}
	r := Record{Level: level(m[1])}
	// A number in the brackets is seconds since a start that the line does not
	// tell; it does not parse, and the time stays zero.
	r.Time, _ = time.Parse(time.RFC3339Nano, m[2])
	r.Message, r.Fields = splitFields(m[3])
	return r, true
}

// messageWidth is the width, in characters, to which logrus pads a message on a
// terminal before two spaces and the fields.
const messageWidth = 44

// splitFields parts the message from the fields in the terminal form. Where the
// end of the message cannot be told, all is message.
func splitFields(s string) (string, map[string]string) {
	_, rest, found := strings.Cut(skip(s, messageWidth), "  ")
	pairs, ok := decode(escapes.ReplaceAllStringFunc(rest, jsonEscape))
	if !found || !ok || len(pairs) == 0 {
		return strings.TrimRight(s, " "), nil
	}
	var r Record
	for _, p := range pairs {
		if !strings.Contains(rest, p.key+"=") {
			return strings.TrimRight(s, " "), nil // a word of the message
		}
		r.setField(p)
	}
	return strings.TrimRight(strings.TrimSuffix(s, rest), " "), r.Fields
}

// skip leaves out the first n characters of s.
func skip(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[i:]
		}
		n--
	}
	return ""
}
