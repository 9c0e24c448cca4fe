package ucp

import (
	"fmt"
	"net/http"
)

// APIError is an answer of UCP that is not a success. The Docker Engine API has errors of its own:
// cerrdefs.IsNotFound, IsConflict and IsUnauthorized hold for them, and for an APIError.
type APIError struct {
	StatusCode   int
	Message      string
	Method, Path string
}

func (e *APIError) Error() string {
	return fmt.Sprintf("UCP answered %s %s with %d", e.Method, e.Path, e.StatusCode)
}

// Unauthorized reports whether the user name, the password or the token was refused.
func (e *APIError) Unauthorized() bool { return e.StatusCode == http.StatusUnauthorized }
