package simulator

import (
	"encoding/binary"
	"net"
	"slices"
	"sync"

	"github.com/moby/moby/api/pkg/stdcopy"
)

const (
	logDriverJSON = "json-file"
	logDriverNone = "none" // keeps nothing of what a container writes
)

// readable reports whether the log that a driver keeps can be read again.
func readable(driver string) bool {
	return slices.Contains([]string{logDriverJSON, "journald", "local"}, driver)
}

// attachment is a connection that gets a container's output while it is written.
type attachment struct {
	conn           net.Conn
	tty            bool
	stdout, stderr bool
	ended          chan struct{}
	once           sync.Once

	mu sync.Mutex // one frame at a time
}

func (a *attachment) write(s stdcopy.StdType, p []byte) {
	if s == stdcopy.Stdout && !a.stdout || s == stdcopy.Stderr && !a.stderr {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.tty {
		p = append(streamHeader(s, len(p)), p...)
	}
	if _, err := a.conn.Write(p); err != nil {
		a.end() // whoever it was has gone; the container goes on
	}
}

func (a *attachment) end() {
	a.once.Do(func() {
		close(a.ended)
		_ = a.conn.Close()
	})
}

// streamHeader starts a frame in Docker's multiplexed stream.
func streamHeader(s stdcopy.StdType, size int) []byte {
	header := []byte{byte(s), 0, 0, 0, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(header[4:], uint32(size))
	return header
}
