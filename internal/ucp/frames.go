package ucp

import (
	"encoding/binary"
	"fmt"
	"io"
)

// maxFrame bounds one frame of what a container writes, in bytes: stdcopy keeps a whole one in memory. Engines send some tens of kilobytes at once.
const maxFrame = 4 << 20

// frames passes on what a container writes, in the frames of an engine, up to one that is too long.
type frames struct {
	r      io.Reader
	header []byte // as much of a frame's as was read
	left   int64  // of the frame
}

func (f *frames) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	for i := 0; i < n; {
		if f.left > 0 {
			step := min(f.left, int64(n-i))
			f.left -= step
			i += int(step)
			continue
		}
		f.header = append(f.header, p[i])
		i++
		if len(f.header) < 8 { // the stream, three zeros, the length
			continue
		}
		f.left = int64(binary.BigEndian.Uint32(f.header[4:]))
		f.header = f.header[:0]
		if f.left > maxFrame {
			return 0, fmt.Errorf("the engine sends %d bytes at once, more than %d", f.left, maxFrame)
		}
	}
	return n, err
}
