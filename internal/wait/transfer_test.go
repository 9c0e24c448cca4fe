package wait

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTransferReportsNowAndThen(t *testing.T) {
	t.Parallel()
	var reported []int64
	sent := &Transfer{Report: func(n int64) { reported = append(reported, n) }}
	file := sent.Reader(strings.NewReader(strings.Repeat("x", 100)))
	read := func(n int64) { _, _ = io.CopyN(io.Discard, file, n) }
	read(10)
	sent.last = time.Now().Add(-2 * reportEvery)
	read(20)
	read(30)
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	sent.last = time.Now().Add(-2 * reportEvery)
	read(5)
	if !slices.Equal(reported, []int64{30, 5}) {
		t.Errorf("reported %v", reported)
	}
}
