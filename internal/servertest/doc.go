// Package servertest runs server processes for tests. It is the common part of packages
// redistest and sqltest. It gives each server a port, a folder and a clock, ends it with
// the test, and injects network faults.
package servertest
