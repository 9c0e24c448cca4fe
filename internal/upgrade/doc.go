// Package upgrade runs an upgrade of a DTR cluster: the checks before it starts,
// the steps it is made of, and the verification at its end.
//
// It keeps no record of its own. Every step reads from the cluster what is left to
// do, so a run that was interrupted anywhere is continued by running it
// again.
//
// It must not import Terraform's plugin framework, the replica or the contentcache
// package, nor the simulator outside its tests.
package upgrade
