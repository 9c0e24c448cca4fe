package scrub

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
)

func TestMaskForms(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"pa55word", `p"a\s<s>/w ö&rd`, "two\nlines", "12345678", "correcthorsebatterystaple", "0d9f4e7c-2d5a-4c67-9a3e-2b8f2a1f0c11"} {
		s := NewSecrets("", secret)
		encoded, _ := json.Marshal(secret)
		for name, form := range map[string]string{
			"raw":                secret,
			"JSON":               string(encoded),
			"Go":                 strconv.Quote(secret),
			"query":              url.QueryEscape(secret),
			"path":               url.PathEscape(secret),
			"lower case":         percent.ReplaceAllStringFunc(url.QueryEscape(secret), strings.ToLower),
			"base64":             base64.StdEncoding.EncodeToString([]byte(secret)),
			"base64, no padding": base64.RawURLEncoding.EncodeToString([]byte(secret)),
			"as shown":           Line(secret),
		} {
			for _, around := range []string{"%s", "refused: %s.", "x%sx"} {
				text := fmt.Sprintf(around, form)
				if got := s.Mask(text); strings.Contains(got, form) || strings.Contains(got, secret) || !strings.Contains(got, hidden) {
					t.Errorf("%q, %s: %q became %q", secret, name, text, got)
				}
			}
		}
		for _, before := range []string{"admin:", "admin1:", "admin12:"} { // as in a header
			header := base64.StdEncoding.EncodeToString([]byte(before + secret))
			got := s.Mask(header)
			if rest, _ := base64.StdEncoding.DecodeString(strings.TrimRight(strings.ReplaceAll(got, hidden, ""), "=")); strings.Contains(string(rest), secret[:4]) || !strings.Contains(got, hidden) {
				t.Errorf("%q: %q became %q", secret, header, got)
			}
		}
		if text := "The user is not known. Status 500, page 1234567, password"; s.Mask(text) != text {
			t.Errorf("%q: %q", secret, s.Mask(text))
		}
	}
}

// TestSecretThatAnotherOneBeginsWith holds that nothing is left of the longer one.
func TestSecretThatAnotherOneBeginsWith(t *testing.T) {
	t.Parallel()
	s := NewSecrets("pa55word", "pa55word-of-1999")
	if got := s.Mask("pa55word, pa55word-of-1999"); got != "***, ***" {
		t.Errorf("got %q", got)
	}
}

// TestSecretsInTextsByChance holds that a password which is a common text neither hides what others say, nor is told by what is masked.
func TestSecretsInTextsByChance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ secret, text, want string }{
		{"a", "no such image", "no such image"},
		{"a", "password=a was refused", hidden},
		{"500", "port 5001 is taken", "port 5001 is taken"},
		{"500", "status 500", hidden},
		{"500", `{"password":"500"}`, hidden},
		{"500", "NTAw", hidden},
		{"s3cret!", "login with s3cret!", hidden},
		{"password", "wrong passwords", "wrong passwords"},
		{"password", "wrong password", hidden},
		{"administrator", "not an administrator", hidden},
		{"é", "résumé", "résumé"},
		{"!a", "x!a y", hidden},
	} {
		s := NewSecrets(tt.secret)
		if got := s.Quote(tt.text); got != tt.want {
			t.Errorf("%q in %q: %q", tt.secret, tt.text, got)
		}
		if got := s.Mask(tt.text); got != tt.text {
			t.Errorf("%q in a text of ours: %q", tt.secret, got)
		}
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	s := NewSecrets("pa55word")
	for _, tt := range []struct{ in, want string }{
		{" no user admin:pa55word\n", "no user admin:***"},
		{"a\nError: forged", `a\nError: forged`},
		{strings.Repeat("x", MaxQuote-4) + "pa55word", strings.Repeat("x", MaxQuote-4) + "***"},
		{strings.Repeat("é", MaxQuote), strings.Repeat("é", 248) + "…"},
	} {
		if got := s.Quote(tt.in); got != tt.want {
			t.Errorf("%q became %q, want %q", tt.in, got, tt.want)
		}
	}
	// What is cut is masked before, so that no half of a secret is left.
	if got := s.Quote(strings.Repeat("x", MaxQuote-5) + "pa55word and more"); strings.Contains(got, "pa5") || len(got) > MaxQuote {
		t.Errorf("%q", got)
	}
}

func TestErrorKeepsItsType(t *testing.T) {
	t.Parallel()
	s := NewSecrets("pa55word")
	for _, err := range []error{s.Error(&fs.PathError{Op: "pa55word", Err: fs.ErrNotExist}), s.OwnError(fmt.Errorf("pa55word: %w", fs.ErrNotExist))} {
		if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "pa55word") {
			t.Error(err)
		}
	}
}

func TestTokensAreForgotten(t *testing.T) {
	t.Parallel()
	s := NewSecrets("pa55word")
	token := func(i int) string { return fmt.Sprintf("token-%04d", i) }
	for i := range 100 {
		s.AddToken(token(i))
	}
	for i, want := range map[int]string{99: hidden, 92: hidden, 0: token(0)} {
		if got := s.Mask(token(i)); got != want {
			t.Errorf("token %d: %s", i, got)
		}
	}
	if got := s.Mask("pa55word"); got != hidden {
		t.Error(got)
	}
}

func TestNoSecrets(t *testing.T) {
	t.Parallel()
	var none *Secrets
	none.Add("pa55word")
	none.AddToken("pa55word")
	for _, s := range []*Secrets{none, NewSecrets(), NewSecrets(""), From(context.Background()), From(none.With(context.Background()))} { //nolint:usetesting // one without anything
		if got := s.Quote("pa55word") + s.Mask("pa55word") + s.Shown("pa55word") + s.Hide("pa55word"); got != strings.Repeat("pa55word", 4) {
			t.Error(got)
		}
	}
}

func TestSecretsAtOnce(t *testing.T) {
	t.Parallel()
	s := NewSecrets("pa55word")
	var g sync.WaitGroup
	for i := range 4 {
		g.Go(func() {
			for j := range 50 {
				s.AddToken(fmt.Sprintf("token-%d-%d", i, j))
				if got := s.Quote("pa55word"); got != hidden {
					t.Error(got)
				}
			}
		})
	}
	g.Wait()
}
