package simulator

import (
	"fmt"
	"time"
)

const (
	managerName = "manager1"
	maxReplicas = 7
)

// Options say what cluster to simulate.
type Options struct {
	// Version that every replica runs, MAJOR.MINOR.PATCH. Required.
	Version string
	// Replicas, 1 to 7; 3 if zero. The k-th lives on node worker<k>.
	Replicas int
	// Workers is how many workers there are, at least as many as replicas. Those
	// without a replica are free for one to join.
	Workers int
	// Speed divides every duration: 1, or zero, is as slow as a real cluster.
	Speed float64
	// Username and Password of the administrator; made up if empty.
	Username, Password string
	// Host is the external host name that DTR's settings show; the address that
	// is served if empty.
	Host string
	// APIVersion of the Docker Engines; if empty the one of the engine that was
	// released together with the DTR version: 1.37, 1.39 or 1.40.
	APIVersion string
	// UCPVersion, if empty, is likewise the one of the release.
	UCPVersion string
	// Nodes says how nodes differ from the default, by name. A name that is neither
	// the manager's nor a worker's is that of one more worker.
	Nodes map[string]NodeOptions
	// Unlisted are the replicas whose containers are there and that DTR does not list.
	Unlisted []UnlistedReplica
	// LogDriver is the log driver of containers that were created without one;
	// json-file if empty. The log of most others cannot be read.
	LogDriver string
	// DTRClockAhead is how far DTR's clock is ahead of this machine's.
	DTRClockAhead time.Duration
	// Sessions is how many logins of a user UCP keeps; 10 if zero, which is UCP's
	// default. One more, and that which was not used for longest no longer counts.
	Sessions int
	// Listen is the address of this machine that DTR and UCP are served on;
	// 127.0.0.1 if empty.
	Listen string
	// DTRPort and UCPPort are the ports that they are served on; free ones if zero.
	DTRPort, UCPPort int
	// Engines replace the simulated ones. Replicas, APIVersion and Nodes are then
	// ignored, and the methods of the cluster that change containers, images and
	// nodes, or hold a bootstrapper, must not be used.
	Engines Engines
}

// NodeOptions describe a node; the zero value is the default.
type NodeOptions struct {
	MemoryBytes   int64 // 32 GiB
	EngineVersion string
	Availability  string        // active
	OS            string        // linux
	Down          bool          // its engine is gone from the start
	DTRName       string        // what DTR calls the node; as UCP does
	ClockAhead    time.Duration // of this machine's; UCP has the clock of its manager
}

func workerName(k int) string { return fmt.Sprintf("worker%d", k) }
