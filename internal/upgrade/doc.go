// Package upgrade runs an upgrade of a DTR cluster: what is looked at before
// it starts, the steps it is made of, and the proof that it worked.
//
// It keeps no record of its own. Every step looks at the cluster to see what is
// left to do, so a run that was interrupted anywhere is continued by running it
// again.
//
// It must not import Terraform's plugin framework, the replica or the contentcache
// package, nor the simulator outside its tests.
package upgrade
