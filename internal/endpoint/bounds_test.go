package endpoint

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// allocated is how many MiB a function allocates, what is freed again included. Not for parallel tests.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) >> 20
}

//nolint:paralleltest // it measures memory
func TestAnswersThatGrowInMemory(t *testing.T) {
	type entry struct {
		Text [40]string
	}
	for name, body := range map[string]string{
		"empty objects":    "[" + strings.Repeat("{},", 5_000_000) + "{}]",
		"below a member":   `{"List":[` + strings.Repeat("{},", 5_000_000) + "{}]}",
		"empty lists":      "[" + strings.Repeat("[],", 5_000_000) + "[]]",
		"values":           "[" + strings.Repeat("0,", 7_000_000) + "0]",
		"behind a bracket": `["\"]",` + strings.Repeat("{},", 5_000_000) + "{}]",
	} {
		s := serve(t, text(200, body))
		e := s.endpoint(t)
		var err error
		mib := allocated(func() {
			err = e.Repeat(t.Context(), Request{Path: "/x"}, func(a *Answer) error {
				return e.Decode(a, &[]entry{})
			})
		})
		if !errors.Is(err, errTooLarge) || mib > 200 {
			t.Errorf("%s: %d MiB, error %v", name, mib, err)
		}
		if n := s.requests.Load(); n != 1 {
			t.Errorf("%s: asked %d times", name, n)
		}
	}
}

//nolint:paralleltest // it measures memory
func TestEndlessAnswers(t *testing.T) {
	endless := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			chunk := []byte(strings.Repeat(" ", 1<<16))
			for range 200 << 20 / len(chunk) {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		for _, status := range []int{200, 404} {
			s := serve(t, endless(status))
			e := s.endpoint(t)
			mib := allocated(func() {
				req, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/x", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := e.RoundTripper().RoundTrip(req)
				if err != nil {
					return
				}
				defer resp.Body.Close()
				_, _ = io.ReadAll(resp.Body)
			})
			if mib > 150 {
				t.Errorf("%s, status %d: %d MiB", method, status, mib)
			}
		}
	}
}

func FuzzCheckJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":"]\\\""}]}`, `[[],{}]`, `]`, `"\`, `{`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := checkJSON(text, maxElements); (err == nil) != json.Valid(text) && !errors.Is(err, errTooLarge) {
			t.Errorf("%q: error %v", text, err)
		}
	})
}

// TestElements holds what is said of a list that is none, or that breaks off.
func TestElements(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0", 2*maxElement)
	for text, want := range map[string]string{
		`[{"a":1}, 2, null]`: "", `null`: "", ` [ ] `: "",
		``: "unexpected EOF", `[`: "unexpected EOF", `[{"a":1}`: "unexpected EOF", `[{"a":"b`: "unexpected EOF",
		`{"a":1}`: "it is no list", `[1] 2`: "there is more after its end", `null null`: "there is more after its end",
		`[{"a":1} }`: `invalid character '}' after array element (expecting ',' or ']'), after 9 bytes of it`, `[{"a" 1}]`: `invalid character '1' after object name (expecting ':'), after 6 bytes of it`,
		`<html>`:          `invalid character '<' at start of value, after 0 bytes of it`,
		`["` + long + `"`: "one of its entries has more than 1048576 bytes", `[1,"` + long: "one of its entries has more than 1048576 bytes",
	} {
		got := ""
		if err := Elements(strings.NewReader(text), func([]byte) (int, error) { return 0, nil }); err != nil {
			got = err.Error()
		}
		if want == "" != (got == "") || !strings.HasSuffix(got, want) {
			t.Errorf("%.20s: %q, want %q", text, got, want)
		}
	}
}
