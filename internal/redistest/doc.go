// Package redistest starts real Redis servers for tests and benchmarks: single
// ones, a master with sentinels, a cluster, and a proxy that breaks the network
// before them. A missing redis-server is a failure, never a skip.
//
//	server := redistest.Start(t, "--maxmemory", "2mb")
//	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
//
// Servers listen on 127.0.0.1, keep their files in a folder of the test and are
// ended with it. On Linux they also end with the test binary, whatever ends
// that.
package redistest
