//go:build e2e && linux

package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

var imageBehaviours = []behaviour{
	{"an image that is pulled", func(t *testing.T, s *subject) any {
		t.Helper()
		a := s.post(t, "/images/create?fromImage="+s.repository+"&tag=2.6.8", nil)
		var last []string
		for _, m := range a.messages(t) {
			if text, _ := m["status"].(string); strings.HasPrefix(text, "Digest: ") || strings.HasSuffix(text, "downloaded") {
				last = append(last, strings.TrimSuffix(fmt.Sprint(m["id"], " ", s.normal(text)), "0123"))
			}
		}
		return object{"answer": a.Status, "digest": slices.ContainsFunc(last, func(l string) bool { return strings.Contains(l, "Digest: sha256:") })}
	}},
	{"an image that its registry does not have", func(t *testing.T, s *subject) any {
		t.Helper()
		a := s.post(t, "/images/create?fromImage="+s.repository+"&tag=2.6.99", nil)
		var failed []string
		for _, m := range a.messages(t) {
			if text, ok := m["error"].(string); ok {
				detail, _ := m["errorDetail"].(object)
				failed = append(failed, s.normal(text), s.normal(fmt.Sprint(detail["message"])))
			}
		}
		if !s.direct { // each node says so
			slices.Sort(failed)
			failed = slices.Compact(failed)
		}
		return object{"answer": a, "errors": failed}
	}},
	{"a tag that is there", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		a := s.get(t, "/images/"+s.image("")+"/json")
		o := a.object(t)
		return object{"tags": hasTag(o, s.image("")), "digest": digestLike(o), "status": a.Status}
	}},
	{"an image by its digest", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		digests := s.get(t, "/images/"+s.image("")+"/json").object(t)["RepoDigests"].([]any)
		return s.get(t, "/images/"+digests[0].(string)+"/json").Status
	}},
	{"an image that is not there", func(t *testing.T, s *subject) any {
		t.Helper()
		return s.get(t, "/images/"+s.repository+":2.6.99/json")
	}},
	{"the list of images", func(t *testing.T, s *subject) any {
		t.Helper()
		pull(t, s, s.image(""))
		for _, o := range s.get(t, "/images/json").list(t) {
			if hasTag(o, s.image("")) {
				return object{"digest": digestLike(o), "id": strings.HasPrefix(o["Id"].(string), "sha256:")}
			}
		}
		return "not in the list"
	}},
	{"what the registry has", func(t *testing.T, s *subject) any {
		t.Helper()
		a := s.get(t, "/distribution/"+s.image("")+"/json")
		digest, _ := a.object(t)["Descriptor"].(object)["digest"].(string)
		return object{"status": a.Status, "keys": keys(a.object(t)), "digest": s.normal(digest)}
	}},
	{"what the registry does not have", func(t *testing.T, s *subject) any {
		t.Helper()
		return s.get(t, "/distribution/"+s.repository+":2.6.99/json")
	}},
	{"a bundle that is garbage", func(t *testing.T, s *subject) any {
		t.Helper()
		a := s.post(t, "/images/load", strings.NewReader("this is no archive"))
		return a.Status == http.StatusOK && !strings.Contains(string(a.body), "error")
	}},
}

func pull(t testing.TB, s *subject, ref string) {
	t.Helper()
	repository, tag := ref[:strings.LastIndexByte(ref, ':')], ref[strings.LastIndexByte(ref, ':')+1:]
	if a := s.post(t, "/images/create?fromImage="+repository+"&tag="+tag, nil); a.Status != http.StatusOK || strings.Contains(string(a.body), `"error"`) {
		t.Fatalf("pull %s: %d %s", ref, a.Status, a.body)
	}
}

func hasTag(o object, ref string) bool {
	tags, _ := o["RepoTags"].([]any)
	return slices.Contains(tags, any(ref))
}

func digestLike(o object) string {
	digests, _ := o["RepoDigests"].([]any)
	for _, d := range digests {
		repository, _, _ := strings.Cut(d.(string), "@sha256:")
		return repository
	}
	return "none"
}
