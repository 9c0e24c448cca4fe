package simulator

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// newID returns a random identifier of 64 hexadecimal digits, as Docker's are.
func newID() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// newUUID returns a random identifier in the form of a UUID.
func newUUID() string {
	id := newID()
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:32]}, "-")
}
