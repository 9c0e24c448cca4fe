package simulator

import (
	"errors"
	"fmt"
	"net/http"
)

// dtrError is an answer of the API that is not a success.
type dtrError struct {
	status        int
	code, message string
}

func (e *dtrError) Error() string { return e.message }

var (
	errNotAuthenticated = &dtrError{http.StatusUnauthorized, "NOT_AUTHENTICATED", "The client is not authenticated."}
	errNotAuthorized    = &dtrError{http.StatusForbidden, "NOT_AUTHORIZED", "The client is not authorized."}
	errMediaType        = &dtrError{http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", "Unsupported Media Type"}
	errNotAllowed       = &dtrError{http.StatusMethodNotAllowed, "NOT_ALLOWED", "Method Not Allowed"}
	errNotFound         = &dtrError{http.StatusNotFound, "NOT_FOUND", "Not Found"}
	errNoSuchJob        = &dtrError{http.StatusNotFound, "NO_SUCH_JOB", "A job with the given id does not exist."}
	errNoQuorum         = &dtrError{http.StatusInternalServerError, "INTERNAL_ERROR", "Internal server error"}
	errInvalidJSON      = &dtrError{http.StatusBadRequest, "INVALID_JSON", "The request body is not valid JSON."}
)

// writeDTRError answers as DTR does, or as nginx in front of it where the error has no
// code.
func writeDTRError(w http.ResponseWriter, err error) {
	known, ok := errors.AsType[*dtrError](err)
	if !ok {
		known = &dtrError{http.StatusInternalServerError, "INTERNAL_ERROR", err.Error()}
	}
	if known.code == "" { // nginx's own answer
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(known.status)
		fmt.Fprintf(w, "<html><head><title>%d %[2]s</title></head><body><h1>%[1]d %[2]s</h1></body></html>\n", known.status, http.StatusText(known.status))
		return
	}
	if known.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Docker Trusted Registry"`)
	}
	_ = writeJSON(w, known.status, map[string]any{
		"errors": []map[string]string{{"code": known.code, "message": known.message}},
	})
}
