package transition

import (
	"errors"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"2.6.15", "0.0.0", "2.10.0", "2.6.99", "18446744073709551615.0.1"} {
		t.Run(s, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != s || got.Original() != s {
				t.Errorf("%s, originally %s", got, got.Original())
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("9", 100)
	tests := []struct{ name, input, want string }{
		{"empty", "", `"" is empty; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"leading v", "v2.6.15", `"v2.6.15" starts with "v"; write "2.6.15"`},
		{"leading capital v", "V2.6.15", `"V2.6.15" starts with "v"; write "2.6.15"`},
		{"leading v, two numbers", "v2.6", `"v2.6" starts with "v"; write "2.6.15"`},
		{"space before", " 2.6.15", `" 2.6.15" contains white space; write "2.6.15"`},
		{"line end after", "2.6.15\n", `"2.6.15\n" contains white space; write "2.6.15"`},
		{"no-break space", "2.6.15\u00a0", `"2.6.15\u00a0" contains white space; write "2.6.15"`},
		{"only space", "  ", `"  " contains white space; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"space and v", " v2.7 ", `" v2.7 " contains white space; write "2.7.8"`},
		{"one number", "2", `"2" has neither a minor nor a patch number; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"two numbers", "2.5", `"2.5" has no patch number; write "2.5.17"`},
		{"two numbers, unknown", "2.11", `"2.11" has no patch number; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"two numbers, too large", "2." + strings.Repeat("9", 30), `"2.999999999999999999999999999999" has no patch number; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"four numbers", "2.6.15.1", `"2.6.15.1" has more than three numbers; write "2.6.15"`},
		{"range >=", ">= 2.6.0", `">= 2.6.0" is a range, where one version is needed; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"range ~>", "~>2.6", `"~>2.6" is a range, where one version is needed; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"range =", "=2.6.15", `"=2.6.15" is a range, where one version is needed; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"range x", "2.6.x", `"2.6.x" is a range, where one version is needed; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"range *", "2.*", `"2.*" is a range, where one version is needed; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"range hyphen", "2.5.0 - 2.6.0", `"2.5.0 - 2.6.0" is a range, where one version is needed; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"range hyphen, no space", "2.5.0-2.6.0", `"2.5.0-2.6.0" is a range, where one version is needed; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"range comma", "2.5.0,2.6.0", `"2.5.0,2.6.0" is a range, where one version is needed; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"commas", "2,6,15", `"2,6,15" has a comma where a dot belongs; write "2.6.15"`},
		{"one comma", "2.6,15", `"2.6,15" has a comma where a dot belongs; write "2.6.15"`},
		{"the other comma", "2,6.15", `"2,6.15" has a comma where a dot belongs; write "2.6.15"`},
		{"comma, two numbers", "2,6", `"2,6" has a comma where a dot belongs; write "2.6.15"`},
		{"latest", "latest", `"latest" is no version, and what it means changes with time; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"Latest", "Latest", `"Latest" is no version, and what it means changes with time; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"build metadata", "2.6.15+build.7", `"2.6.15+build.7" has build metadata; write "2.6.15"`},
		{"pre-release and metadata", "2.6.0-rc1+7", `"2.6.0-rc1+7" has build metadata; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"commit", "2.7.0-29094adc", `"2.7.0-29094adc" ends in a commit id; write "2.7.0"`},
		{"commit of digits", "2.7.0-29094123", `"2.7.0-29094123" ends in a commit id; write "2.7.0"`},
		{"leading zero, patch", "2.6.05", `"2.6.05" has a number with a leading zero; write "2.6.5"`},
		{"leading zero, minor", "2.06.5", `"2.06.5" has a number with a leading zero; write "2.6.5"`},
		{"leading zero, major", "02.6.5", `"02.6.5" has a number with a leading zero; write "2.6.5"`},
		{"leading zero, too large", "0" + long + ".6.5", `"0` + strings.Repeat("9", 63) + `"... has a number with a leading zero; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"overflow", "2.6.18446744073709551616", `"2.6.18446744073709551616" has a number that is too large; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"negative", "-2.6.15", `"-2.6.15" is not a version; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"word", "newer", `"newer" is not a version; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"image", "docker/dtr:2.6.15", `"docker/dtr:2.6.15" is not a version; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"empty number", "2..15", `"2..15" is not a version; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"hanging dot", "2.6.", `"2.6." is not a version; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"hanging dash", "2.6.15-", `"2.6.15-" is not a version; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"other digits", "２.６.15", `"２.６.15" is not a version; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"zero-width space", "2.6.15\u200b", `"2.6.15\u200b" is not a version; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
		{"all at once", " v02.06.05-29094adc+7 ", `" v02.06.05-29094adc+7 " contains white space; write "2.6.5"`},
		{"bad pre-release", "2.6.0-rc..1", `"2.6.0-rc..1" is not a version; write MAJOR.MINOR.PATCH, such as "2.6.15"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tt.input)
			var parse *ParseError
			if !errors.As(err, &parse) {
				t.Fatalf("version %v, error %v of type %T", got, err, err)
			}
			if parse.Error() != tt.want {
				t.Errorf("error\n  %s, want\n  %s", parse, tt.want)
			}
			if parse.Input != tt.input {
				t.Errorf("error is about %q", parse.Input)
			}
		})
	}
}

func TestParseRefusesPreReleases(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"2.6.0-tp9", "2.6.0-rc1", "2.6.0-beta4", "2.6.0-rc.1", "2.6.0-123456"} {
		t.Run(s, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(s)
			var pre *PreReleaseError
			if !errors.As(err, &pre) {
				t.Fatalf("error %v of type %T", err, err)
			}
			if pre.Version.String() != s {
				t.Errorf("version %s", pre.Version)
			}
			want := `"` + s + `" is a pre-release, which can neither be upgraded nor be upgraded to; write a release, such as "2.6.0"`
			if pre.Error() != want {
				t.Errorf("error\n  %s, want\n  %s", pre, want)
			}
		})
	}
}

func TestParseWire(t *testing.T) {
	t.Parallel()
	tests := []struct{ input, want string }{
		{"2.6.0", "2.6.0"},
		{"v2.6.0", "2.6.0"},
		{" 2.6.0\r\n", "2.6.0"},
		{"2.06.00", "2.6.0"},
		{"2.6.0+build", "2.6.0"},
		{"2.7.0-29094adc", "2.7.0"},
		{"2.7.0-29094ADC", "2.7.0"},
		{"2.7.0-29094123", "2.7.0"}, // a commit id can be all decimal digits
		{"2.7.0-0000000", "2.7.0"},
		{"2.7.0-deadbee", "2.7.0"},
		{"2.7.0-123456", "2.7.0-123456"}, // six are not enough
		{"2.7.0-" + strings.Repeat("a", 40), "2.7.0"},
		{"2.7.0-" + strings.Repeat("a", 41), "2.7.0-" + strings.Repeat("a", 41)},
		{"2.7.0-29094adg", "2.7.0-29094adg"},
		{"2.6.0-tp9", "2.6.0-tp9"},
		{"2.6.0-rc1", "2.6.0-rc1"},
		{"2.6.0-beta4", "2.6.0-beta4"},
		{"2.6.0-rc.1", "2.6.0-rc.1"},
		{"2.6.0-dirty", "2.6.0-dirty"},
		{"2.6.0-tp9-29094adc", "2.6.0-tp9"},
		{"2.6.0-29094adc-tp9", "2.6.0-29094adc-tp9"},
		{"2.6.0-tp9-29094adc-5c5eba11", "2.6.0-tp9"},
	}
	for _, tt := range tests {
		t.Run(tt.input, func(t *testing.T) {
			t.Parallel()
			got, err := ParseWire(tt.input)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestParseWireRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ input, want string }{
		{"", `"" is not a version of DTR: the form is not MAJOR.MINOR.PATCH`},
		{"2.6", `"2.6" is not a version of DTR: the form is not MAJOR.MINOR.PATCH`},
		{"2.6.0.1", `"2.6.0.1" is not a version of DTR: the form is not MAJOR.MINOR.PATCH`},
		{"latest", `"latest" is not a version of DTR: the form is not MAJOR.MINOR.PATCH`},
		{"<html>", `"<html>" is not a version of DTR: the form is not MAJOR.MINOR.PATCH`},
		{"2.6.0-", `"2.6.0-" is not a version of DTR: the form is not MAJOR.MINOR.PATCH`},
		{"2.6.0 tp9", `"2.6.0 tp9" is not a version of DTR: the form is not MAJOR.MINOR.PATCH`},
		{"-29094adc", `"-29094adc" is not a version of DTR: the form is not MAJOR.MINOR.PATCH`},
		{"2.6.18446744073709551616", `"2.6.18446744073709551616" is not a version of DTR: value out of range`},
		{"2.6.0-rc..1", `"2.6.0-rc..1" is not a version of DTR: invalid prerelease string`},
	}
	for _, tt := range tests {
		t.Run(tt.input, func(t *testing.T) {
			t.Parallel()
			got, err := ParseWire(tt.input)
			if err == nil {
				t.Fatalf("version %s", got)
			}
			if err.Error() != tt.want {
				t.Errorf("error\n  %s, want\n  %s", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"2.6.15", "v2.6", "2.7.0-29094adc", "2.6.0-tp9", ">= 2.6, < 2.8", "02.1.0", "2.6.18446744073709551616", " 2.6.15 ", "latest", "2.6.0.1+b", "0.0.0-00X.00-", "2.6.0-rc.01",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Parse(s)
		var parse *ParseError
		var pre *PreReleaseError
		switch {
		case err == nil:
			if got.String() != s || got.Prerelease() != "" || got.Metadata() != "" {
				t.Errorf("%q is read as %s", s, got)
			}
		case errors.As(err, &parse):
			if parse.Write != "" {
				if _, err := Parse(parse.Write); err != nil {
					t.Errorf("%q: the message proposes %q, which is refused: %v", s, parse.Write, err)
				}
			}
		case errors.As(err, &pre):
			if pre.Version.Prerelease() == "" {
				t.Errorf("%q: %s is no pre-release", s, pre.Version)
			}
		default:
			t.Errorf("%q: error of type %T", s, err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("a message of %d bytes", len(err.Error()))
		}
	})
}

func FuzzParseWire(f *testing.F) {
	for _, s := range []string{"2.6.0", "v2.7.0-29094adc", "2.7.0-29094123", "2.6.0-tp9", " 2.6.0-rc1+x\n", "2.6.0-a-b1b2b3b4", "2.6"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseWire(s)
		if err != nil {
			return
		}
		// What is read is a semantic version, and reads as itself.
		if _, err := semver.StrictNewVersion(got.String()); err != nil {
			t.Errorf("%q is read as %s: %v", s, got, err)
		}
		again, err := ParseWire(got.String())
		if err != nil || !again.Equal(got) {
			t.Errorf("%q is read as %s and then as %s (%v)", s, got, again, err)
		}
		// Both parsers agree wherever the strict one answers.
		if strict, err := Parse(s); err == nil && !strict.Equal(got) {
			t.Errorf("%q is %s strictly, and %s from the wire", s, strict, got)
		}
	})
}
