package ucp

import "testing"

// TestMemoryUse holds that the figure is that of docker stats, for both versions
// of cgroups, and that no newer question is asked than the engine knows.
func TestMemoryUse(t *testing.T) {
	for name, c := range map[string]struct {
		memory string
		want   int64
	}{
		"cgroups 1":            {`{"usage":1000,"stats":{"inactive_file":100,"total_inactive_file":300}}`, 700},
		"cgroups 2":            {`{"usage":1000,"stats":{"inactive_file":100,"file":500}}`, 900},
		"more cache than used": {`{"usage":1000,"stats":{"total_inactive_file":1001}}`, 1000},
		"not running":          {`{}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for version, query := range map[string]string{"1.30": "stream=false", "1.40": "stream=false", "1.41": "one-shot=true&stream=false"} {
				h := engine1706()
				h["GET /containers/x/stats"] = always(200, `{"memory_stats":`+c.memory+`}`)
				s := serveUCP(t, version, h)
				got, err := s.engine().MemoryUse(t.Context(), "x")
				if err != nil || got != c.want {
					t.Errorf("%d bytes and error %v, want %d bytes", got, err, c.want)
				}
				path := "GET /v" + version + "/containers/x/stats"
				if asked := s.asked(path); len(asked) != 1 || asked[0] != path+"?"+query {
					t.Errorf("asked %q, want %s", asked, query)
				}
			}
		})
	}
}
