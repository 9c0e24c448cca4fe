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

// each reads a list, element by element, and never the whole of it. The function begin is called before the first one, in every attempt; take says about how many bytes it keeps of one.
func each[T any](ctx context.Context, c *connection, what, path string, query url.Values, begin func(), take func(T) (kept int)) error {
	return c.exchange(ctx, what, endpoint.Request{Path: path, Query: query, Stream: func(r io.Reader) error {
		begin()
		return endpoint.Elements(r, take)
	}}, nil)
}
