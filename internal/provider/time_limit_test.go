package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/endpoint"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// TestHangingServiceIsNamed holds that a refresh says which service did not answer, and
// how it was asked: where the time limit passes, and where a single request takes too
// long within it.
func TestHangingServiceIsNamed(t *testing.T) {
	t.Parallel()
	const long = time.Hour
	for name, c := range map[string]struct {
		fault simulator.Fault
		want  string
	}{
		"UCP's login":      {simulator.Fault{Service: simulator.ServiceUCP, Path: "/auth/login", Delay: long}, "UCP did not answer POST https://"},
		"UCP's containers": {simulator.Fault{Service: simulator.ServiceEngine, Path: "/containers/json", Delay: long}, "UCP did not answer GET https://"},
		"DTR":              {simulator.Fault{Service: simulator.ServiceDTR, Delay: long}, "DTR did not answer GET https://"},
	} {
		for limit, options := range map[string]struct {
			options []Option
			read    string // of timeouts
		}{
			"time limit": {quick(), "300ms"},
			"request":    {append(quick(), WithRetry(endpoint.Retry{Max: -1, Attempt: 200 * time.Millisecond, Total: 300 * time.Millisecond})), "1h"},
		} {
			t.Run(name+", "+limit, func(t *testing.T) {
				t.Parallel()
				cluster := start(t, "2.6.8")
				cluster.Inject(c.fault)
				p := newProtocol(t, options.options...)
				p.ok(nil, p.configure(connected(cluster)))
				got := render(p.read(in(state(cluster, "2.6.8"), values{"timeouts": values{"read": options.read}})).diags)
				if !strings.Contains(got, c.want) || limit == "time limit" && !strings.Contains(got, "timeouts.read of 300ms passed") {
					t.Errorf("got:\n%s\nwant in it: %q", got, c.want)
				}
			})
		}
	}
}
