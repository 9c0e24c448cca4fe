// Package log writes into Terraform's log, and to the [Progress] of the context, which people read in terminals: nothing in a line is a command to one, no
// line is long, and the secrets of the context are masked. It is the only way there. Of this module's packages it imports scrub alone.
package log

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// subsystem is the logger that the lines have of their own: their @module is dtr.run.
const subsystem = "run"

type subsystemKey struct{}

// With is a context whose lines have no fields but their own. Those that Terraform's plugin library
// gives to every line of a call are longer than most messages.
func With(ctx context.Context) context.Context {
	// The package of the time limits says at Info, each time that it is asked, that one has its default.
	ctx = tflog.OmitLogWithMessageStrings(ctx, "timeout configuration not found, using provided default")
	return context.WithValue(tflog.NewSubsystem(ctx, subsystem), subsystemKey{}, true)
}

// level is a level of the log: what writes with the logger of [With], and with the one that Terraform's plugin library made.
type level struct {
	own  func(ctx context.Context, subsystem, message string, fields ...map[string]any)
	root func(ctx context.Context, message string, fields ...map[string]any)
}

var (
	debug = level{tflog.SubsystemDebug, tflog.Debug}
	info  = level{tflog.SubsystemInfo, tflog.Info}
	warn  = level{tflog.SubsystemWarn, tflog.Warn}
)

func (l level) write(ctx context.Context, message string, fields map[string]any) {
	if ctx.Value(subsystemKey{}) == nil {
		l.root(ctx, message, fields)
		return
	}
	l.own(ctx, subsystem, message, fields)
}

// progress writes to the Progress of the context as well.
func (l level) progress(ctx context.Context, message string, fields []map[string]any) {
	message = fit(scrub.Line(scrub.From(ctx).Mask(message)), maxFields/2)
	l.write(ctx, message, clean(ctx, fields, maxFields-written(message)))
	if p, ok := ctx.Value(progressKey{}).(*Progress); ok {
		p.write(ctx, message)
	}
}

// Debug writes a line for whoever looks for a fault.
func Debug(ctx context.Context, message string, fields ...map[string]any) {
	debug.write(ctx, message, clean(ctx, fields, maxFields))
}

// Info writes a line about the progress of a run. The message has the facts that a person wants; the fields are for programs.
func Info(ctx context.Context, message string, fields ...map[string]any) {
	info.progress(ctx, message, fields)
}

// Detail writes a line as [Info] does, but is for those of which a run has many: the log has them at the level of [Debug].
func Detail(ctx context.Context, message string, fields ...map[string]any) {
	debug.progress(ctx, message, fields)
}

// Warn writes a line about what went wrong and did not end the run.
func Warn(ctx context.Context, message string, fields ...map[string]any) {
	warn.write(ctx, message, clean(ctx, fields, maxFields))
}

// maxFields bounds the message and the values of a line, in bytes as they are written. The rest of a line is what Terraform and tflog put there.
const maxFields = 3 << 10

// clean is a map of the line's own. The masks of tflog would not do: lines of several goroutines would write to one map.
func clean(ctx context.Context, fields []map[string]any, limit int) map[string]any {
	type field struct{ name, value string }
	line := map[string]any{}
	var texts []field
	secrets := scrub.From(ctx)
	for _, m := range fields {
		for name, value := range m {
			switch value.(type) {
			case bool, int, int64, float64:
				line[name] = value
			default:
				texts = append(texts, field{name, scrub.Line(secrets.Mask(fmt.Sprint(value)))})
			}
		}
	}
	// What is short stays whole.
	slices.SortFunc(texts, func(a, b field) int {
		return cmp.Or(cmp.Compare(len(a.value), len(b.value)), cmp.Compare(a.name, b.name))
	})
	left := limit
	for _, f := range texts {
		line[f.name] = fit(f.value, left)
		left -= written(line[f.name])
	}
	return line
}

// fit cuts a text so that it takes no more than so many bytes as JSON, which needs up to six for one.
func fit(text string, limit int) string {
	text = scrub.Cut(text, limit)
	for text != "" && written(text) > limit {
		text = scrub.Cut(text, len(text)-max((written(text)-limit)/6, 4)) // 4 is more than the mark of a cut takes
	}
	return text
}

func written(value any) int {
	b, err := json.Marshal(value)
	if err != nil {
		return maxFields
	}
	return len(b)
}
