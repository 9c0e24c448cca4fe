package bootstrap

// Failure is what the bootstrapper's records say about why it failed.
type Failure struct{ Message, Cause, Remedy string }

// Diagnose looks for a known failure in the records.
func Diagnose(records []Record) (Failure, bool) { return Failure{}, false }
