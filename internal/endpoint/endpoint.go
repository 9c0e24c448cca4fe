// Package endpoint is the HTTPS side that the clients of DTR and UCP share: TLS, redirects, retries, limits and the log line of a request.
// It knows no API and imports no other package of this module.
package endpoint

import "time"

// Retry bounds one call. Zero fields take the defaults; tests shorten them.
type Retry struct {
	// Max is how often a harmless request is repeated after its first attempt; negative means never.
	Max int
	// WaitMin and WaitMax bound the pause between two attempts, which doubles from one to the other.
	WaitMin, WaitMax time.Duration
	// Attempt limits a single attempt, its answer included.
	Attempt time.Duration
	// Total limits the call, all attempts and pauses included.
	Total time.Duration
}
