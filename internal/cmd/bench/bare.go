package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// The floor of a plan's requests is a process that makes the same ones with net/http
// alone: the login first, the others all at once over as many connections, and reads
// the answers to their end. It is this program again, with this argument.
const bareCommand = "bare"

// work is what that process is told.
type work struct {
	Info        simulator.Info
	Connections map[string]int // to DTR and UCP, by URL
	Requests    []simulator.Request
}

// newWork leaves out what bootstrappers asked.
func newWork(info simulator.Info, requests []simulator.Request) (work, error) {
	w := work{Info: info, Connections: map[string]int{}}
	clients := map[string]bool{}
	for _, r := range requests {
		if r.Bootstrapper() {
			continue
		}
		if r.Method != http.MethodGet && !isLogin(r) {
			return work{}, fmt.Errorf("a plan has made a request that is not repeated: %s %s", r.Method, r.Path)
		}
		w.Requests = append(w.Requests, r)
		if !clients[r.Client] {
			clients[r.Client] = true
			w.Connections[base(info, r)]++
		}
	}
	return w, nil
}

func base(info simulator.Info, r simulator.Request) string {
	if r.Service == simulator.ServiceDTR {
		return info.DTRURL
	}
	return info.UCPURL
}

// runBare makes the requests again in a process of its own.
func (b *bench) runBare(ctx context.Context, w work) (took, error) {
	text, err := json.Marshal(w)
	if err != nil {
		return took{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return took{}, err
	}
	file := filepath.Join(b.dir, "work.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return took{}, err
	}
	return runCommand(exec.CommandContext(ctx, self, bareCommand, file), 0)
}

// handshakes makes the connections anew, all at once, each with a full TLS handshake of
// crypto/tls alone, and returns how long it took until the last was there. Client and
// server are in this process.
func (w work) handshakes(ctx context.Context) (time.Duration, error) {
	config, err := tlsConfig(w.Info)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for address, n := range w.Connections {
		u, err := url.Parse(address)
		if err != nil {
			return 0, err
		}
		for range n {
			g.Go(func() error {
				conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", u.Host)
				if err != nil {
					return err
				}
				return conn.Close()
			})
		}
	}
	err = g.Wait()
	return time.Since(began), err
}

// bare is that process.
func bare(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var w work
	if err := json.Unmarshal(text, &w); err != nil {
		return err
	}
	return w.do(ctx)
}

func (w work) do(ctx context.Context) error {
	clients := map[string]*client{}
	for url, n := range w.Connections {
		c, err := newClient(w.Info, url, n)
		if err != nil {
			return err
		}
		defer c.CloseIdleConnections()
		clients[url] = c
	}
	if slices.ContainsFunc(w.Requests, isLogin) {
		ucp, ok := clients[w.Info.UCPURL]
		if !ok {
			return errors.New("a login, and no connection to UCP")
		}
		if err := ucp.login(ctx); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, r := range w.Requests {
		if isLogin(r) {
			continue
		}
		g.Go(func() error {
			status, err := clients[base(w.Info, r)].get(ctx, strings.TrimSuffix(r.Path+"?"+r.Query, "?"))
			if err == nil && status != r.Status {
				err = fmt.Errorf("GET %s: %d, where the provider was answered %d", r.Path, status, r.Status)
			}
			return err
		})
	}
	return g.Wait()
}
