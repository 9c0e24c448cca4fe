package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"syscall"
)

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peaks are the most memory that the ended process had, and this one, in bytes. Not
// getrusage of this one: that counts Terraform, which started it.
func peaks(state *os.ProcessState) (process, parent int64, err error) {
	of, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, 0, errors.New("the system does not tell the process's memory")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, err
	}
	found := highWater.FindSubmatch(status)
	if found == nil {
		return 0, 0, fmt.Errorf("/proc/self/status does not tell the memory:\n%s", status)
	}
	own, err := strconv.ParseInt(string(found[1]), 10, 64)
	return int64(of.Maxrss) << 10, own << 10, err //nolint:unconvert // 32 bits on some systems
}
