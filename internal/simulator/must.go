package simulator

import (
	"fmt"
)

// must panics on the errors of controls: they are mistakes of the test.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("simulator: %v", err))
	}
}
