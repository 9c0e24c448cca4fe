package bootstrap

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

func TestParseRecord(t *testing.T) {
	t.Parallel()
	at := time.Date(2018, 4, 21, 9, 45, 1, 0, time.UTC)
	tests := []struct {
		name, line string
		want       Record
	}{
		{
			"text", `time="2018-04-21T09:45:01Z" level=info msg="Establishing connection with Rethinkdb"`,
			Record{Time: at, Level: "info", Message: "Establishing connection with Rethinkdb"},
		},
		{
			"line end", `time="2018-04-21T09:45:01Z" level=info msg="Migrating db..."` + "\r\n",
			Record{Time: at, Level: "info", Message: "Migrating db..."},
		},
		{
			"one word", `time="2018-04-21T09:45:01Z" level=warning msg=Waiting`,
			Record{Time: at, Level: "warning", Message: "Waiting"},
		},
		{
			"fields", `time="2018-04-21T09:45:01Z" level=info msg="Migrating database schema" fromVersion=9 toVersion=10 note="two words"`,
			Record{
				Time: at, Level: "info", Message: "Migrating database schema",
				Fields: map[string]string{"fromVersion": "9", "toVersion": "10", "note": "two words"},
			},
		},
		{
			"other order, other zone", `msg="Connecting to UCP" level=info time="2018-04-21T11:45:01+02:00"`,
			Record{Time: at, Level: "info", Message: "Connecting to UCP"},
		},
		{
			"no time", `level=fatal msg="Phase 2 returned non-zero status: 1"`,
			Record{Level: "fatal", Message: "Phase 2 returned non-zero status: 1"},
		},
		{
			"a time that is none", `time=yesterday level=info msg=Waiting`,
			Record{Level: "info", Message: "Waiting"},
		},
		{
			"empty message", `time="2018-04-21T09:45:01Z" level=info msg=""`,
			Record{Time: at, Level: "info"},
		},
		{
			"quotes and line ends in the message", `time="2018-04-21T09:45:01Z" level=error msg="Failed:\n\t\"dtr-ol\" \\ not found"`,
			Record{Time: at, Level: "error", Message: `Failed:\n` + "\t" + `"dtr-ol" \ not found`},
		},
		{
			"equals sign and key in the message", `time="2018-04-21T09:45:01Z" level=info msg="level=fatal msg=no"`,
			Record{Time: at, Level: "info", Message: "level=fatal msg=no"},
		},
		{
			"keys twice", `level=error msg=first level=info msg=second`,
			Record{Level: "error", Message: "first", Fields: map[string]string{"level": "info", "msg": "second"}},
		},
		{
			"other scripts", `time="2018-04-21T09:45:01Z" level=info msg="réplique ✓"`,
			Record{Time: at, Level: "info", Message: "réplique ✓"},
		},
		{
			"colours in the message", `time="2018-04-21T09:45:01Z" level=info msg="\x1b[31mred\x1b[0m and \\x1b and \a\v\U000e0001." key="\x1b[1mbold\x1b[0m"`,
			Record{
				Time: at, Level: "info", Message: `red and \x1b and \x07\x0b` + "\ufffd.",
				Fields: map[string]string{"key": "bold"},
			},
		},
		{
			"bytes that are no text", "level=info msg=\"a\xff\" key=b\xfe",
			Record{Level: "info", Message: "a\ufffd", Fields: map[string]string{"key": "b\ufffd"}},
		},
		{
			"damage after the message", `level=fatal msg="Phase 2 died" error=a"b`,
			Record{Level: "fatal", Message: "Phase 2 died"},
		},
		{
			"cut within the message", `level=fatal msg="Failed to execute phase2: Pha`,
			Record{Level: "fatal", Message: "Failed to execute phase2: Pha"},
		},
		{
			"cut within an escape", `level=fatal msg="Failed to execute \`,
			Record{Level: "fatal", Message: "Failed to execute "},
		},

		// Anything else.
		{"image", "docker/dtr-rethink:2.6.15", Record{Message: "docker/dtr-rethink:2.6.15"}},
		{"panic of the program", "panic: runtime error: index out of range", Record{Message: "panic: runtime error: index out of range"}},
		{"colours alone", "\x1b[32mdone\x1b[0m", Record{Message: "done"}},
		{"sequences within sequences", "\x1b\x1b[31m[0Adone", Record{Message: "[0Adone"}},
		{"title and link sequences", "\x1b]0;title\adone\x1b]8;;\x1b\\", Record{Message: "done"}},
		{"a level that is none", "level= msg=no key=value", Record{Message: "level= msg=no key=value"}},
		{"no message key", "level=info text=no", Record{Message: "level=info text=no"}},
		{"words around it", "the level=info and msg", Record{Message: "the level=info and msg"}},
		{"a record on a terminal", "INFO[0001] hello", Record{Message: "INFO[0001] hello"}},
		{"empty", "", Record{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, ParseRecord(tt.line)); diff != "" {
				t.Errorf("record (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFatal(t *testing.T) {
	t.Parallel()
	tests := []struct {
		line string
		want bool
	}{
		{`level=fatal msg="Failed to execute phase2"`, true},
		{`level=panic msg=gone`, true},
		{`level=error msg="Upgrade has failed. Try running it again."`, true},
		{"FATA[0001] gone", false},
		{`level=error msg="Could not remove a container, trying again"`, false},
		{`level=warning msg="Upgrade has failed. Try running it again."`, false},
		{`level=info msg="level=fatal"`, false},
		{"fatal", false},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			t.Parallel()
			if got := ParseRecord(tt.line).Fatal(); got != tt.want {
				t.Errorf("fatal: %t", got)
			}
		})
	}
}

func FuzzParseRecord(f *testing.F) {
	for _, s := range []string{
		`time="2018-04-21T09:45:01Z" level=info msg="Migrating database schema" fromVersion=9 toVersion=10`,
		`level=fatal msg="Failed to execute phase2: Pha`,
		`level=info msg="\x1b[31mred\x1b[0m\\\U000e0001" a=`,
		"\x1b[36mINFO\x1b[0m[0012] Migrating database schema                     \x1b[36mfromVersion\x1b[0m=9",
		"docker/dtr:2.6.15\r\n",
		"level= msg= \xff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := ParseRecord(line)
		texts := []string{r.Level, r.Message}
		for key, value := range r.Fields {
			texts = append(texts, key, value)
		}
		for _, s := range texts {
			if !utf8.ValidString(s) {
				t.Errorf("%q is not valid UTF-8", s)
			}
			if strings.Contains(s, "\x1b") {
				t.Errorf("%q has a command to the terminal", s)
			}
		}
		if r.Level == "" && r.Fields != nil {
			t.Errorf("fields without a level: %v", r.Fields)
		}
		// Nothing is lost of a line that is no record.
		if r.Level == "" && utf8.ValidString(line) && !strings.ContainsAny(line, "\r\n\x1b") && !strings.Contains(line, "msg=") && r.Message != scrub.Line(line) {
			t.Errorf("%q became %q", line, r.Message)
		}
	})
}
