// Package registry lists the tags of a repository in an image registry, over the
// distribution API that they all speak. Of this module's packages it may import
// endpoint and scrub alone.
package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// Config says how to reach a registry.
type Config struct {
	// CACert is PEM text that replaces the system's roots; empty means the system's.
	CACert string
	// InsecureSkipVerify accepts any certificate.
	InsecureSkipVerify bool
	// Username and Password log in to the registry, and to a token service on the same host; empty means anonymous.
	Username, Password string
	UserAgent          string
	Retry              endpoint.Retry
	// Secrets are masked in errors and in the log, and the password and the tokens become some of them; nil means no others.
	Secrets *scrub.Secrets
}

// Error says why there is no list of tags.
type Error struct {
	Repository string
	StatusCode int // 0 when the answer was of no other use
	Err        error
}

func (e *Error) Error() string {
	if e.StatusCode != 0 {
		return fmt.Sprintf("tags of %s: the registry answered with status %d %s", e.Repository, e.StatusCode, http.StatusText(e.StatusCode))
	}
	return fmt.Sprintf("tags of %s: %v", e.Repository, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// maxPages bounds a list: a registry that points back to where it was would be asked for ever.
const maxPages = 1000

// maxTags and maxTag bound what is kept of a list: its tags, and the bytes of each, for which the distribution specification has 128.
const maxTags, maxTag = 100_000, 128

// maxToken bounds a token, in bytes: no registry takes a header that is longer.
const maxToken = 16 << 10

// Host is the registry that a repository is in, with its port if it has one.
func Host(repository string) (string, error) {
	host, _, err := split(repository)
	return host, err
}

// split reads a repository's name as Docker does: without a host it is in the Docker Hub.
func split(repository string) (host, path string, err error) {
	named, err := reference.ParseNormalizedNamed(repository)
	if err != nil {
		return "", "", err
	}
	if !reference.IsNameOnly(named) {
		return "", "", errors.New("it has a tag or a digest")
	}
	host = reference.Domain(named)
	if host == "docker.io" {
		host = "registry-1.docker.io"
	}
	return host, reference.Path(named), nil
}

// Tags lists the tags of a repository, in the order of the registry.
// The error is an *Error, or one of package endpoint.
func Tags(ctx context.Context, repository string, c Config) ([]string, error) {
	host, path, err := split(repository)
	if err != nil {
		return nil, &Error{Repository: repository, Err: err}
	}
	c.Secrets = cmp.Or(c.Secrets, scrub.NewSecrets())
	c.Secrets.Add(c.Password)
	e, err := c.endpoint("the registry "+host, "https://"+host)
	if err != nil {
		return nil, err
	}
	l := &lister{config: c, endpoint: e, repository: repository, path: path}
	tags := []string{}
	next := &url.URL{Path: "/v2/" + path + "/tags/list", RawQuery: "n=1000"}
	for range maxPages {
		page, link, err := l.page(ctx, next)
		if err != nil {
			return nil, err
		}
		if len(tags)+len(page) > maxTags || slices.ContainsFunc(page, func(tag string) bool { return len(tag) > maxTag }) {
			return nil, l.fail(0, fmt.Errorf("the list has more than %d tags, or one of more than %d bytes", maxTags, maxTag))
		}
		tags = append(tags, page...)
		if link == nil {
			return tags, nil
		}
		next = link
	}
	return nil, l.fail(0, fmt.Errorf("the list has no end after %d pages", maxPages))
}

func (c Config) endpoint(service, address string) (*endpoint.Endpoint, error) {
	return endpoint.New(endpoint.Config{
		Service: service, URL: address, CACert: c.CACert, InsecureSkipVerify: c.InsecureSkipVerify,
		UserAgent: c.UserAgent, Secrets: c.Secrets, Retry: c.Retry,
	})
}

type lister struct {
	config           Config
	endpoint         *endpoint.Endpoint
	repository, path string
	authorization    string
}

func (l *lister) fail(status int, err error) error {
	return &Error{Repository: l.repository, StatusCode: status, Err: err}
}

// page reads one page, and where the next one is. The first is asked for without
// a login; the answer says which kind is wanted.
func (l *lister) page(ctx context.Context, at *url.URL) (tags []string, next *url.URL, err error) {
	var status int
	var challenge string
	ask := func() error {
		return l.endpoint.Repeat(ctx, endpoint.Request{Path: at.EscapedPath(), Query: at.Query(), Authorization: l.authorization}, func(a *endpoint.Answer) error {
			status, challenge = a.StatusCode, a.Header.Get("WWW-Authenticate")
			if !a.OK() {
				return l.fail(status, nil)
			}
			var list struct {
				Tags []string `json:"tags"`
			}
			if err := l.endpoint.Decode(a, &list); err != nil {
				return err
			}
			tags, next, err = list.Tags, nil, nil
			if link := a.Header.Get("Link"); link != "" {
				next, err = l.link(link, at)
			}
			return err
		})
	}
	err = ask()
	if status == http.StatusUnauthorized && challenge != "" {
		if l.authorization, err = l.login(ctx, challenge); err != nil {
			return nil, nil, err
		}
		err = ask()
	}
	return tags, next, err
}

var nextLink = regexp.MustCompile(`<([^>]*)>\s*;.*\brel="?next"?`)

// link is the next page of a Link header, which has to be the registry's own.
func (l *lister) link(header string, at *url.URL) (*url.URL, error) {
	m := nextLink.FindStringSubmatch(header)
	if m == nil {
		return nil, nil
	}
	u, err := at.Parse(m[1])
	if err != nil || u.Host != "" && "https://"+u.Host != l.endpoint.URL() {
		return nil, l.fail(0, fmt.Errorf("the next page is said to be at %q", l.endpoint.Quote(m[1])))
	}
	return &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}, nil
}

var parameter = regexp.MustCompile(`(\w+)="([^"]*)"`)

// tokenService reads the address of the token service, and what the registry is called there, off a challenge.
func (l *lister) tokenService(challenge string) (realm *url.URL, service string, err error) {
	parameters := map[string]string{}
	for _, m := range parameter.FindAllStringSubmatch(challenge, -1) {
		parameters[strings.ToLower(m[1])] = m[2]
	}
	realm, err = url.Parse(parameters["realm"])
	if err != nil || realm.Scheme != "https" || realm.Host == "" {
		return nil, "", l.fail(0, fmt.Errorf("the registry's token service %q has no https address", parameters["realm"]))
	}
	return realm, parameters["service"], nil
}

// login answers a challenge with the value of an Authorization header.
func (l *lister) login(ctx context.Context, challenge string) (string, error) {
	basic := ""
	if l.config.Username != "" {
		basic = endpoint.Basic(l.config.Username, l.config.Password)
		l.config.Secrets.Add(strings.TrimPrefix(basic, "Basic "))
	}
	scheme, rest, _ := strings.Cut(challenge, " ")
	switch strings.ToLower(scheme) {
	case "basic":
		if basic == "" {
			return "", l.fail(http.StatusUnauthorized, nil)
		}
		return basic, nil
	case "bearer":
	default:
		return "", l.fail(0, fmt.Errorf("the registry wants a login of kind %q", l.endpoint.Quote(scheme)))
	}
	realm, service, err := l.tokenService(rest)
	if err != nil {
		return "", err
	}
	config := l.config
	if "https://"+realm.Host != l.endpoint.URL() { // the login is for the registry alone
		basic, config.InsecureSkipVerify = "", false
	}
	e, err := config.endpoint("the token service "+l.endpoint.Quote(realm.Host), "https://"+realm.Host)
	if err != nil {
		return "", err
	}
	query := realm.Query()
	query.Set("scope", "repository:"+l.path+":pull")
	if service != "" {
		query.Set("service", service)
	}
	var token string
	err = e.Repeat(ctx, endpoint.Request{Path: realm.EscapedPath(), Query: query, Authorization: basic}, func(a *endpoint.Answer) error {
		if !a.OK() {
			return l.fail(a.StatusCode, nil)
		}
		var body struct {
			Token       string `json:"token"`
			AccessToken string `json:"access_token"`
		}
		if err := e.DecodeAsWritten(a, &body); err != nil {
			return err
		}
		if token = body.Token; token == "" {
			token = body.AccessToken
		}
		if token == "" || len(token) > maxToken {
			return e.Unusable(a, errors.New("it holds no token"))
		}
		l.config.Secrets.AddToken(token)
		return nil
	})
	return "Bearer " + token, err
}
