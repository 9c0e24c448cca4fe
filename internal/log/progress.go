package log

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Progress is a file that gets every message of [Info] and [Detail] as a line with its time. The zero value writes nowhere.
type Progress struct {
	mu   sync.Mutex
	file *os.File // nil before Open, and after a line that could not be written
	err  error    // why that line could not be, until Failure has told it

	terminal bool   // the file is one
	bar      string // that a terminal shows below the lines; "" is none
}

// barWidth is that of the bar itself, in characters. With the text behind it, it stays
// shorter than a line of Terraform's about what still goes on, which writes over it.
const barWidth = 20

// What a terminal is told: to go to the line's begin, and to clear what is behind it.
const (
	home      = "\r"
	eraseLine = "\x1b[K"
)

// writeLimit bounds the time that a line takes: a pipe may have a reader that does not read.
const writeLimit = time.Second

type progressKey struct{}

// With is a context whose messages are written.
func (p *Progress) With(ctx context.Context) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// Open opens the file, to append to it: a regular one, which is made if there is none, or a terminal or pipe. It does not wait for the reader of a pipe.
func (p *Progress) Open(name string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600) //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	raw, err := file.SyscallConn() // where Fd would make the file wait
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.file = file
	return raw.Control(func(fd uintptr) { p.terminal = isatty.IsTerminal(fd) })
}

// Bar shows how much of all is done, where the progress is written to a terminal: below
// the lines, until all is. A file and the log get nothing.
func Bar(ctx context.Context, done, all int, text string) {
	p, ok := ctx.Value(progressKey{}).(*Progress)
	if !ok || all <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	filled := barWidth * min(done, all) / all
	bar := strings.Repeat("█", filled) + strings.Repeat("░", barWidth-filled) + " " + scrub.Line(text)
	switch {
	case !p.terminal || done >= all && p.bar == "":
		return
	case done >= all:
		p.bar = ""
	default:
		p.bar = bar
	}
	p.print(ctx, eraseLine+bar+home)
}

// NoBar takes the bar away: what it was of has ended.
func NoBar(ctx context.Context) {
	p, ok := ctx.Value(progressKey{}).(*Progress)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != "" {
		p.bar = ""
		p.print(ctx, eraseLine)
	}
}

// write writes a line.
func (p *Progress) write(ctx context.Context, message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := fmt.Sprintf("%s  %s\n", time.Now().Format(time.TimeOnly), message)
	if p.terminal {
		line = eraseLine + line
		if p.bar != "" {
			line += p.bar + home
		}
	}
	p.print(ctx, line)
}

// print writes a text. A run goes on without its progress being written: the first
// failure is a warning in the log, and the last one.
func (p *Progress) print(ctx context.Context, text string) {
	if p.file == nil {
		return
	}
	_ = p.file.SetWriteDeadline(time.Now().Add(writeLimit)) // a regular file has none, and needs none
	if _, err := p.file.WriteString(text); err != nil {
		Warn(ctx, "Progress is no longer written", map[string]any{"file": p.file.Name(), "error": err.Error()})
		_ = p.file.Close()
		p.file, p.err = nil, err
	}
}

// Failure says once why no more lines are written, an *os.PathError; nil if they are.
func (p *Progress) Failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.err
	p.err = nil
	return err
}
