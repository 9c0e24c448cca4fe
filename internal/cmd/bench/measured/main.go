// Command measured runs a provider and writes down the most memory that it had, as the
// system says after its end. Command bench gives it to Terraform in the provider's
// place. The system counts what the parent had when it started the child as the
// child's: hence a program as small as this one, and its own memory written beside it.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// The environment that says what to run, and the file to write to.
const (
	envProgram = "BENCH_PROGRAM"
	envRecord  = "BENCH_RECORD"
)

func main() {
	status, err := measure(os.Getenv(envProgram), os.Getenv(envRecord), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "measured:", err)
	}
	os.Exit(status)
}

// measure runs the program and appends to the record; it returns the exit status.
func measure(program, record string, args []string) (status int, err error) {
	cmd := exec.Command(program, args...) //nolint:noctx // Terraform ends it
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return 1, err
	}
	peak, parent, err := peaks(cmd.ProcessState)
	if err != nil {
		return 1, err
	}
	file, err := os.OpenFile(record, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return 1, err
	}
	_, err = fmt.Fprintf(file, "%d %d\n", peak, parent)
	if err := errors.Join(err, file.Close()); err != nil {
		return 1, err
	}
	return cmd.ProcessState.ExitCode(), nil
}
