package simulator

import (
	"errors"
	"fmt"
	"net/http"
)

// engineError is an answer of the Engine API that is not a success.
type engineError struct {
	status  int
	message string
	plain   bool // written as text
}

func (e *engineError) Error() string { return e.message }

func errorf(status int, format string, args ...any) error {
	return &engineError{status: status, message: fmt.Sprintf(format, args...)}
}

var errNotModified = errorf(http.StatusNotModified, "")

var errNotManager = errorf(http.StatusServiceUnavailable, "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.")

// writeEngineError answers as Docker does: the message in JSON. Classic Swarm writes
// it as text.
func writeEngineError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	if known, ok := errors.AsType[*engineError](err); ok {
		status = known.status
		if known.plain {
			http.Error(w, known.message, status)
			return
		}
	}
	if status == http.StatusNotModified {
		w.WriteHeader(status)
		return
	}
	_ = writeJSON(w, status, map[string]string{"message": err.Error()})
}
