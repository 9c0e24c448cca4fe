package dtr

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// TestUploadIsRepeatedFromItsStart loses the connection in the middle of an upload.
func TestUploadIsRepeatedFromItsStart(t *testing.T) {
	content := strings.Repeat("0123456789", 1<<20)
	var got []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			answer(w, 200, `{"jobs":[]}`)
			return
		}
		form, err := r.MultipartReader()
		if err != nil {
			t.Error(err)
			return
		}
		part, err := form.NextPart()
		if err != nil {
			t.Error(err)
			return
		}
		if len(got) == 0 {
			n, _ := io.CopyN(io.Discard, part, 1<<20)
			got = append(got, strconv.FormatInt(n, 10))
			lose(w, r)
		}
		file, err := io.ReadAll(part)
		got = append(got, fmt.Sprint(part.FormName(), " ", part.FileName(), " ", string(file) == content, " ", err))
	})
	if err := s.client(t).Database().Upload(t.Context(), "db.tar", strings.NewReader(content), int64(len(content))); err != nil {
		t.Fatal(err)
	}
	if want := []string{"1048576", "file db.tar true <nil>"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
