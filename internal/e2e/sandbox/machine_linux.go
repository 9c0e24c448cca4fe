package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// envNetwork holds the file descriptor of a machine's network namespace.
const envNetwork = "SANDBOX_NETWORK"

// machineEnv is the environment in a machine. Nothing of the outer one's
// proxies or settings of Docker is to be seen.
func machineEnv() []string { return []string{"PATH=" + os.Getenv("PATH"), "HOME=/root"} }

// Switch is a bridge that machines are attached to. This process has an
// address on it too.
type Switch struct{ name string }

// NewSwitch makes a bridge; address has a prefix length ("10.0.0.254/24").
func NewSwitch(ctx context.Context, name, address string) (*Switch, error) {
	return &Switch{name}, errors.Join(
		ip(ctx, "link", "set", "lo", "up"),
		ip(ctx, "link", "add", name, "type", "bridge"),
		ip(ctx, "address", "add", address, "dev", name),
		ip(ctx, "link", "set", name, "up"),
	)
}

// ip runs the command of that name.
func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Machine is a host name and a network of its own, for processes that think
// that they are alone. The network outlives the processes.
type Machine struct {
	name, port string // port of the switch
	network    *os.File
	mounts     []string
}

// NewMachine attaches a machine to the switch. In its processes' eyes
// directories to hide are empty.
func (s *Switch) NewMachine(ctx context.Context, name, address, gateway string, hide ...string) (*Machine, error) {
	network, err := newNetwork()
	if err != nil {
		return nil, fmt.Errorf("make a network for %s: %w", name, err)
	}
	m := &Machine{name: name, port: "port-" + name, network: network}
	for _, dir := range hide {
		m.mounts = append(m.mounts, "tmpfs:"+dir)
	}
	if err := errors.Join(
		ip(ctx, "link", "add", m.port, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), network.Fd())),
		ip(ctx, "link", "set", m.port, "master", s.name, "up"),
		m.Do(func() error {
			return errors.Join(
				ip(ctx, "link", "set", "lo", "up"),
				ip(ctx, "address", "add", address, "dev", "eth0"),
				ip(ctx, "link", "set", "eth0", "up"),
				ip(ctx, "route", "add", "default", "via", gateway),
			)
		}),
	); err != nil {
		return nil, err
	}
	return m, nil
}

// newNetwork makes a network namespace, which is there as long as the file is
// open.
func newNetwork() (*os.File, error) {
	var file *os.File
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	return file, err
}

// Do calls f in the network of the machine. What f starts or opens is in
// there, but not what it starts with go.
func (m *Machine) Do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(m.network.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network of %s: %w", m.name, err)
		}
		return f()
	})
}

// onThread calls f on a thread that ends with it: whatever f does to its
// namespaces does not stay.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- f()
	}()
	return <-done
}

// Unplug takes the machine's cable out: its links on the switch are down.
func (m *Machine) Unplug(ctx context.Context) error { return ip(ctx, "link", "set", m.port, "down") }

// Plug puts it back in.
func (m *Machine) Plug(ctx context.Context) error { return ip(ctx, "link", "set", m.port, "up") }

// Command makes a command that runs in the machine, under a process 1 of its
// own: whatever it leaves behind ends with it, and all of it at once when that
// is killed. Signals to it are passed on to the command.
func (m *Machine) Command(ctx context.Context, path string, args ...string) *exec.Cmd {
	if found, err := exec.LookPath(path); err == nil {
		path = found
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{path}, args...)...)
	cmd.ExtraFiles = []*os.File{m.network} // number 3
	cmd.Env = append(machineEnv(),
		envStage+"="+stageInit, envHostname+"="+m.name, envMounts+"="+strings.Join(m.mounts, " "), envNetwork+"=3")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	return cmd
}
