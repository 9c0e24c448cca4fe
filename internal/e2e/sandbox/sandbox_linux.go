// Package sandbox runs a program in Linux namespaces of its own: processes,
// mounts, network and host name. What the program starts or sets up in there,
// engines, containers, bridges and firewall rules, is gone with it, however it
// ends. The package knows nothing of Docker or DTR.
package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// The program is started over and over in different stages, which it is told
// of in its environment.
const (
	envStage    = "SANDBOX_STAGE"
	envHostname = "SANDBOX_HOSTNAME"
	envMounts   = "SANDBOX_MOUNTS"

	stageInit = "init" // process 1 of the sandbox or of a machine in it
	stageMain = "main" // the program proper
)

// namespaces that a sandbox and a machine in it have of their own.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// Main must be the first thing that a program calls. It starts the program
// again in one sandbox or more, and returns the exit status that the program is
// to end with. Before is called outside of the sandboxes, where the machine's
// network is; inside is the program proper. What before returns is an
// environment for each sandbox, added to the machine's own, and what to do at
// the end.
func Main(before func() (envs [][]string, after func() error, err error), inside func() int) int {
	switch os.Getenv(envStage) {
	case stageInit:
		return runInit()
	case stageMain:
		return inside()
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "sandbox: namespaces and Docker Engines need root")
		return 1
	}
	envs, after, err := before()
	status := 1
	if err == nil {
		status, err = enterAll(envs)
	}
	if after != nil {
		err = errors.Join(err, after())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return max(status, 1)
	}
	return status
}

// Overlay shows a file in the place of another one, to this process and to
// those that it starts from then on. There must be such a file.
func Overlay(path, text string) error {
	file, err := os.CreateTemp("/run", "overlay-")
	if err != nil {
		return err
	}
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	if err := errors.Join(file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	if err := unix.Mount(file.Name(), path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show another %s: %w", path, err)
	}
	return nil
}

// enterAll runs the program in sandboxes side by side, and returns the worst
// exit status. What they write comes out one after the other.
func enterAll(envs [][]string) (status int, err error) {
	statuses, errs := make([]int, len(envs)), make([]error, len(envs))
	outs := make([]bytes.Buffer, len(envs))
	var all sync.WaitGroup
	for i, env := range envs {
		var out io.Writer = os.Stdout
		if i > 0 {
			out = &outs[i]
		}
		all.Go(func() { statuses[i], errs[i] = enter(env, out) })
	}
	all.Wait()
	for i := range outs {
		_, err := outs[i].WriteTo(os.Stdout)
		errs[i] = errors.Join(errs[i], err)
	}
	return slices.Max(statuses), errors.Join(errs...)
}

// enter runs the program in a sandbox and waits for it.
func enter(env []string, out io.Writer) (status int, err error) {
	// A child's parent is the thread that started it, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, envStage+"="+stageInit, envMounts+"=tmpfs:/run")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start the program in namespaces of its own: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		case err := <-ended:
			return exitStatus(cmd.ProcessState), ignoreExit(err)
		}
	}
}

// ignoreExit drops the error that says no more than an exit status does.
func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

func exitStatus(state *os.ProcessState) int {
	if w, ok := state.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return state.ExitCode()
}

// runInit is process 1: it sets the namespaces up, runs what it is for, and
// buries the dead. When it returns, the kernel ends all that is left.
func runInit() int {
	if err := setUp(); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 1
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	main, err := startMain()
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		return 1
	}
	go func() {
		for s := range signals {
			_ = syscall.Kill(main, s.(syscall.Signal))
		}
	}()
	for {
		var state syscall.WaitStatus
		switch pid, err := syscall.Wait4(-1, &state, 0, nil); {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			fmt.Fprintln(os.Stderr, "sandbox: wait:", err)
			return 1
		case pid != main:
		case state.Signaled():
			return 128 + int(state.Signal())
		default:
			return state.ExitStatus()
		}
	}
}

// setUp makes the new namespaces fit to live in.
func setUp() error {
	// Nothing that is mounted in here shows outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for mount := range strings.FieldsSeq(os.Getenv(envMounts)) {
		kind, dir, _ := strings.Cut(mount, ":")
		if err := unix.Mount(kind, dir, kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	if name := os.Getenv(envHostname); name != "" {
		if err := unix.Sethostname([]byte(name)); err != nil {
			return fmt.Errorf("set the host name: %w", err)
		}
	}
	return nil
}

// startMain starts the program proper, or in a machine the command that the
// arguments name. It is not os/exec, which would wait for it too.
func startMain() (pid int, err error) {
	if err := os.Setenv(envStage, stageMain); err != nil {
		return 0, err
	}
	path, args, env := "/proc/self/exe", os.Args, os.Environ()
	if fd, err := strconv.Atoi(os.Getenv(envNetwork)); err == nil {
		syscall.CloseOnExec(fd)
		path, args, env = os.Args[1], os.Args[1:], machineEnv()
		// Children are started by this thread, and so are in that network.
		runtime.LockOSThread()
		if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
			return 0, fmt.Errorf("enter the network of the machine: %w", err)
		}
	}
	return syscall.ForkExec(path, args, &syscall.ProcAttr{Env: env, Files: []uintptr{0, 1, 2}})
}
