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
	Problem string // in the middle of a sentence, such as `starts with "v"`
	Write   string // the nearest valid text, or an example of one
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("%s %s; write a version such as %q", quote(e.Input), e.Problem, e.Write)
}

// PreReleaseError is the error for a well-formed pre-release: no rule leads to
// one or from one.
type PreReleaseError struct{ Version *semver.Version }

func (e *PreReleaseError) Error() string {
	release := semver.New(e.Version.Major(), e.Version.Minor(), e.Version.Patch(), "", "")
	return fmt.Sprintf("%s is a pre-release, which can neither be upgraded nor be upgraded to; write a release such as %q",
		quote(e.Version.String()), release)
}

// exampleVersion stands in messages where the input suggests nothing nearer.
const exampleVersion = "2.6.15"

// mistake is one way of writing something else than MAJOR.MINOR.PATCH.
type mistake struct {
	made    func(s string) bool
	problem string
	write   func(s string) string // the nearest valid text; nil: an example
}

// mistakes are looked for in this order, so that the message names the one that
// the user should mend first.
var mistakes = []mistake{
	{made: func(s string) bool { return s == "" }, problem: "is empty"},
	{made: containsSpace, problem: "contains white space", write: withoutSpace},
	{made: regexp.MustCompile(`(?i)^(latest|stable|edge|current|newest)$`).MatchString, problem: "names no version, and what it means changes with time"},
	{made: regexp.MustCompile(`^[<>=~^!]|[,|]|(^|\.)[xX*](\.|$)`).MatchString, problem: "is a range, but one version is needed"},
	{made: regexp.MustCompile(`^[vV]\.?[0-9]`).MatchString, problem: `starts with "v"`, write: func(s string) string { return strings.TrimLeft(s, "vV.") }},
	{made: func(s string) bool { return strings.Contains(s, "+") }, problem: "has build metadata", write: beforeMark("+")},
	{made: hasCommit, problem: "ends in a commit id", write: beforeMark("-")},
	{made: regexp.MustCompile(`^[0-9]+$`).MatchString, problem: "has neither a minor nor a patch number"},
	{made: regexp.MustCompile(`^[0-9]+\.[0-9]+$`).MatchString, problem: "has no patch number", write: latestOfLine},
	{made: regexp.MustCompile(`^[0-9]+(\.[0-9]+){3,}$`).MatchString, problem: "has more than three numbers", write: firstThree},
	{made: regexp.MustCompile(`^0[0-9]|\.0[0-9]`).MatchString, problem: "has a number with a leading zero", write: withoutZeros},
}

var (
	strictForm     = regexp.MustCompile(`^([0-9]+)\.([0-9]+)\.([0-9]+)$`)
	preReleaseForm = regexp.MustCompile(`^([0-9]+)\.([0-9]+)\.([0-9]+)-([0-9A-Za-z.-]+)$`)
	commitForm     = regexp.MustCompile(`^[0-9a-fA-F]{7,40}$`)
)

// Parse reads a version as a user writes it: MAJOR.MINOR.PATCH, digits only.
// The error is a *PreReleaseError for a pre-release and a *ParseError otherwise.
func Parse(s string) (*semver.Version, error) {
	for _, m := range mistakes {
		if m.made(s) {
			e := &ParseError{Input: s, Problem: m.problem, Write: exampleVersion}
			if m.write != nil {
				e.Write = nearest(m.write(s))
			}
			return nil, e
		}
	}
	numbers := strictForm.FindStringSubmatch(s)
	if numbers == nil {
		if v, err := ParseWire(s); err == nil && preReleaseForm.MatchString(s) {
			return nil, &PreReleaseError{Version: v}
		}
		return nil, &ParseError{Input: s, Problem: "is not of the form MAJOR.MINOR.PATCH", Write: exampleVersion}
	}
	v, err := fromNumbers(numbers[1:4], "")
	if err != nil {
		return nil, &ParseError{Input: s, Problem: "has a number that is too large", Write: exampleVersion}
	}
	return v, nil
}

// ParseWire reads a version as DTR reports it. White space around it, a leading
// v and build metadata are dropped, and so is the commit id in "2.7.0-29094adc":
// a last part of 7 to 40 hexadecimal digits, even where all are decimal. Any
// other suffix, such as "-tp9" or "-rc1", makes a pre-release.
func ParseWire(s string) (*semver.Version, error) {
	text := strings.TrimLeft(strings.TrimSpace(s), "vV")
	text, _, _ = strings.Cut(text, "+")
	text, _ = cutCommit(text)
	suffix := ""
	if m := preReleaseForm.FindStringSubmatch(text); m != nil {
		suffix = m[4]
		text = strings.TrimSuffix(text, "-"+suffix)
	}
	numbers := strictForm.FindStringSubmatch(text)
	if numbers == nil {
		return nil, fmt.Errorf("%s is not a version of DTR", quote(s))
	}
	v, err := fromNumbers(numbers[1:4], suffix)
	if err != nil {
		return nil, fmt.Errorf("%s is not a version of DTR: %w", quote(s), err)
	}
	return v, nil
}

func fromNumbers(numbers []string, preRelease string) (*semver.Version, error) {
	var n [3]uint64
	for i, digits := range numbers {
		var err error
		if n[i], err = strconv.ParseUint(digits, 10, 64); err != nil {
			return nil, errors.Unwrap(err) // without strconv's own repetition of the input
		}
	}
	v := semver.New(n[0], n[1], n[2], "", "")
	if preRelease == "" {
		return v, nil
	}
	p, err := v.SetPrerelease(preRelease)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// cutCommit removes a commit id from the end and reports whether there was one.
func cutCommit(s string) (string, bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 || !commitForm.MatchString(s[i+1:]) {
		return s, false
	}
	return s[:i], true
}

func hasCommit(s string) bool {
	before, found := cutCommit(s)
	return found && strictForm.MatchString(before)
}

func containsSpace(s string) bool { return strings.ContainsFunc(s, unicode.IsSpace) }

func withoutSpace(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, s)
}

func beforeMark(mark string) func(string) string {
	return func(s string) string {
		before, _, _ := strings.Cut(s, mark)
		return before
	}
}

func firstThree(s string) string { return strings.Join(strings.Split(s, ".")[:3], ".") }

// latestOfLine completes "2.6" with the latest known patch.
func latestOfLine(s string) string {
	v, err := ParseWire(s + ".0")
	if err != nil {
		return exampleVersion
	}
	if latest, ok := LatestPatch(v.Major(), v.Minor()); ok {
		return latest.String()
	}
	return v.String()
}

func withoutZeros(s string) string {
	v, err := ParseWire(s)
	if err != nil {
		return exampleVersion
	}
	return v.String()
}

// nearest returns s where it is a valid version by now, and an example otherwise:
// a message must not propose what the next run refuses.
func nearest(s string) string {
	if v, err := Parse(s); err == nil {
		return v.String()
	}
	return exampleVersion
}

// quote quotes what the user wrote, shortened: it may be a whole file.
func quote(s string) string {
	const limit = 64
	if len(s) > limit {
		return strconv.Quote(strings.ToValidUTF8(s[:limit], "")) + "..."
	}
	return strconv.Quote(s)
}
