package main

import (
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/standin"
)

func TestFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                           "",
		"-runs 1 -applies 1":         "",
		"-clusters 10 -only ^plan$":  "",
		"-runs 0":                    "at least 1",
		"-applies 0":                 "at least 1",
		"-clusters 9":                "at least 10",
		"-only (":                    "-only: ",
		"all":                        `unexpected argument "all"`,
		"-json a.json -markdown -no": "not defined: -no",
	} {
		_, err := parse(strings.Fields(args), io.Discard)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", args, err, want)
		}
	}
	s, err := parse(strings.Fields("-runs 7 -applies 2 -clusters 20 -json a.json -markdown -only ^start$"), io.Discard)
	if err != nil || s.Runs != 7 || s.Applies != 2 || s.Clusters != 20 || s.JSON != "a.json" || !s.Markdown || s.Only.MatchString("plan") || !s.Only.MatchString("start") {
		t.Errorf("%+v, error %v", s, err)
	}
	var usage strings.Builder
	if _, err := parse([]string{"-help"}, &usage); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: error %v", err)
	}
	for _, g := range groups() {
		if !strings.Contains(usage.String(), g.name) {
			t.Errorf("-help does not name the group %s", g.name)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		row  row
		want string
	}{
		"no goal":        {newRow("a", "ms", 12.345, "b", 2, nil...), "a|12.3 ms|b|2 ms|6.17||"},
		"figure, met":    {newRow("a", "", 8, "b", 4, most(8)), "a|8|b|4|2.00|at most 8|met"},
		"figure, missed": {newRow("a", "MiB", 30.14, "b", 4, most(30)), "a|30.1 MiB|b|4 MiB|7.54|at most 30 MiB|missed"},
		"ratio, met":     {newRow("a", "ms", 120, "b", 100, times(1.2)), "a|120 ms|b|100 ms|1.20|at most 1.2 times|met"},
		"ratio, missed":  {newRow("a", "ms", 121, "b", 100, times(1.2)), "a|121 ms|b|100 ms|1.21|at most 1.2 times|missed"},
		"more, met":      {newRow("a", "s", 17, "b", 15, more(2)), "a|17 s|b|15 s|1.13|at most 2 s more|met"},
		"more, missed":   {newRow("a", "s", 17.1, "b", 15, more(2)), "a|17.1 s|b|15 s|1.14|at most 2 s more|missed"},
		"no more":        {newRow("a", "", 23, "b", 22, more(0)), "a|23|b|22|1.05|no more|missed"},
		"just missed":    {newRow("a", "MiB", 30.04, "b", 4, most(30)), "a|30 MiB|b|4 MiB|7.51|at most 30 MiB|missed"},
		"just more":      {newRow("a", "s", 110.49, "b", 107.5, more(2)), "a|110 s|b|108 s|1.03|at most 2 s more|missed"},
		"just a ratio":   {newRow("a", "ms", 1204.9, "b", 1000, times(1.2)), "a|1205 ms|b|1000 ms|1.20|at most 1.2 times|missed"},
		"ratio of none":  {newRow("a", "ms", 1, "b", 0, times(1.2)), "a|1 ms|b|0 ms||at most 1.2 times|missed"},
		"beside nothing": {newRow("a", "", 3, "b", 0), "a|3|b|0|||"},
		"a count":        {newCount("a", 5, "b", 4, most(8)), "a|5|b|4||at most 8|met"},
	} {
		if got := strings.Join(tt.row.cells(), "|"); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// TestReport holds that the table, the one in Markdown and the JSON say the same.
func TestReport(t *testing.T) {
	t.Parallel()
	r := report{
		Setting: setting{Processor: "P", Cores: 2, System: "linux/amd64", Go: "go1.26", Terraform: "1.11.4", Peer: "hashicorp/time 1", Runs: 5, Applies: 3},
		Rows:    []row{newRow("a plan", "ms", 250, floorOnly, 100, times(2)), newRow("the program", "MB", 21, peerSource, 16)},
	}
	const setting = "2 cores (P), linux/amd64, go1.26, Terraform 1.11.4, hashicorp/time 1; medians of 5 runs, 3 of applies\n\n"
	if got, want := r.text(), setting+
		"what         figure  beside           its figure  ratio  goal             \n"+
		"a plan       250 ms  Terraform alone  100 ms      2.50   at most 2 times  missed\n"+
		"the program  21 MB   hashicorp/time   16 MB       1.31                    \n"; got != want {
		t.Errorf("text:\n%s\nwant:\n%s", got, want)
	}
	if got, want := r.markdown(), setting+
		"| what | figure | beside | its figure | ratio | goal |  |\n"+
		"| --- | --- | --- | --- | --- | --- | --- |\n"+
		"| a plan | 250 ms | Terraform alone | 100 ms | 2.50 | at most 2 times | missed |\n"+
		"| the program | 21 MB | hashicorp/time | 16 MB | 1.31 |  |  |\n"; got != want {
		t.Errorf("Markdown:\n%s\nwant:\n%s", got, want)
	}
	path := filepath.Join(t.TempDir(), "new", "bench.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var again report
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, r) {
		t.Errorf("JSON: error %v\n%s", err, text)
	}
	for _, member := range []string{`"ratio": 2.5`, `"met": false`, `"goal": "at most 2 times"`, `"beside_figure": 16`} {
		if !strings.Contains(string(text), member) {
			t.Errorf("JSON without %s:\n%s", member, text)
		}
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	s := samples{}
	for _, f := range []float64{9, 1, 5} {
		s.add("odd", f)
	}
	for _, f := range []float64{9, 1, 5, 2} {
		s.add("even", f)
	}
	if odd, even := s.median("odd"), s.median("even"); odd != 5 || even != 3.5 {
		t.Errorf("%v and %v", odd, even)
	}
}

func TestRound(t *testing.T) {
	t.Parallel()
	for f, want := range map[float64]float64{0: 0, 1234.5: 1235, 12.345: 12.3, 0.012345: 0.0123, 99.96: 100, 8: 8, -1.2345: -1.23} {
		if got := round(f); got != want {
			t.Errorf("round(%v) = %v, want %v", f, got, want)
		}
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"30 10\n25 10\n": "",
		"30 10\n10 10\n": "cannot be told from",
		"30\n":           "record of memory: ",
		"a b\n":          "record of memory: ",
	} {
		path := filepath.Join(t.TempDir(), "record")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readRecord(path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

// TestBare holds that the floor is of the same requests over as many connections, and
// that an answer of another status is an error.
func TestBare(t *testing.T) {
	t.Parallel()
	cluster, err := simulator.Start(simulator.Options{Version: version26})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	request := func(service, method, path, client string, status int) simulator.Request {
		return simulator.Request{Service: service, Method: method, Path: path, Client: client, Status: status}
	}
	requests := []simulator.Request{
		request(simulator.ServiceUCP, "POST", loginPath, "a", 200),
		request(simulator.ServiceEngine, "GET", "/v1.30/containers/json", "a", 200),
		request(simulator.ServiceEngine, "GET", "/v1.30/nodes", "b", 200),
		request(simulator.ServiceDTR, "GET", "/api/v0/meta/settings", "c", 200),
		request(simulator.ServiceEngine, "GET", "/v1.30/images/none/json", "b", 404),
		{Service: simulator.ServiceUCP, Method: "POST", Path: loginPath, Client: "d", UserAgent: standin.UserAgent},
	}
	for range 3 {
		requests = append(requests, request(simulator.ServiceDTR, "GET", "/_ping", "c", 200))
	}
	requests = append(requests, request(simulator.ServiceEngine, "GET", "/v1.30/containers/none/json", "a", 404))
	for range 26 {
		requests = append(requests, request(simulator.ServiceEngine, "GET", "/v1.30/info", "a", 200))
	}
	w, err := newWork(cluster.Info(), requests)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{cluster.UCPURL(): 2, cluster.DTRURL(): 1}; !reflect.DeepEqual(w.Connections, want) || len(w.Requests) != 35 {
		t.Errorf("%d requests over %v, want 35 over %v", len(w.Requests), w.Connections, want)
	}
	want, got := count(requests), count(cluster.Requests())
	if got[countConnections] > want[countConnections] {
		t.Errorf("%v connections, at most %v", got[countConnections], want[countConnections])
	}
	delete(want, countConnections)
	delete(got, countConnections)
	if !reflect.DeepEqual(want, map[string]float64{countOfRequests: 35, countOfLogins: 1, countOfProbes: 3, countInspections: 1}) || !reflect.DeepEqual(want, got) {
		t.Errorf("%v, want %v", got, want)
	}
	cluster.ResetRequests()
	if took, err := w.handshakes(t.Context()); err != nil || took <= 0 || len(cluster.Requests()) > 0 {
		t.Errorf("handshakes: %s, %d requests, error %v", took, len(cluster.Requests()), err)
	}
	w.Requests[1].Status = 404
	if err := w.do(t.Context()); err == nil || !strings.Contains(err.Error(), "200, where the provider was answered 404") {
		t.Errorf("error %v", err)
	}
	if _, err := newWork(cluster.Info(), []simulator.Request{request(simulator.ServiceEngine, "POST", "/v1.30/containers/create", "a", 201)}); err == nil {
		t.Error("no error for what cannot be made again")
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	if each := each(1410, 6610, 40); each != 130 {
		t.Errorf("%v, want 130", each)
	}
}

// TestOthers holds that the long list is one that a client can read.
func TestOthers(t *testing.T) {
	t.Parallel()
	var list []struct {
		Names []string
		State string
	}
	if err := json.Unmarshal([]byte("["+strings.TrimSuffix(others(1000), ",")+"]"), &list); err != nil {
		t.Fatal(err)
	}
	onThem, nodes := 0, map[string]bool{}
	for _, c := range list {
		node, _, _ := strings.Cut(c.Names[0][1:], "/")
		nodes[node] = true
		if node == "worker1" || node == "worker2" || node == "worker3" {
			onThem++
		}
	}
	if len(list) != 1000 || onThem != onReplicas || len(nodes) != nodesOfLarge-1 || list[0].State != "running" {
		t.Errorf("%d containers, %d on the replicas' nodes, %d nodes", len(list), onThem, len(nodes))
	}
}

func TestPeak(t *testing.T) {
	t.Parallel()
	s := stage{record: filepath.Join(t.TempDir(), "record")}
	if err := os.WriteFile(s.record, []byte("20971520 1\n31457280 1\n1048576 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if peak, err := s.peak(); err != nil || peak != 30 {
		t.Errorf("peak %v MiB, error %v", peak, err)
	}
	if _, err := s.peak(); err == nil {
		t.Error("no error where no process has been since")
	}
}
