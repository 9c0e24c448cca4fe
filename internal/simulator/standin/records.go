package standin

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

// records writes log records as the bootstrapper does without a terminal: logrus text,
// one record a line.
type records struct {
	out   io.Writer
	debug bool
}

var unquoted = regexp.MustCompile(`^[a-zA-Z0-9._/@^+-]+$`)

func quoted(s string) string {
	if unquoted.MatchString(s) {
		return s
	}
	return fmt.Sprintf("%q", s)
}

// write writes one record; fields are alternating keys and values.
func (r records) write(level, message string, fields ...any) {
	var line strings.Builder
	fmt.Fprintf(&line, "time=%q level=%s msg=%s", time.Now().UTC().Format(time.RFC3339), level, quoted(message))
	for i := 0; i+1 < len(fields); i += 2 {
		fmt.Fprintf(&line, " %v=%s", fields[i], quoted(fmt.Sprint(fields[i+1])))
	}
	line.WriteByte('\n')
	_, _ = io.WriteString(r.out, line.String())
}

func (r records) info(message string, fields ...any) { r.write("info", message, fields...) }

func (r records) debugf(format string, args ...any) {
	if r.debug {
		r.write("debug", fmt.Sprintf(format, args...))
	}
}
