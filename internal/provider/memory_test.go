package provider

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// maxMemory is what no answer of anybody takes the provider over, in MiB.
const maxMemory = 200

// envMemory holds the configuration of the process that is measured.
const envMemory = "MEMORY_OF_THE_PROVIDER"

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// TestMemoryOfTheProvider has one kind of request answered with what takes the most
// memory, and measures that of a process that plans and applies an upgrade meanwhile.
func TestMemoryOfTheProvider(t *testing.T) {
	if config := os.Getenv(envMemory); config != "" {
		planMeasured(t, config)
		return
	}
	if runtime.GOOS != "linux" {
		return // which alone tells it
	}
	t.Parallel()
	many := func(n int, each string) string { return strings.Repeat(each+",", n-1) + each }
	members := func(n int, value string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `"%d":%s,`, i, value)
		}
		return b.String() + `"x":` + value
	}
	long := func(mib int) string { return strings.Repeat("a", mib<<20) }
	frames := "\x01\x00\x00\x00\x00\x3f\xff\xff" + strings.Repeat("x", 0x3fffff)
	container := `{"Id":"0","Names":["/worker1/dtr-upgrade-x"],"Image":"docker/dtr:2.6.15","Command":"upgrade","Labels":{%s}}`
	hugeArchive := hugeArchive(t)
	for name, tt := range map[string]struct {
		service, path, body string

		config measured
	}{
		"nothing":                    {},
		"containers, many":           {simulator.ServiceEngine, "/containers/json", "[" + many(90_000, `{"Names":["/dtr-api-0123456789ab"]}`) + "]", measured{}},
		"containers, labels":         {simulator.ServiceEngine, "/containers/json", "[" + many(45, fmt.Sprintf(container, `"a":"`+strings.Repeat("a", 1_000_000)+`"`)) + "]", measured{}},
		"containers, many labels":    {simulator.ServiceEngine, "/containers/json", "[" + many(40, fmt.Sprintf(container, members(10_000, `""`))) + "]", measured{}},
		"nodes":                      {simulator.ServiceEngine, "/nodes", "[" + many(94_000, `{}`) + "]", measured{}},
		"images":                     {simulator.ServiceEngine, "/images/json", "[" + many(94_000, `{"RepoTags":["a:b"],"RepoDigests":["a@b"]}`) + "]", measured{}},
		"distribution":               {simulator.ServiceEngine, "/distribution/*/*/json", `{"Descriptor":{"digest":"` + long(31) + `"}}`, measured{}},
		"distribution, of escapes":   {simulator.ServiceEngine, "/distribution/*/*/json", `{"Descriptor":{"digest":"` + strings.Repeat(`\u001b`, 5<<20) + `"}}`, measured{}},
		"distribution, platforms":    {simulator.ServiceEngine, "/distribution/*/*/json", `{"Platforms":[` + many(90_000, `{}`) + `]}`, measured{}},
		"version":                    {simulator.ServiceEngine, "/version", `{"Components":[` + many(90_000, `{}`) + `],"Version":"` + long(10) + `"}`, measured{}},
		"version, long":              {simulator.ServiceEngine, "/version", `{"Version":"` + long(31) + `"}`, measured{}},
		"UCP's configuration":        {simulator.ServiceUCP, "/api/ucp/config-toml", strings.Repeat("[[a]]\n", 1<<20/6-1), measured{}},
		"login":                      {simulator.ServiceUCP, "/auth/login", `{"auth_token":"` + long(15) + `"}`, measured{}},
		"settings":                   {simulator.ServiceDTR, "/api/v0/meta/settings", `{"replicaSettings":{` + members(450_000, "{}") + `}}`, measured{}},
		"settings, of whole entries": {simulator.ServiceDTR, "/api/v0/meta/settings", `{"replicaSettings":{` + members(160_000, `{"HTTPPort":80,"HTTPSPort":443,"node":"a"}`) + `}}`, measured{}},
		"settings, long":             {simulator.ServiceDTR, "/api/v0/meta/settings", `{"dtrHost":"` + long(15) + `"}`, measured{}},
		"status":                     {simulator.ServiceDTR, "/api/v0/meta/cluster_status", `{"replica_health":{` + members(450_000, `""`) + `}}`, measured{}},
		"features":                   {simulator.ServiceDTR, "/api/v0/meta/features", `{"a":[` + many(90_000, "{}") + `],"b":"` + long(15) + `"}`, measured{}},
		"jobs":                       {simulator.ServiceDTR, "/api/v0/jobs", `{"jobs":[` + many(99_000, "{}") + `]}`, measured{}},
		"jobs, long":                 {simulator.ServiceDTR, "/api/v0/jobs", `{"jobs":[{"id":"` + long(15) + `"}]}`, measured{}},
		"container":                  {simulator.ServiceEngine, "/containers/*/json", `{"Id":"0","Config":{"Labels":{` + members(100_000, `""`) + `}}}`, measured{}},
		"log, long lines":            {simulator.ServiceEngine, "/containers/*/logs", strings.Repeat(frames, 10), measured{}},
		"log, many lines":            {simulator.ServiceEngine, "/containers/*/logs", strings.ReplaceAll(strings.Repeat(frames, 3), "xxx", "x\n"), measured{}},
		"pull":                       {simulator.ServiceEngine, "/images/create", strings.Repeat(`{"id":"`+strings.Repeat("a", 500_000)+`","status":"`+strings.Repeat("b", 500_000)+`"}`, 60), measured{}},
		"pull, many lines":           {simulator.ServiceEngine, "/images/create", strings.Repeat(`{"id":"a","status":"b"}`, 1_000_000), measured{}},
		"health":                     {simulator.ServiceDTR, "/_ping", `{"Error":"` + long(15) + `"}`, measured{}},
		"job's log, many lines":      {simulator.ServiceDTR, "/api/v0/jobs/*/logs", `[` + many(5_000_000, `{}`) + `]`, measured{Job: "false"}},
		"job's log, a long line":     {simulator.ServiceDTR, "/api/v0/jobs/*/logs", `[{"Data":"` + long(15) + `"}]`, measured{Job: "false"}},
		"archive of one huge entry":  {"", "", "", measured{Plan: values{"target_version": "2.6.15", "image": values{"archives": values{"2.6.15": hugeArchive}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, "2.5.6")
			if tt.path != "" {
				c.Inject(simulator.Fault{Service: tt.service, Path: tt.path, Status: 200, Body: tt.body})
			}
			tt.config.Provider = connected(c)
			config, err := json.Marshal(tt.config)
			must(err)
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMemoryOfTheProvider$", "-test.v")
			cmd.Env = append(os.Environ(), envMemory+"="+string(config), "GOGC=100")
			out, err := cmd.CombinedOutput()
			must(err)
			found := highWater.FindSubmatch(out)
			if found == nil {
				t.Fatalf("it was not measured:\n%.3000s", out)
			}
			kib, err := strconv.Atoi(string(found[1]))
			must(err)
			t.Logf("%s: %d MiB", name, kib>>10)
			if kib>>10 > maxMemory {
				t.Errorf("the provider took %d MiB", kib>>10)
			}
		})
	}
}

// measured is what the process that is measured does: it plans an upgrade, applies it if the plan allows that, and runs a job
// if one is named.
type measured struct {
	Provider, Plan values
	Job            string
}

// hugeArchive is an archive of images that has one entry, of which no more than a small part need be kept.
func hugeArchive(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "images.tar.gz")
	f, err := os.Create(name)
	must(err)
	zipped, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	must(err)
	w := tar.NewWriter(zipped)
	const entries = 16 << 20
	must(w.WriteHeader(&tar.Header{Name: "manifest.json", Typeflag: tar.TypeReg, Size: 3*entries + 1}))
	_, err = io.WriteString(w, "["+strings.Repeat("{},", entries-1)+"{}]")
	must(errors.Join(err, w.Close(), zipped.Close(), f.Close()))
	return name
}

// planMeasured does what the configuration says, and tells the most memory that the process has had.
func planMeasured(t *testing.T, config string) {
	t.Helper()
	var m measured
	must(json.Unmarshal([]byte(config), &m))
	p := newProtocol(t, quick()...)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second) // what goes wrong is tried again and again
	defer cancel()
	p.ctx = ctx
	p.ok(nil, p.configure(decoded(m.Provider)))
	if m.Plan == nil {
		m.Plan = values{"target_version": "2.6.15"}
	}
	if m.Job != "" {
		_, diags := p.invoke("dtr_job", values{"action": m.Job}, nil)
		t.Logf("%.300s", render(diags))
	}
	planned := p.plan(nil, decoded(m.Plan))
	t.Logf("%.300s", render(planned.diags))
	if !hasErrors(planned.diags) {
		t.Logf("%.300s", render(p.applyPlan(nil, planned).diags))
	}
	status, err := os.ReadFile("/proc/self/status")
	must(err)
	t.Logf("%s", highWater.Find(status))
}

// decoded are values that were read from JSON.
func decoded(v map[string]any) values {
	for name, inner := range v {
		if m, ok := inner.(map[string]any); ok {
			v[name] = decoded(m)
		}
	}
	return v
}
