package contentcache

import (
	"context"
	"errors"
	"net/http"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/cluster"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
)

// CheckName reports whether the registration that is wanted can be made: a
// *TakenError when another one has its name, for another host. The id is
// that of the registration that there is, or "".
func CheckName(registered []dtr.ContentCache, o Options, id string) error {
	for _, c := range registered {
		if c.ID != id && c.Name == o.Name && !SameHost(c.Host, o.Host) {
			return &TakenError{Cache: c, Wanted: o.Host}
		}
	}
	return nil
}

// register has DTR know the cache, and no longer as what it was. DTR cannot change
// a registration: the new one is made first, so that there is one at any time.
func (r *run) register(ctx context.Context, all []dtr.ContentCache, ours dtr.ContentCache, registered bool) (id string, err error) {
	for _, c := range all { // made by a run that was cut short, or by hand
		if c.Name == r.o.Name && SameHost(c.Host, r.o.Host) {
			log.Info(ctx, "Content cache "+c.Name+" is registered already", map[string]any{"cache": c.Name, "cache_id": c.ID})
			id = c.ID
		}
	}
	if id == "" {
		added, err := r.cluster.DTR.Caches().Add(ctx, r.o.Name, r.o.Host)
		if registered && ours.Name == r.o.Name && refused(err) {
			return r.registerAnew(ctx, ours)
		}
		if err != nil {
			return ours.ID, err
		}
		id = added.ID
		log.Info(ctx, "Content cache "+r.o.Name+" was registered", map[string]any{"cache": r.o.Name, "cache_id": id})
	}
	if registered {
		if err := r.cluster.DTR.Caches().Remove(ctx, ours.ID); err != nil {
			return ours.ID, err
		}
		log.Info(ctx, "Content cache "+ours.Name+" is no longer registered", map[string]any{"cache": ours.Name, "cache_id": ours.ID})
	}
	return id, nil
}

// registerAnew is for a DTR that does not take two registrations of one name. The
// old one is put back when the new one cannot be made.
func (r *run) registerAnew(ctx context.Context, ours dtr.ContentCache) (id string, err error) {
	if err := r.cluster.DTR.Caches().Remove(ctx, ours.ID); err != nil {
		return ours.ID, err
	}
	log.Info(ctx, "Content cache "+ours.Name+" is no longer registered", map[string]any{"cache": ours.Name, "cache_id": ours.ID})
	// Not even an interrupt may come between the two.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	added, err := r.cluster.DTR.Caches().Add(ctx, r.o.Name, r.o.Host)
	if err != nil {
		added, restoreErr := r.cluster.DTR.Caches().Add(ctx, ours.Name, ours.Host)
		return added.ID, errors.Join(err, restoreErr)
	}
	return added.ID, nil
}

// refused reports whether DTR has refused the request as it was sent.
func refused(err error) bool {
	api, ok := errors.AsType[*dtr.APIError](err)
	return ok && (api.StatusCode == http.StatusBadRequest || api.StatusCode == http.StatusConflict)
}

// Remove removes a registration of the DTR with the external host, of any if
// that is empty. What runs the cache is left alone. Errors: *OtherClusterError and
// those of the client.
func Remove(ctx context.Context, c cluster.Cluster, host, id string) error {
	if _, err := dtrHost(ctx, c, host); err != nil {
		return err
	}
	return c.DTR.Caches().Remove(ctx, id)
}
