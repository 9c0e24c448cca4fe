package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-logfmt/logfmt"
)

// tellings are the log messages of the provider that the demo shows, with the
// fields that matter.
var tellings = map[string]func(field map[string]string) string{
	"Image is being pulled": func(f map[string]string) string { return "pulling " + f["image"] },
	"Bootstrapper is started": func(f map[string]string) string {
		return "bootstrapper " + f["image"] + " started"
	},
	"Replica runs the target version": func(f map[string]string) string {
		return fmt.Sprintf("replica %s on %s runs %s (%s of %s)", f["replica_id"], f["node"], f["version"], f["replicas_at_target"], f["replicas"])
	},
	"Step begins": func(f map[string]string) string { return "step " + f["step"] },
	"Job of DTR changed": func(f map[string]string) string {
		return fmt.Sprintf("%s, attempt %s: %s", f["action"], f["attempt"], f["status"])
	},
}

// logFollower prints what is new in the provider's log.
type logFollower struct {
	file  *os.File
	quit  chan struct{}
	done  chan error
	begun time.Time
}

// followLog follows the log from its present end on.
func followLog(path string) (*logFollower, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f := &logFollower{file: file, quit: make(chan struct{}), done: make(chan error, 1), begun: time.Now()}
	go func() { f.done <- f.loop() }()
	return f, nil
}

// stop prints what is left and ends.
func (f *logFollower) stop() error {
	close(f.quit)
	return errors.Join(<-f.done, f.file.Close())
}

func (f *logFollower) loop() error {
	lines := bufio.NewReader(f.file)
	partial := ""
	last := false
	for {
		text, err := lines.ReadString('\n')
		partial += text
		switch {
		case err == nil:
			f.print(strings.TrimSpace(partial))
			partial = ""
			continue
		case !errors.Is(err, io.EOF):
			return err
		case last:
			return nil
		}
		select {
		case <-f.quit:
			last = true
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// print prints a log line if it is one that the demo tells of. Terraform writes
// a provider's line as "<time> [INFO]  provider.<name>: <message>: <fields>".
func (f *logFollower) print(line string) {
	_, line, _ = strings.Cut(line, "[INFO]")
	_, line, _ = strings.Cut(line, ": ")
	message, rest, _ := strings.Cut(line, ": ")
	tell, known := tellings[message]
	if !known {
		return
	}
	fields := map[string]string{}
	decoder := logfmt.NewDecoder(strings.NewReader(rest))
	for decoder.ScanRecord() {
		for decoder.ScanKeyval() {
			fields[string(decoder.Key())] = string(decoder.Value())
		}
	}
	fmt.Printf("  %5.1f s  %s\n", time.Since(f.begun).Seconds(), tell(fields))
}
