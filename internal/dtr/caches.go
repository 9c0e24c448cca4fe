package dtr

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
)

const cachesPath = "/api/v0/content_caches"

// Caches are the content caches that are registered in DTR.
type Caches struct{ client *Client }

// Caches gives access to the registrations of content caches.
func (c *Client) Caches() Caches { return Caches{c} }

// List lists the registered content caches.
func (c Caches) List(ctx context.Context) (caches []ContentCache, err error) {
	err = c.client.get(ctx, cachesPath, &caches)
	return caches, err
}

// Add registers a content cache. It needs an admin.
// When the answer is lost it looks for the registration, and asks again, once, only when there is none: DTR might keep both.
// A *LostCacheError says that nobody can tell whether it was made.
func (c Caches) Add(ctx context.Context, name, host string) (ContentCache, error) {
	before, err := c.List(ctx)
	if err != nil {
		return ContentCache{}, err
	}
	known := make(map[string]bool, len(before))
	for _, cache := range before {
		known[cache.ID] = true
	}
	return createOnce(ctx, c.client, anyway,
		func(ctx context.Context) (ContentCache, error) { return c.post(ctx, name, host) },
		func(ctx context.Context) (*ContentCache, error) {
			caches, err := c.List(ctx)
			for _, cache := range caches {
				if cache.Name == name && cache.Host == host && !known[cache.ID] {
					return &cache, nil
				}
			}
			return nil, err
		},
		func(err error) error { return &LostCacheError{Name: name, Err: err} })
}

func (c Caches) post(ctx context.Context, name, host string) (cache ContentCache, err error) {
	body, err := json.Marshal(map[string]string{"name": name, "host": host})
	if err != nil {
		return ContentCache{}, err
	}
	r := c.client.request(cachesPath, nil)
	r.Method, r.JSON = http.MethodPost, body
	err = c.client.endpoint.Once(ctx, r, func(a *endpoint.Answer) error {
		if err := c.client.reader(&cache)(a); err != nil {
			return err
		}
		if cache.ID == "" {
			return c.client.endpoint.Unusable(a, errors.New("it is not a content cache"))
		}
		return nil
	})
	return cache, err
}

// Remove removes a registration. It needs an admin. One that is not there is a success, so a lost answer is asked for again.
func (c Caches) Remove(ctx context.Context, id string) error {
	if id == "" {
		return errors.New("the content cache's id is empty")
	}
	r := c.client.request(cachesPath+"/"+url.PathEscape(id), nil)
	r.Method = http.MethodDelete
	return c.client.endpoint.Repeat(ctx, r, func(a *endpoint.Answer) error {
		if err := c.client.check(a); err != nil && err.Code != CodeNoSuchContentCache {
			return err
		}
		return nil
	})
}
