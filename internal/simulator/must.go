package simulator

import (
	"fmt"
)

// must panics where a test made a mistake.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("simulator: %v", err))
	}
}
