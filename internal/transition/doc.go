// Package transition is the policy of DTR upgrades: which version may follow
// which, by way of which stops, and what to write instead when one may not.
//
// It is pure. Everything it knows of the world is in releases.json, which is
// compiled in; it opens no connection and reads no clock, so that the same
// answers are given at validate, at plan, during an apply and offline. It may
// import semver and the standard library, and nothing else.
//
// The rules are those of the vendor's page "Upgrade DTR"; see the table in
// rule.go. Release data only ever adds a refusal or a warning to them.
package transition
