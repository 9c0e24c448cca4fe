package simulator

import (
	"net/http"
	"slices"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// ServiceCache is the content cache's address, as the service of a [Fault] or a
// [Request].
const ServiceCache = "cache"

// cacheHandler is the content cache at [Cluster.CacheURL]: a registry that asks
// for a login, for as long as any container of a cache's image runs.
func cacheHandler(inventory Inventory) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.ContainsFunc(inventory.List(), func(c Container) bool { return c.Running() && release.IsContentCache(c.Image) }) {
			resetConnection(w)
			return
		}
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
		if !strings.HasPrefix(r.URL.Path, "/v2/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://dtr.example.com/auth/token",service="dtr.example.com"`)
		_ = writeJSON(w, http.StatusUnauthorized, map[string]any{"errors": []map[string]string{
			{"code": "UNAUTHORIZED", "message": "authentication required"},
		}})
	})
}
