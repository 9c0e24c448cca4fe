//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/e2e/sandbox"
)

const (
	enginePort = "2376"

	// limits of what takes a second or two on an idle machine
	engineStartLimit = time.Minute
	engineStopLimit  = time.Minute
)

// Node is a machine with a Docker Engine.
type Node struct {
	Name    string
	Address string // without a port

	// Docker is a client of the engine by its socket: it works without the
	// network.
	Docker *client.Client

	rig       *Rig
	machine   *sandbox.Machine
	dir       string
	transport *http.Transport // by the network, as UCP has it
	open      atomic.Int64    // connections of the transport

	mu     sync.Mutex
	engine *exec.Cmd
	ended  chan struct{} // closed when the engine has
}

// Socket is the path of the engine's socket.
func (n *Node) Socket() string { return filepath.Join(n.dir, "docker.sock") }

// Host is the engine's address in the network, where it wants a certificate.
func (n *Node) Host() string { return "tcp://" + net.JoinHostPort(n.Address, enginePort) }

func (r *Rig) newNode(ctx context.Context, k int) (*Node, error) {
	n := &Node{
		Name: fmt.Sprintf("worker%d", k), Address: fmt.Sprintf(addressFormat, k),
		rig: r, dir: filepath.Join(r.dir, fmt.Sprintf("n%d", k)),
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, err
	}
	credentials, err := r.pki.issue(n.Name, n.Address)
	if err != nil {
		return nil, err
	}
	if err := credentials.write(n.dir); err != nil {
		return nil, err
	}
	config, err := r.client.config()
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{
		Timeout:         nodeTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 3},
		Control:         giveUp,
	}
	n.transport = &http.Transport{
		TLSClientConfig: config, MaxIdleConnsPerHost: 16,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			n.open.Add(1)
			return &counted{conn, sync.OnceFunc(func() { n.open.Add(-1) })}, nil
		},
	}
	if n.Docker, err = client.New(client.WithHost("unix://"+n.Socket()), client.WithAPIVersion(apiVersion)); err != nil {
		return nil, err
	}
	n.machine, err = r.network.NewMachine(ctx, n.Name, n.Address+prefixLength, Address, configDir, "/var/lib")
	return n, err
}

// giveUp ends a connection when what was sent on it is not acknowledged for as long as a node
// may take to answer. There are no keep-alives then, and Linux would try for a quarter of an
// hour: see tcp(7), TCP_USER_TIMEOUT.
func giveUp(_, _ string, c syscall.RawConn) error {
	var err error
	if controlled := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(nodeTimeout.Milliseconds()))
	}); controlled != nil {
		return controlled
	}
	return err
}

// counted is a connection that counts as open until it is closed.
type counted struct {
	net.Conn
	closed func()
}

func (c *counted) Close() error {
	c.closed()
	return c.Conn.Close()
}

// WaitUntilLost waits until UCP has given up every connection to the node's engine,
// also those on which it only listens.
func (n *Node) WaitUntilLost(ctx context.Context) error {
	return poll(ctx, func() (bool, error) { return n.open.Load() == 0, nil })
}

// Start starts the engine and waits until it answers.
func (n *Node) Start(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	path := func(name string) string { return filepath.Join(n.dir, name) }
	if err := os.Remove(path("pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // of an engine that was killed, in other namespaces
	}
	// The filter of Docker's own profile is compiled for each process in a container.
	if err := os.WriteFile(path("seccomp.json"), []byte(`{"defaultAction": "SCMP_ACT_ALLOW"}`), 0o600); err != nil {
		return err
	}
	cmd := n.machine.Command(context.WithoutCancel(ctx), "dockerd",
		"--data-root", path("data"), "--exec-root", path("exec"), "--pidfile", path("pid"),
		"--host", "unix://"+n.Socket(), "--host", n.Host(),
		"--tlsverify", "--tlscacert", path("ca.pem"), "--tlscert", path("cert.pem"), "--tlskey", path("key.pem"),
		"--insecure-registry", n.rig.Registry(), "--registry-mirror", "http://"+n.rig.Registry(),
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", n.rig.cgroup,
		"--userland-proxy=false", "--log-level", "warn", "--seccomp-profile", path("seccomp.json"),
	)
	cmd.Env = append(cmd.Env, "GOGC=400") // for what it starts, too
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the engine of %s: %w", n.Name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	n.engine, n.ended = cmd, ended
	limited, cancel := context.WithTimeout(ctx, engineStartLimit)
	defer cancel()
	if err := poll(limited, func() (bool, error) {
		select {
		case <-ended:
			return false, errors.New("it ended at once")
		default:
		}
		_, err := n.Docker.Ping(limited, client.PingOptions{})
		return err == nil, nil
	}); err != nil {
		return fmt.Errorf("the engine of %s does not answer: %w\n%s", n.Name, err, n.Log())
	}
	return nil
}

func (n *Node) logFile() string { return filepath.Join(n.dir, "log") }

// Log is the end of what the engine has written, without what every engine
// writes in namespaces.
func (n *Node) Log() string {
	const most = 15
	text, _ := os.ReadFile(n.logFile())
	var lines []string
	for line := range strings.Lines(string(text)) {
		if !noise.MatchString(line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-most):], "")
}

var noise = regexp.MustCompile(`level=info|level=warning|kernel parameter|default vlan`)

// Stop ends the engine as a service manager does, which ends its containers.
func (n *Node) Stop(ctx context.Context) error { return n.end(ctx, syscall.SIGTERM) }

// Kill ends the engine and all of its containers at once, as a power failure
// does.
func (n *Node) Kill(ctx context.Context) error { return n.end(ctx, syscall.SIGKILL) }

func (n *Node) end(ctx context.Context, s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.engine == nil {
		return nil
	}
	_ = n.engine.Process.Signal(s)
	timer := time.NewTimer(engineStopLimit)
	defer timer.Stop()
	select {
	case <-n.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		_ = n.engine.Process.Kill()
		<-n.ended
		return fmt.Errorf("the engine of %s did not stop:\n%s", n.Name, n.Log())
	}
	n.engine = nil
	n.transport.CloseIdleConnections()
	return nil
}

// Serve runs a program in the machine of the node until ctx is done, and returns
// when an address of the node answers.
func (n *Node) Serve(ctx context.Context, address, program string, args ...string) error {
	// sshd wants this directory, and is not alone in that.
	if err := os.MkdirAll(filepath.Join("/run", program), 0o755); err != nil {
		return err
	}
	cmd := n.machine.Command(ctx, program, args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s on %s: %w", program, n.Name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return poll(ctx, func() (bool, error) {
		select {
		case err := <-ended:
			return false, fmt.Errorf("%s on %s ended: %w: %s", program, n.Name, err, said.String())
		default:
		}
		conn, err := (&net.Dialer{Timeout: nodeTimeout}).DialContext(ctx, "tcp", address)
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return true, conn.Close()
	})
}

// Unplug cuts the node off the network. Its engine and containers go on.
func (n *Node) Unplug(ctx context.Context) error { return n.machine.Unplug(ctx) }

// Plug ends Unplug.
func (n *Node) Plug(ctx context.Context) error { return n.machine.Plug(ctx) }
