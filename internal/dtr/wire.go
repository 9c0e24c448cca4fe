package dtr

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// timestamp is a time as the versions of DTR write it. What cannot be read is the zero time: no single field is worth failing a call.
type timestamp struct{ time.Time }

// timeLayouts are the forms of a time: the first is what the vendor's API description says, the second how Go prints a time.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST"}

func (t *timestamp) UnmarshalJSON(b []byte) error {
	t.Time = time.Time{}
	var s string
	_ = json.Unmarshal(b, &s)       // anything but a text leaves it empty
	s, _, _ = strings.Cut(s, " m=") // the monotonic reading that Go appends
	for _, layout := range timeLayouts {
		if parsed, err := time.Parse(layout, s); err == nil {
			t.Time = parsed
			break
		}
	}
	return nil
}

// UnmarshalJSON reads the cluster's status. A time that cannot be read is left out.
func (s *ClusterStatus) UnmarshalJSON(b []byte) error {
	type plain ClusterStatus
	wire := struct {
		*plain
		Timestamp map[string]timestamp `json:"replica_timestamp"`
	}{plain: (*plain)(s)}
	err := json.Unmarshal(b, &wire)
	s.Timestamp = make(map[string]time.Time, len(wire.Timestamp))
	for id, t := range wire.Timestamp {
		if !t.IsZero() {
			s.Timestamp[id] = t.Time
		}
	}
	return err
}

// UnmarshalJSON reads what DTR says of its vulnerability database.
func (s *ScanStatus) UnmarshalJSON(b []byte) error {
	type plain ScanStatus
	wire := struct {
		*plain
		DBUpdatedAt timestamp `json:"db_updated_at"`
	}{plain: (*plain)(s)}
	err := json.Unmarshal(b, &wire)
	s.DBUpdatedAt = wire.DBUpdatedAt.Time
	return err
}

// UnmarshalJSON reads a job, whose times and maps are not the same in all versions.
func (j *Job) UnmarshalJSON(b []byte) error {
	type plain Job
	wire := struct {
		*plain
		ScheduledAt timestamp `json:"scheduledAt"`
		LastUpdated timestamp `json:"lastUpdated"`
		Parameters  texts     `json:"parameters"`
		CapacityMap counts    `json:"capacityMap"`
	}{plain: (*plain)(j)}
	err := json.Unmarshal(b, &wire)
	j.ScheduledAt, j.LastUpdated = wire.ScheduledAt.Time, wire.LastUpdated.Time
	j.Parameters, j.CapacityMap = wire.Parameters, wire.CapacityMap
	return err
}

// texts and counts are maps whose values DTR 2.5 does not type. What cannot be read is left out, as with a timestamp.
type (
	texts  map[string]string
	counts map[string]int
)

func (t *texts) UnmarshalJSON(b []byte) error {
	var values map[string]any
	_ = json.Unmarshal(b, &values)
	*t = make(texts, len(values))
	for name, v := range values {
		text, ok := v.(string)
		if !ok {
			whole, _ := json.Marshal(v)
			text = string(whole)
		}
		(*t)[name] = text
	}
	return nil
}

func (c *counts) UnmarshalJSON(b []byte) error {
	var values map[string]any
	_ = json.Unmarshal(b, &values)
	*c = make(counts, len(values))
	for name, v := range values {
		if n, ok := v.(float64); ok {
			(*c)[name] = int(n)
		}
	}
	return nil
}

// logLine is a line of a job's log. Up to DTR 2.4 the keys begin in upper case, which encoding/json takes as well.
type logLine struct {
	Data    string `json:"data"`
	LineNum int    `json:"lineNum"`
}

// apiDocs is as much of the API description as tells whose it is.
type apiDocs struct {
	Info  struct{ Title, Version string } `json:"info"`
	Paths map[string]json.RawMessage      `json:"paths"`
}

var errNotDocs = errors.New("it is not DTR's description of its API")

// ofDTR is false only for the description of something else: the product was renamed once and may be again.
func (d apiDocs) ofDTR() bool {
	if d.Info.Version == "" {
		return false
	}
	for path := range d.Paths {
		if strings.HasPrefix(path, "/api/v0/") {
			return true
		}
	}
	return d.Info.Title == "" || strings.HasSuffix(d.Info.Title, "Trusted Registry") || strings.HasSuffix(d.Info.Title, "Secure Registry")
}
