package bootstrap

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-logfmt/logfmt"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Record is one line of the bootstrapper's output.
type Record struct {
	Time    time.Time // zero when the line does not say it
	Level   string    // as logrus spells it: trace, debug, info, warning, error, fatal or panic; empty when the line is no log record
	Message string
	Fields  map[string]string // what follows the message, if anything
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

// ParseRecord reads one line: a record of logrus's text format, which the
// bootstrapper writes because it never has a terminal, or anything else, which is
// all message. The texts can be shown, whatever the line is.
func ParseRecord(line string) Record {
	line = plain(strings.ToValidUTF8(strings.TrimRight(line, "\r\n"), "\ufffd"))
	if r, ok := parseText(line); ok {
		return r
	}
	return Record{Message: scrub.Line(line)}
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

func shown(s string) string { return scrub.Line(plain(s)) }

// parseText reads time="..." level=info msg="..." key=value.
func parseText(line string) (Record, bool) {
	if !strings.Contains(line, "level=") || !strings.Contains(line, "msg=") || strings.Contains(line, "\n") {
		return Record{}, false
	}
	line = escapes.ReplaceAllStringFunc(line, jsonEscape)
	// Second chance for a line that was cut within its message.
	for _, text := range []string{line, strings.TrimRight(line, `\`) + `"`} {
		var r Record
		hasMessage := false
		for _, p := range decode(text) {
			switch {
			case p.key == "level" && r.Level == "":
				r.Level = strings.ToLower(shown(p.value))
			case p.key == "msg" && !hasMessage:
				r.Message, hasMessage = shown(p.value), true
			case p.key == "time" && r.Time.IsZero():
				r.Time, _ = time.Parse(time.RFC3339Nano, p.value)
			default:
				if r.Fields == nil {
					r.Fields = map[string]string{}
				}
				r.Fields[shown(p.key)] = shown(p.value)
			}
		}
		// What follows the message may be damaged; the message counts all the same.
		if r.Level != "" && hasMessage {
			return r, true
		}
	}
	return Record{}, false
}

type pair struct{ key, value string }

// decode reads key=value pairs up to the first that is damaged.
func decode(line string) (pairs []pair) {
	d := logfmt.NewDecoderSize(strings.NewReader(line), len(line)+1)
	for d.ScanRecord() {
		for d.ScanKeyval() {
			pairs = append(pairs, pair{string(d.Key()), string(d.Value())})
		}
	}
	return pairs
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
