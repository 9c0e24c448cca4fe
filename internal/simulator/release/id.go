package release

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// StableID derives an identifier of 64 hexadecimal digits from what it names:
// the same one every time.
func StableID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:])
}
