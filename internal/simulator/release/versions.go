// Package release is what the vendor published of DTR: versions, the images of
// each, the containers that a replica consists of, and image bundles.
package release

import (
	"fmt"

	"github.com/Masterminds/semver/v3"
)

// newestPatch is the newest patch of each minor version.
var newestPatch = map[string]uint64{
	"1.4": 3, "2.0": 4, "2.1": 7, "2.2": 11, "2.3": 11, "2.4": 14, "2.5": 17,
	"2.6": 15, "2.7": 8, "2.8": 13, "2.9": 30, "3.0": 0,
}

// Exists reports whether the vendor released a version.
func Exists(v *semver.Version) bool {
	newest, ok := newestPatch[fmt.Sprintf("%d.%d", v.Major(), v.Minor())]
	return ok && v.Patch() <= newest && v.Prerelease() == "" && v.String() != "2.5.4"
}

// Repository is where the vendor published a version.
func Repository(v *semver.Version) string {
	satisfies := func(constraint string) bool {
		c, err := semver.NewConstraint(constraint)
		return err == nil && c.Check(v)
	}
	switch {
	case satisfies(">= 2.10.0"):
		return "registry.mirantis.com/msr/dtr"
	case satisfies(">= 2.6.15 < 2.7.0 || >= 2.7.8 < 2.8.0 || >= 2.8.2"):
		return "mirantis/dtr"
	default:
		return "docker/dtr"
	}
}

// Platform is what a minor version of DTR was released together with.
type Platform struct{ UCPVersion, EngineAPI string }

// PlatformOf returns the published pairing of 2.5 to 2.7, and for earlier and
// later versions one that is near enough.
func PlatformOf(v *semver.Version) Platform {
	switch minor := v.Minor(); {
	case v.Major() < 2 || v.Major() == 2 && minor < 5:
		return Platform{"2.2.4", "1.30"}
	case v.Major() == 2 && minor == 5:
		return Platform{"3.0.4", "1.37"}
	case v.Major() == 2 && minor == 6:
		return Platform{"3.1.4", "1.39"}
	case v.Major() == 2 && minor == 7:
		return Platform{"3.2.4", "1.40"}
	default:
		return Platform{"3.4.0", "1.41"}
	}
}
