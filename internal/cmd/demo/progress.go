package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// follower prints what is new in the provider's progress file, among what is written
// to it: each at its time.
type follower struct {
	to    io.Writer
	file  *os.File
	begun time.Time
	quit  chan struct{}
	done  sync.WaitGroup

	mu      sync.Mutex
	lines   *bufio.Reader
	partial string
	err     error
}

// follow follows the file from its present end on.
func follow(path string, to io.Writer) (*follower, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	f := &follower{to: to, file: file, begun: time.Now(), quit: make(chan struct{}), lines: bufio.NewReader(file)}
	f.done.Go(func() {
		for {
			select {
			case <-f.quit:
				return
			case <-time.After(50 * time.Millisecond):
				f.mu.Lock()
				f.catchUp()
				f.mu.Unlock()
			}
		}
	})
	return f, nil
}

// Write prints what is new in the file first.
func (f *follower) Write(text []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchUp()
	return f.to.Write(text)
}

// stop prints what is left and ends.
func (f *follower) stop() error {
	close(f.quit)
	f.done.Wait()
	f.catchUp()
	return errors.Join(f.err, f.file.Close())
}

// catchUp prints the lines that are new.
func (f *follower) catchUp() {
	for f.err == nil {
		text, err := f.lines.ReadString('\n')
		f.partial += text
		if errors.Is(err, io.EOF) {
			return
		}
		if f.err = err; err == nil {
			f.print(strings.TrimSpace(f.partial))
			f.partial = ""
		}
	}
}

// print prints a line without its time, unless it repeats the bootstrapper's own log.
func (f *follower) print(line string) {
	_, message, _ := strings.Cut(line, "  ")
	if !strings.HasPrefix(message, "Bootstrapper: ") {
		_, _ = fmt.Fprintf(f.to, "  %5.1f s  %s\n", time.Since(f.begun).Seconds(), message)
	}
}
