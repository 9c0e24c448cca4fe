package ucp

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

// The types of moby/client are those of the newest API: what goes through them loses what older engines knew and newer ones will.
// A description that is to be sent back therefore travels as it was written.

// get reads JSON.
func (c *connection) get(ctx context.Context, what, path string, query url.Values, into any) error {
	return c.exchange(ctx, what, endpoint.Request{Path: path, Query: query}, into)
}

// post sends JSON, once. The result is dropped when into is nil.
func (c *connection) post(ctx context.Context, what, path string, query url.Values, body json.RawMessage, into any) error {
	return c.exchange(ctx, what, endpoint.Request{Method: http.MethodPost, Path: path, Query: query, JSON: body, Limit: callLimit}, into)
}

func (c *connection) exchange(ctx context.Context, what string, r endpoint.Request, into any) error {
	r.Path = "/v" + c.version + r.Path
	ask := c.endpoint.Once
	if r.Method == "" {
		ask = c.endpoint.Repeat
	}
	return c.do(ctx, callLimit, what, func(ctx context.Context, token string) error {
		r.Authorization = bearer(token)
		return ask(ctx, r, func(a *endpoint.Answer) error {
			if err := check(c.endpoint, a); err != nil || into == nil {
				return err
			}
			return c.endpoint.DecodeAsWritten(a, into)
		})
	})
}

// list is a list that is read element by element, and never the whole of it.
type list[T any] struct {
	what, path string
	query      url.Values
	begin      func()                 // before the first one, in every attempt
	skip       func(text []byte) bool // whether the JSON object is none of those that are looked for; nil for all of them
	take       func(T) (kept int)     // says about how many bytes it keeps of one
}

func (l list[T]) read(ctx context.Context, c *connection) error {
	return c.exchange(ctx, l.what, endpoint.Request{Path: l.path, Query: l.query, Stream: l.decode}, nil)
}

func (l list[T]) decode(r io.Reader) error {
	l.begin()
	return endpoint.Elements(r, func(text []byte) (kept int, err error) {
		if l.skip != nil && text[0] == '{' && l.skip(text) {
			return 0, nil
		}
		var element T
		if err := json.Unmarshal(text, &element); err != nil {
			return 0, err
		}
		return l.take(element), nil
	})
}
