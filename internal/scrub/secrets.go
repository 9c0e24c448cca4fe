package scrub

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// hidden stands where a secret was.
const hidden = "***"

// maxTokens is how many tokens are remembered, the latest ones: the server decides how often there is a new one.
const maxTokens = 8

// Secrets are what nobody may read in an error, a plan or a log. They are safe for concurrent use, and nil knows none.
//
// A secret that is short, or a word, is in many texts by chance. To mask it there would tell it, and hide what the text says: what somebody else says is
// left out as a whole if it repeats such a secret as a word of its own, and our own texts are left as they are.
type Secrets struct {
	mu       sync.RWMutex
	kept     []string
	tokens   []string
	replacer *strings.Replacer // of those that are in no text by chance
	words    []string          // the others, in all their forms
}

// NewSecrets is the set of some secrets. Empty texts are none.
func NewSecrets(secrets ...string) *Secrets {
	s := &Secrets{}
	s.Add(secrets...)
	return s
}

// Add adds secrets that are kept.
func (s *Secrets) Add(secrets ...string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range secrets {
		if secret != "" && !slices.Contains(s.kept, secret) {
			s.kept = append(s.kept, secret)
		}
	}
	s.build()
}

// AddLong adds those of some secrets that are in no text by chance. The others are not taken for secrets: what is short or a word is not secret where most are
// not, as in the query of a URL.
func (s *Secrets) AddLong(secrets ...string) {
	s.Add(slices.DeleteFunc(slices.Clone(secrets), isWord)...)
}

// AddToken adds a secret that a server has given, and that others will take the place of.
func (s *Secrets) AddToken(token string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if token == "" || slices.Contains(s.tokens, token) {
		return
	}
	s.tokens = append(s.tokens, token)
	s.tokens = s.tokens[max(0, len(s.tokens)-maxTokens):]
	s.build()
}

func (s *Secrets) build() {
	var long []string
	s.words = nil
	for _, secret := range slices.Concat(s.kept, s.tokens) {
		if isWord(secret) {
			s.words = append(s.words, forms(secret)...)
		} else {
			long = append(long, forms(secret)...)
		}
	}
	// The longest first: one may be part of another.
	slices.SortFunc(long, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	pairs := make([]string, 0, 2*len(long))
	for _, form := range long {
		pairs = append(pairs, form, hidden)
	}
	s.replacer = strings.NewReplacer(pairs...)
}

// isWord says that a secret may be in a text by chance.
func isWord(secret string) bool {
	return len(secret) < 8 || len(secret) < 16 && !strings.ContainsFunc(secret, func(r rune) bool { return !unicode.IsLetter(r) })
}

var percent = regexp.MustCompile("%[0-9A-F]{2}")

// forms are the ways in which a secret is written: as it is, and in JSON, Go, URLs and base64, where it may be in the middle of something.
func forms(secret string) []string {
	list := []string{secret, Line(secret), inner(strconv.Quote(secret))}
	if text, err := json.Marshal(secret); err == nil {
		list = append(list, inner(string(text)))
	}
	var plain strings.Builder
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	if encoder.Encode(secret) == nil {
		list = append(list, inner(strings.TrimSpace(plain.String())))
	}
	for _, escaped := range []string{url.QueryEscape(secret), url.PathEscape(secret)} {
		list = append(list, escaped, percent.ReplaceAllStringFunc(escaped, strings.ToLower))
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		list = append(list, encoding.EncodeToString([]byte(secret)), encoding.WithPadding(base64.NoPadding).EncodeToString([]byte(secret)))
		if isWord(secret) {
			continue // parts of it would be shorter still
		}
		for before := range 3 {
			text := encoding.EncodeToString(append(make([]byte, before), secret...))
			// Only the characters that the secret alone decides.
			list = append(list, text[(8*before+5)/6:8*(before+len(secret))/6])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// Mask is a text of ours, in which those secrets are masked that are in no text by chance.
func (s *Secrets) Mask(text string) string {
	if s == nil {
		return text
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.replacer == nil {
		return text
	}
	return s.replacer.Replace(text)
}

// Hide is a text of somebody else without the secrets.
func (s *Secrets) Hide(text string) string {
	if s.hasWord(text) {
		return hidden
	}
	return s.Mask(text)
}

func (s *Secrets) hasWord(text string) bool {
	if s == nil {
		return false
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.ContainsFunc(s.words, func(word string) bool { return standsIn(word, text) })
}

// standsIn says that a word is in a text, and not just in the middle of another word.
func standsIn(word, text string) bool {
	first, _ := utf8.DecodeRuneInString(word)
	last, _ := utf8.DecodeLastRuneInString(word)
	for rest := text; ; {
		at := strings.Index(rest, word)
		if at < 0 {
			return false
		}
		at += len(text) - len(rest)
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(word):])
		if (!inWord(first) || !inWord(before)) && (!inWord(last) || !inWord(after)) {
			return true
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		rest = text[at+size:]
	}
}

func inWord(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_')
}

// Quote is the beginning of what somebody else says, in one line and without the secrets.
func (s *Secrets) Quote(text string) string {
	return Cut(Line(strings.TrimSpace(s.Hide(text))), MaxQuote)
}

// Error is an error with the text that [Secrets.Quote] makes of its own. It still is the error that it was.
func (s *Secrets) Error(err error) error { return &scrubbed{err, s.Quote(err.Error())} }

// Shown is Quote for what this machine says of others, where a word is no more than a word.
func (s *Secrets) Shown(text string) string { return Cut(Line(s.Mask(text)), MaxQuote) }

// OwnError is an error with the text that [Secrets.Shown] makes of its own.
func (s *Secrets) OwnError(err error) error { return &scrubbed{err, s.Shown(err.Error())} }

type scrubbed struct {
	err  error
	text string
}

func (e *scrubbed) Error() string { return e.text }

func (e *scrubbed) Unwrap() error { return e.err }

type secretsKey struct{}

// With returns a context whose log lines show none of the secrets.
func (s *Secrets) With(ctx context.Context) context.Context {
	return context.WithValue(ctx, secretsKey{}, s)
}

// From are the secrets of a context, nil if it has none.
func From(ctx context.Context) *Secrets {
	s, _ := ctx.Value(secretsKey{}).(*Secrets)
	return s
}
