package images

import (
	"errors"
	"testing"
)

// TestWhatATransferTellsOfANode has UCP say how a transfer ended on some nodes, and end it
// with an error or without one.
func TestWhatATransferTellsOfANode(t *testing.T) {
	t.Parallel()
	failure := errors.New("worker2: no space left on device")
	for name, tt := range map[string]struct {
		err     error
		said    map[string]string
		why     string // of worker1, "" if nothing is known
		reached bool
	}{
		"nothing said, and well":                 {nil, nil, "", true},
		"nothing said, and an error":             {failure, nil, failure.Error(), false},
		"done there, and an error":               {failure, map[string]string{"worker1": nodeDone, "worker2": "no space left on device"}, "", true},
		"done on another one, and an error":      {failure, map[string]string{"worker2": nodeDone}, "", false},
		"an error, and it is of another one":     {failure, map[string]string{"worker2": "no space left on device"}, "", false},
		"an error there, and all in all as well": {failure, map[string]string{"worker1": "not found"}, "not found", false},
		"an error there, and none of the whole":  {nil, map[string]string{"worker1": "not found"}, "not found", false},
	} {
		tr := &transfer{err: tt.err, said: tt.said}
		why := ""
		if err := tr.why("worker1"); err != nil {
			why = err.Error()
		}
		if why != tt.why || tr.reached("worker1") != tt.reached {
			t.Errorf("%s: the reason is %q, and it is reached: %t", name, why, tr.reached("worker1"))
		}
	}
}
