package ucp

import (
	"encoding/json"
	"fmt"
	"net/http"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// APIError is an answer that is not a success, of UCP's own API or to the first question to an engine.
// cerrdefs.IsNotFound, IsConflict, IsUnauthorized and the like hold for it, as they do for the errors of the Docker Engine API.
type APIError struct {
	// Service is "UCP" or the engine's address.
	Service    string
	URL        string // the address that was asked, without a path
	StatusCode int
	// Message is the service's own, empty when the body was not one of its errors.
	Message      string
	Method, Path string
}

func (e *APIError) Error() string {
	text := e.Message
	if text == "" {
		text = http.StatusText(e.StatusCode)
	}
	return fmt.Sprintf("%s answered %s %s with status %d: %s", e.Service, e.Method, e.Path, e.StatusCode, text)
}

const loginPath = "/auth/login"

// LoginRefused reports whether UCP refused the user name or the password. That it refuses a token says nothing about them.
func (e *APIError) LoginRefused() bool {
	return e.StatusCode == http.StatusUnauthorized && e.Path == loginPath
}

// Unwrap makes the error one of the classes of package errdefs.
func (e *APIError) Unwrap() error { return errorClass(e.StatusCode) }

func errorClass(status int) error {
	switch status {
	case http.StatusBadRequest:
		return cerrdefs.ErrInvalidArgument
	case http.StatusUnauthorized:
		return cerrdefs.ErrUnauthenticated
	case http.StatusForbidden:
		return cerrdefs.ErrPermissionDenied
	case http.StatusNotFound:
		return cerrdefs.ErrNotFound
	case http.StatusConflict:
		return cerrdefs.ErrConflict
	case http.StatusInternalServerError:
		return cerrdefs.ErrInternal
	case http.StatusServiceUnavailable:
		return cerrdefs.ErrUnavailable
	default:
		return nil
	}
}

// check is nil for a success.
func check(e *endpoint.Endpoint, a *endpoint.Answer) error {
	if a.OK() {
		return nil
	}
	var body struct {
		Message string
		Errors  []struct{ Message string }
	}
	message := ""
	if json.Unmarshal(a.Body, &body) == nil {
		message = body.Message
		if len(body.Errors) > 0 {
			message = body.Errors[0].Message
		}
	}
	return &APIError{
		Service:    e.Service(),
		URL:        e.URL(),
		StatusCode: a.StatusCode,
		Message:    e.Quote(message),
		Method:     a.Method,
		Path:       e.Secrets().Mask(a.Path),
	}
}
