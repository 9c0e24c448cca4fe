package simulator

import (
	"net/http"
	"slices"
	"sync"
)

// ContentCache is a cache that is registered in DTR.
type ContentCache struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Host string `json:"host"`
}

// contentCaches are the caches that are registered in DTR.
type contentCaches struct {
	mu   *sync.Mutex // DTR's
	list []ContentCache
}

// AddCache registers a content cache in DTR.
func (c *contentCaches) AddCache(name, host string) (id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cache := ContentCache{ID: newUUID(), Name: name, Host: host}
	c.list = append(c.list, cache)
	return cache.ID
}

// RemoveCache deletes the registration of a content cache.
func (c *contentCaches) RemoveCache(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = slices.DeleteFunc(c.list, func(cache ContentCache) bool { return cache.ID == id })
}

// Caches lists the content caches that are registered.
func (c *contentCaches) Caches() []ContentCache {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

// cacheAPI is the part of DTR's API about content caches.
type cacheAPI struct{ caches *contentCaches }

func (a cacheAPI) routes() []dtrRoute {
	return []dtrRoute{
		{"GET /api/v0/content_caches", anyUser, "", a.list},
		{"POST /api/v0/content_caches", adminOnly, "", a.add},
		{"GET /api/v0/content_caches/{id}", anyUser, "", a.get},
		{"DELETE /api/v0/content_caches/{id}", adminOnly, "", a.remove},
	}
}

func (a cacheAPI) list(*call) (int, any, error) {
	return http.StatusOK, append([]ContentCache{}, a.caches.list...), nil
}

func (a cacheAPI) find(id string) int {
	return slices.IndexFunc(a.caches.list, func(c ContentCache) bool { return c.ID == id })
}

var errNoSuchCache = &dtrError{http.StatusNotFound, "NO_SUCH_CONTENT_CACHE", "A content cache with the given uuid does not exist."}

func (a cacheAPI) get(c *call) (int, any, error) {
	i := a.find(c.PathValue("id"))
	if i < 0 {
		return 0, nil, errNoSuchCache
	}
	return http.StatusOK, a.caches.list[i], nil
}

func (a cacheAPI) add(c *call) (int, any, error) {
	var cache ContentCache
	if err := c.decode(&cache); err != nil {
		return 0, nil, err
	}
	if cache.Name == "" || cache.Host == "" {
		return 0, nil, &dtrError{http.StatusBadRequest, "INVALID_PARAMETERS", "invalid content cache details"}
	}
	cache.ID = newUUID()
	a.caches.list = append(a.caches.list, cache)
	return http.StatusCreated, cache, nil
}

// remove succeeds for an id that does not exist too.
func (a cacheAPI) remove(c *call) (int, any, error) {
	if i := a.find(c.PathValue("id")); i >= 0 {
		a.caches.list = slices.Delete(a.caches.list, i, i+1)
	}
	return http.StatusNoContent, nil, nil
}
