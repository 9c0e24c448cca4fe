package transition

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/Masterminds/semver/v3"
)

// ParseError says why a text is not a version and what to write instead.
type ParseError struct {
	Input   string
	Problem string // the rest of a sentence about Input, such as `starts with "v"`
	Write   string // the version that was probably meant, or empty
}

func (e *ParseError) Error() string {
	if e.Write == "" {
		return fmt.Sprintf("%s %s; write MAJOR.MINOR.PATCH, such as %q", quote(e.Input), e.Problem, "2.6.15")
	}
	return fmt.Sprintf("%s %s; write %q", quote(e.Input), e.Problem, e.Write)
}

// PreReleaseError is the error for a well-formed pre-release: no rule leads to
// one or from one.
type PreReleaseError struct{ Version *semver.Version }

func (e *PreReleaseError) Error() string {
	return fmt.Sprintf("%s is a pre-release, which can neither be upgraded nor be upgraded to; write a release, such as %q",
		quote(e.Version.String()), release(e.Version))
}

// release is v without its pre-release.
func release(v *semver.Version) *semver.Version {
	return semver.New(v.Major(), v.Minor(), v.Patch(), "", "")
}

var (
	versionForm = regexp.MustCompile(`^([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z.-]+))?$`)
	commitForm  = regexp.MustCompile(`(?:-[0-9a-fA-F]{7,40})+$`)
)

// Parse reads a version as a user writes it: MAJOR.MINOR.PATCH, digits only. The
// error is a *PreReleaseError for a pre-release and a *ParseError for all else.
func Parse(s string) (*semver.Version, error) {
	for _, m := range mistakes {
		if m.made(s) {
			return nil, &ParseError{Input: s, Problem: m.problem, Write: meant(s)}
		}
	}
	v, err := parse(s)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return nil, &ParseError{Input: s, Problem: "has a number that is too large"}
	case err != nil:
		return nil, &ParseError{Input: s, Problem: "is not a version"}
	case v.Prerelease() != "":
		return nil, &PreReleaseError{Version: v}
	}
	return v, nil
}

// ParseWire reads a version as DTR reports it. White space around it, a leading
// v and build metadata are dropped, and so is the commit id in "2.7.0-29094adc":
// a last part of 7 to 40 hexadecimal digits, even where all are decimal. Any
// other suffix, such as "-tp9" or "-rc1", makes a pre-release.
func ParseWire(s string) (*semver.Version, error) {
	text := strings.TrimPrefix(strings.TrimSpace(s), "v")
	text, _, _ = strings.Cut(text, "+")
	v, err := parse(commitForm.ReplaceAllLiteralString(text, ""))
	if err != nil {
		return nil, fmt.Errorf("%s is not a version of DTR: %w", quote(s), err)
	}
	return v, nil
}

var errForm = errors.New("the form is not MAJOR.MINOR.PATCH")

// parse reads MAJOR.MINOR.PATCH with or without a pre-release.
func parse(s string) (*semver.Version, error) {
	parts := versionForm.FindStringSubmatch(s)
	if parts == nil {
		return nil, errForm
	}
	var numbers [3]uint64
	for i := range numbers {
		n, err := strconv.ParseUint(parts[i+1], 10, 64)
		if err != nil {
			return nil, errors.Unwrap(err) // what surrounds it repeats the input
		}
		numbers[i] = n
	}
	v := semver.New(numbers[0], numbers[1], numbers[2], "", "")
	if parts[4] == "" {
		return v, nil
	}
	preRelease, err := v.SetPrerelease(parts[4])
	if err != nil {
		return nil, err
	}
	return &preRelease, nil
}

// mistake is one way of writing something else than MAJOR.MINOR.PATCH.
type mistake struct {
	made    func(s string) bool
	problem string
	mend    func(s string) string // the text without the mistake; nil when it says too little
}

// mistakes are looked for in this order. The regular expressions need not tell
// every input apart: what none of them knows is "not a version".
var mistakes = []mistake{
	{made: isEmpty, problem: "is empty"},
	{made: form(`^[0-9]+(?:,[0-9]+|[.,][0-9]+,[0-9]+|,[0-9]+\.[0-9]+)$`), problem: "has a comma where a dot belongs", mend: dots},
	{made: form(`^[<>=~^!]|[,|]|\s-\s|^[0-9.]+-[0-9]+\.[0-9]|(?:^|\.)[xX*](?:\.|$)`), problem: "is a range, where one version is needed"},
	{made: containsSpace, problem: "contains white space", mend: withoutSpace},
	{made: form(`(?i)^(?:latest|stable|edge|current|newest)$`), problem: "is no version, and what it means changes with time"},
	{made: form(`^[vV][0-9]`), problem: `starts with "v"`, mend: func(s string) string { return s[1:] }},
	{made: form(`^[0-9].*\+`), problem: "has build metadata", mend: before("+")},
	{made: form(`^[0-9.]+-[0-9a-fA-F]{7,40}$`), problem: "ends in a commit id", mend: before("-")},
	{made: form(`^[0-9]+$`), problem: "has neither a minor nor a patch number"},
	{made: form(`^[0-9]+\.[0-9]+$`), problem: "has no patch number", mend: withLatestPatch},
	{made: form(`^[0-9]+(?:\.[0-9]+){3,}$`), problem: "has more than three numbers", mend: firstThree},
	{made: form(`^(?:[0-9]+\.){0,2}0[0-9]`), problem: "has a number with a leading zero", mend: withoutZeros},
}

// meant gives the version that the user probably meant: s with one mistake after
// the other mended. It is empty when that is no version: a message must not
// propose what would be refused in turn.
func meant(s string) string {
	for _, m := range mistakes {
		if m.mend != nil && m.made(s) {
			s = m.mend(s)
		}
	}
	if v, err := parse(s); err != nil || v.Prerelease() != "" {
		return ""
	}
	return s
}

func form(expression string) func(string) bool { return regexp.MustCompile(expression).MatchString }

func isEmpty(s string) bool { return s == "" }

func containsSpace(s string) bool { return strings.ContainsFunc(s, unicode.IsSpace) }

func withoutSpace(s string) string { return strings.Join(strings.Fields(s), "") }

func before(mark string) func(string) string {
	return func(s string) string {
		start, _, _ := strings.Cut(s, mark)
		return start
	}
}

func dots(s string) string { return strings.ReplaceAll(s, ",", ".") }

func firstThree(s string) string { return strings.Join(strings.SplitN(s, ".", 4)[:3], ".") }

// withLatestPatch completes "2.6" with the latest known patch.
func withLatestPatch(s string) string {
	v, err := parse(s + ".0")
	if err != nil {
		return ""
	}
	if latest, ok := LatestPatch(v.Major(), v.Minor()); ok {
		return latest.String()
	}
	return ""
}

func withoutZeros(s string) string {
	v, err := parse(s)
	if err != nil {
		return ""
	}
	return v.String()
}

// quote quotes what the user wrote, shortened: it may be a whole file.
func quote(s string) string {
	const limit = 64
	if len(s) <= limit {
		return strconv.Quote(s)
	}
	return strconv.Quote(strings.ToValidUTF8(s[:limit], "")) + "..."
}
