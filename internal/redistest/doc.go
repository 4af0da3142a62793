// Package redistest starts real Redis servers for tests and benchmarks: a single server, a
// master with sentinels, or a cluster. A proxy before them simulates network faults. If
// redis-server is missing, tests fail; they are never skipped.
//
//	server := redistest.Start(t, "--maxmemory", "2mb")
//	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
//
// Servers listen on 127.0.0.1, keep their files in a folder of the test, and end with the
// test. On Linux they also end with the test binary, even if it is killed.
package redistest
