package simulator

import (
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"time"
)

// writeJSON answers with a status and a JSON body.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client went away: nobody to tell
	return nil
}

// resetConnection drops the connection without an answer, with a TCP reset
// where it is TCP.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn() // not closed as TLS would be: that says goodbye
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}

// object is a JSON object with no type of its own.
type object = map[string]any

// httpDate is a time as the header Date shows it.
func httpDate(t time.Time) string { return t.UTC().Format(http.TimeFormat) }

// formatTime is a time as the APIs show it.
func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
