package simulator

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// oldestAPI is the oldest Engine API version that the engines still speak.
const oldestAPI = "1.12"

// engineVersions are the engines that were the first to speak an API version.
var engineVersions = map[string]string{
	"1.30": "17.06.2-ee-16", "1.37": "18.03.1-ee-7", "1.39": "18.09.8", "1.40": "19.03.5", "1.41": "20.10.24",
}

// engineVersion is the engine that speaks an API version at the newest.
func engineVersion(api string) string {
	if v, ok := engineVersions[api]; ok {
		return v
	}
	for _, known := range slices.Backward(slices.Sorted(maps.Keys(engineVersions))) {
		if compareAPI(api, known) > 0 {
			return engineVersions[known]
		}
	}
	return engineVersions["1.30"]
}

// compareAPI compares two Engine API versions, 1.9 before 1.30.
func compareAPI(a, b string) int {
	number := func(v string) int {
		major, minor, _ := strings.Cut(v, ".")
		x, _ := strconv.Atoi(major)
		y, _ := strconv.Atoi(minor)
		return x*1000 + y
	}
	return number(a) - number(b)
}
