package provider

import (
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/duration"
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
		for kind, limited := range map[string]func(time.Duration) (options []Option, read time.Duration){
			"time limit": func(limit time.Duration) ([]Option, time.Duration) { return quick(), limit },
			"request": func(limit time.Duration) ([]Option, time.Duration) {
				return append(quick(), WithRetry(endpoint.Retry{Max: -1, Attempt: limit, Total: 2 * limit})), long
			},
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				t.Parallel()
				cluster := start(t, "2.6.8")
				cluster.Inject(c.fault)
				// On a busy machine even what answers may take longer than a short limit.
				for limit := 300 * time.Millisecond; ; limit *= 3 {
					options, read := limited(limit)
					p := newProtocol(t, options...)
					p.ok(nil, p.configure(connected(cluster)))
					got := render(p.read(in(state(cluster, "2.6.8"), values{"timeouts": values{"read": read.String()}})).diags)
					if kind == "time limit" && !strings.Contains(got, "timeouts.read of "+duration.Text(read)+" passed") {
						t.Fatalf("the time limit is not named:\n%s", got)
					}
					if strings.Contains(got, c.want) {
						return
					}
					if limit > 5*time.Second {
						t.Fatalf("got:\n%s\nwant in it: %q", got, c.want)
					}
				}
			})
		}
	}
}
