package standin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/pki"
)

// Component is the program of the image of a replica's part: it runs until ctx is
// done. That of nginx answers _ping on its two ports.
func Component(ctx context.Context, partName string) error {
	if partName != "nginx" {
		<-ctx.Done()
		return nil
	}
	_, certificate, err := pki.New()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"Error":"","Healthy":true}`+"\n")
	})
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	ended := make(chan error, 2)
	for port, serve := range map[string]func(net.Listener) error{
		":80": server.Serve, ":443": func(l net.Listener) error { return server.ServeTLS(l, "", "") },
	} {
		l, err := net.Listen("tcp", port)
		if err != nil {
			return errors.Join(err, server.Close())
		}
		go func() { ended <- serve(l) }()
	}
	select {
	case <-ctx.Done():
		return server.Close()
	case err := <-ended:
		return errors.Join(err, server.Close())
	}
}

// HealthCheck is Docker's health check of nginx.
func HealthCheck(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1/_ping", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("_ping: %s", answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
