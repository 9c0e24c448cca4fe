// Package bootstrap knows the bootstrapper, DTR's own image: where it comes from,
// how its commands are spelled for each version, what the containers that
// it creates are called, and what the lines that it prints mean.
//
// It describes and reads; it runs nothing. It may import transition, but no
// client of DTR, UCP or Docker, and it opens no connection.
package bootstrap
