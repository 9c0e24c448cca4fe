package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types"
)

// outputAPI is the part of the Engine API about what containers write.
type outputAPI struct{ engine *engine }

func (a outputAPI) routes() []engineRoute {
	return []engineRoute{
		{"GET", "/containers/*/logs", a.logs, passedOn},
		{"POST", "/containers/*/attach", a.attach, passedOn},
	}
}

func (a outputAPI) logs(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	query := r.URL.Query()
	if !isSet(r, "stdout") && !isSet(r, "stderr") {
		return errorf(http.StatusBadRequest, "Bad parameters: you must choose at least one stream")
	}
	since, err := unixTime(query.Get("since"))
	if err != nil {
		return err // Docker too calls it an error of its own
	}
	tail, err := strconv.Atoi(query.Get("tail"))
	if err != nil {
		tail = -1 // "all", and whatever else is not a number
	}
	a.engine.mu.Lock()
	c, err := a.engine.reachable(s, name)
	if err != nil {
		a.engine.mu.Unlock()
		return err
	}
	log, tty, driver, n := c.log, c.config.Tty, cmp.Or(c.host.LogConfig.Type, a.engine.logDriver), c.node
	follow := isSet(r, "follow") && c.runs()
	a.engine.mu.Unlock()
	if !readable(driver) {
		return errorf(http.StatusNotImplemented, "configured logging driver does not support reading")
	}

	contentType := types.MediaTypeRawStream
	if !tty && compareAPI(a.engine.apiVersion, "1.42") >= 0 {
		contentType = types.MediaTypeMultiplexedStream
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	_ = flush()
	_ = log.read(r.Context(), since.Add(-n.ahead), tail, follow, func(entry logEntry) error {
		if entry.stream == stdcopy.Stdout && !isSet(r, "stdout") || entry.stream == stdcopy.Stderr && !isSet(r, "stderr") {
			return nil
		}
		data := entry.data
		if isSet(r, "timestamps") {
			data = append([]byte(n.date(entry.at).UTC().Format("2006-01-02T15:04:05.000000000Z07:00")+" "), data...)
		}
		if !tty {
			data = append(streamHeader(entry.stream, len(data)), data...)
		}
		if _, err := w.Write(data); err != nil {
			return err
		}
		return flush()
	})
	return nil
}

// attach takes the connection over and relays what the container writes from now
// on, until it ends.
func (a outputAPI) attach(s scope, w http.ResponseWriter, r *http.Request, name string) error {
	a.engine.mu.Lock()
	c, err := a.engine.reachable(s, name)
	if err != nil {
		a.engine.mu.Unlock()
		if refusal := (*engineError)(nil); !s.cluster() && errors.As(err, &refusal) {
			// The engine has already switched to a raw stream; UCP looks for the
			// container first.
			w.Header().Set("Content-Type", types.MediaTypeRawStream)
			w.WriteHeader(refusal.status)
			_, err = fmt.Fprintln(w, refusal.Error())
		}
		return err
	}
	log, tty := c.log, c.config.Tty
	a.engine.mu.Unlock()

	contentType := types.MediaTypeRawStream
	if !tty && compareAPI(a.engine.apiVersion, "1.42") >= 0 && r.Header.Get("Upgrade") != "" {
		contentType = types.MediaTypeMultiplexedStream
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return err
	}
	out := &attachment{conn: conn, tty: tty, stdout: isSet(r, "stdout"), stderr: isSet(r, "stderr"), ended: make(chan struct{})}
	defer out.end()
	status := "200 OK\r\nContent-Type: " + contentType
	if r.Header.Get("Upgrade") != "" {
		status = "101 UPGRADED\r\nContent-Type: " + contentType + "\r\nConnection: Upgrade\r\nUpgrade: tcp"
	}
	if !isSet(r, "stream") {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", status)
		return nil
	}
	// Attach before the answer is sent: with it the client may start the container.
	out.mu.Lock()
	log.attach(out)
	_, err = fmt.Fprintf(conn, "HTTP/1.1 %s\r\n\r\n", status)
	out.mu.Unlock()
	if err != nil {
		return nil
	}
	select {
	case <-a.engine.ctx.Done():
	case <-out.ended:
	}
	return nil
}

// unixTime reads seconds since 1970 with an optional fraction; "" and 0 are
// the beginning of time.
func unixTime(s string) (time.Time, error) {
	if s == "" || s == "0" {
		return time.Time{}, nil
	}
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	var nanos int64
	if fraction != "" {
		nanos, err = strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	}
	return time.Unix(seconds, nanos), err
}
