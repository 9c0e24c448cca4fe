package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// follower prints what is new in the provider's progress file.
type follower struct {
	file  *os.File
	quit  chan struct{}
	done  chan error
	begun time.Time
}

// follow follows the file from its present end on.
func follow(path string) (*follower, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f := &follower{file: file, quit: make(chan struct{}), done: make(chan error, 1), begun: time.Now()}
	go func() { f.done <- f.loop() }()
	return f, nil
}

// stop prints what is left and ends.
func (f *follower) stop() error {
	close(f.quit)
	return errors.Join(<-f.done, f.file.Close())
}

func (f *follower) loop() error {
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

// print prints a line without its time, unless it repeats the bootstrapper's own log.
func (f *follower) print(line string) {
	_, message, _ := strings.Cut(line, "  ")
	if !strings.HasPrefix(message, "Bootstrapper: ") {
		fmt.Printf("  %5.1f s  %s\n", time.Since(f.begun).Seconds(), message)
	}
}
