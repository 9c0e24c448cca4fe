package wait

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// reportEvery is the pause between two reports on how far a transfer is.
const reportEvery = 10 * time.Second

// Transfer counts bytes and reports now and then how many there were.
type Transfer struct {
	Report func(bytes int64)

	n    int64
	last time.Time
}

func (t *Transfer) count(n int) {
	t.n += int64(n)
	if t.last.IsZero() {
		t.last = time.Now()
	}
	if time.Since(t.last) >= reportEvery {
		t.last = time.Now()
		t.Report(t.n)
	}
}

// Write counts what is written beside it.
func (t *Transfer) Write(p []byte) (int, error) {
	t.count(len(p))
	return len(p), nil
}

// Reader counts what is read from a file. The file can be read again from its
// start.
func (t *Transfer) Reader(f io.ReadSeeker) io.ReadSeeker { return &countingReader{f, t} }

type countingReader struct {
	io.ReadSeeker
	t *Transfer
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	c.t.count(n)
	return n, err
}

func (c *countingReader) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekStart {
		return 0, fmt.Errorf("seek: %w", errors.ErrUnsupported)
	}
	c.t.n = 0
	return c.ReadSeeker.Seek(0, io.SeekStart)
}
