package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// What the program "measured" is told by its environment.
const (
	envProgram = "BENCH_PROGRAM"
	envRecord  = "BENCH_RECORD"
)

// readRecord reads the peaks of the processes that it has run, in bytes.
func readRecord(record string) ([]int64, error) {
	file, err := os.Open(record)
	if err != nil {
		return nil, fmt.Errorf("no process has told its memory: %w", err)
	}
	defer func() { _ = file.Close() }()
	var all []int64
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		first, second, _ := strings.Cut(lines.Text(), " ")
		peak, err := strconv.ParseInt(first, 10, 64)
		parent, err2 := strconv.ParseInt(second, 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("record of memory: %w", err)
		}
		if peak <= parent {
			return nil, fmt.Errorf("record of memory: the process had at most %d bytes, which cannot be told from the %d of what started it", peak, parent)
		}
		all = append(all, peak)
	}
	return all, lines.Err()
}
