package dtr

import (
	"fmt"
	"net/http"
)

// Error codes of DTR that callers decide on.
const (
	CodeNotAuthenticated   = "NOT_AUTHENTICATED"
	CodeNotAuthorized      = "NOT_AUTHORIZED"
	CodeNoSuchJob          = "NO_SUCH_JOB"
	CodeNoSuchContentCache = "NO_SUCH_CONTENT_CACHE"
	CodeScanningNotEnabled = "SCANNING_NOT_ENABLED"
	// CodeScanningNotReady is that of an update of the vulnerability database that comes too early.
	CodeScanningNotReady = "SCANNING_DB_NOT_READY"
)

func isCode(s string) bool {
	switch s {
	case CodeNotAuthenticated, CodeNotAuthorized, CodeNoSuchJob, CodeNoSuchContentCache, CodeScanningNotEnabled, CodeScanningNotReady:
		return true
	}
	return false
}

// APIError is an answer of DTR, or of something in front of it, that is not a success.
type APIError struct {
	StatusCode int
	// Code and Message are DTR's own; both are empty when the body was not DTR's.
	Code, Message string
	Method, Path  string
}

func (e *APIError) Error() string {
	text := fmt.Sprintf("DTR answered %s %s with status %d", e.Method, e.Path, e.StatusCode)
	if e.Code == "" {
		return text + " " + http.StatusText(e.StatusCode)
	}
	if e.Message == "" {
		return text + ", " + e.Code
	}
	return text + ", " + e.Code + ": " + e.Message
}

// Unauthorized reports whether the user name, the password or the token was refused.
func (e *APIError) Unauthorized() bool {
	return e.StatusCode == http.StatusUnauthorized || e.Code == CodeNotAuthenticated
}

// Forbidden reports whether the user is known but may not do this: most of the API is for admins.
func (e *APIError) Forbidden() bool {
	return e.StatusCode == http.StatusForbidden || e.Code == CodeNotAuthorized
}

// NotDTRError is positive proof that something else than DTR answers at the address.
// An answer that could come from a broken or restarting DTR is never reported as one.
type NotDTRError struct{ URL, Reason string }

func (e *NotDTRError) Error() string { return fmt.Sprintf("no DTR answers at %s: %s", e.URL, e.Reason) }

// LostJobError says that a job was asked for and that it could not be found out whether it exists.
type LostJobError struct {
	Action string
	Err    error
}

func (e *LostJobError) Error() string {
	return fmt.Sprintf("cannot tell whether DTR started the job %s: %v", e.Action, e.Err)
}

func (e *LostJobError) Unwrap() error { return e.Err }

// FileError says that a file could not be read on its way to DTR.
type FileError struct{ Err error }

func (e *FileError) Error() string { return e.Err.Error() }

func (e *FileError) Unwrap() error { return e.Err }

// LostCacheError says that a content cache was to be registered and that it could not be found out whether it is.
type LostCacheError struct {
	Name string
	Err  error
}

func (e *LostCacheError) Error() string {
	return fmt.Sprintf("cannot tell whether DTR registered the content cache %s: %v", e.Name, e.Err)
}

func (e *LostCacheError) Unwrap() error { return e.Err }
