package ucp

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// VolumesCreated are the times at which the volumes of a name were created: through UCP, each node can have one.
// A time that the engine does not tell is left out.
func (e *Engine) VolumesCreated(ctx context.Context, name string) ([]time.Time, error) {
	filters, err := json.Marshal(client.Filters{}.Add("name", name))
	if err != nil {
		return nil, err
	}
	var list struct {
		Volumes []struct{ Name, CreatedAt string }
	}
	if err := e.connection.get(ctx, "list volumes "+name, "/volumes", url.Values{"filters": {string(filters)}}, &list); err != nil {
		return nil, err
	}
	var created []time.Time
	for _, v := range list.Volumes {
		own := v.Name[strings.LastIndexByte(v.Name, '/')+1:] // UCP puts the node before it
		if t := parseTime(v.CreatedAt); own == name && !t.IsZero() {
			created = append(created, t)
		}
	}
	return created, nil
}
