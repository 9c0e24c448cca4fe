package simulator

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/Masterminds/semver/v3"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// answerer is the replica that a request was passed on to.
type answerer struct {
	id, version string
	release     *semver.Version // of version
	api         bool            // its API answers
}

// call is one request to the API, and who made it.
type call struct {
	*http.Request
	replica answerer
	user    user
	upload  *Upload // the file that came with it
}

// notBefore reports whether a replica's release is at or after a minor version.
func (a answerer) notBefore(minor string) bool {
	return minor == "" || a.release.Compare(semver.MustParse(minor)) >= 0
}

// wireVersion is the version as the API shows it: from 2.7 on with the commit that
// it was built from.
func (a answerer) wireVersion() string {
	if a.notBefore("2.7") && a.release.Prerelease() == "" {
		return a.version + "-" + release.StableID("commit", a.version)[:8]
	}
	return a.version
}

// decode reads the JSON body of a call.
func (c *call) decode(v any) error {
	if err := json.NewDecoder(io.LimitReader(c.Body, 1<<20)).Decode(v); err != nil {
		return errInvalidJSON
	}
	return nil
}

// tokenOwner is the user whose tokens a call is about: the caller, or any user if
// the caller is an administrator.
func (c *call) tokenOwner() (string, error) {
	owner := c.URL.Query().Get("username")
	if owner == "" || owner == c.user.name {
		return c.user.name, nil
	}
	if !c.user.admin {
		return "", errNotAuthorized
	}
	return owner, nil
}

// access says who may use an endpoint.
type access int

const (
	anyone access = iota
	anyUser
	adminOnly
)

// dtrRoute is one endpoint of the API.
type dtrRoute struct {
	pattern string // of http.ServeMux
	access  access
	since   string                                          // the minor version that brought it
	serve   func(c *call) (status int, body any, err error) // DTR's lock is held
}
