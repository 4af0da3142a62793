// Package servertest runs server processes for tests: what packages redistest and
// sqltest have in common. It gives a server a port, a folder and a clock of its own,
// ends it with the test, and breaks the network before it.
package servertest
