package endpoint

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/scrub"
)

// TestDecodeCleansTexts holds that no text of an answer reaches a caller with what a terminal takes for a command, or with a second line.
func TestDecodeCleansTexts(t *testing.T) {
	const body = `{"plain":"a \"b\" \\n \/ é \t","na\u001bme":["\u001b[31m","a\nb","` + "\u202e\u0085\xff" + `",1.50,null,{"x":"\ud83d\ude00\r"}]}`
	var got, written map[string]any
	e := serve(t, text(200, body)).endpoint(t)
	if err := e.Repeat(t.Context(), Request{Path: "/"}, func(a *Answer) error {
		return errors.Join(e.Decode(a, &got), e.DecodeAsWritten(a, &written))
	}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"plain":    "a \"b\" \\n / é \t",
		`na\x1bme`: []any{`\x1b[31m`, `a\nb`, `\u202e\u0085` + "\ufffd", 1.5, nil, map[string]any{"x": `😀\r`}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	if _, ok := written["na\x1bme"]; !ok {
		t.Errorf("not as written: %q", written)
	}
}

// TestTextsThatGrow holds that an answer does not grow without end when its texts are cleaned.
func TestTextsThatGrow(t *testing.T) {
	e := serve(t, text(200, `["`+strings.Repeat("\u0085", 1<<20)+`"]`)).endpoint(t)
	err := e.Repeat(t.Context(), Request{Path: "/"}, func(a *Answer) error { return e.Decode(a, &[]string{}) })
	if !errors.Is(err, errTooLarge) {
		t.Errorf("error %v", err)
	}
}

func FuzzScrubJSON(f *testing.F) {
	for _, seed := range []string{`{"a\u001b":["\\","\"",{"b":"\n"}]}`, `"\u202e"`, `[1,"é"]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if checkJSON(text, maxElements) != nil || json.Unmarshal(text, new(any)) != nil { // a number may be too large
			return
		}
		clean, err := scrubJSON(text)
		if err != nil {
			return
		}
		var value any
		if err := json.Unmarshal(clean, &value); err != nil {
			t.Fatalf("%q became %q: %v", text, clean, err)
		}
		var check func(v any)
		check = func(v any) {
			switch v := v.(type) {
			case string:
				if v != scrub.Line(v) {
					t.Errorf("%q became %q", text, clean)
				}
			case []any:
				for _, e := range v {
					check(e)
				}
			case map[string]any:
				for name, e := range v {
					check(name)
					check(e)
				}
			}
		}
		check(value)
	})
}
