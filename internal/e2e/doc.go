// Package e2e runs the provider's main job against real Docker Engines: a real
// Terraform, three engines in one swarm, containers, images and a registry are
// real; DTR and UCP are simulated, and stand before the engines. The tests have
// the build tag e2e and need root on Linux.
package e2e
