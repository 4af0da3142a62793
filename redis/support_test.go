package redis_test

import (
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// newClient returns the client that the documentation recommends.
func newClient(tb testing.TB, url string) goredis.UniversalClient {
	tb.Helper()
	c, err := redis.NewClient(url)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// single starts a server and returns it with a client.
func single(tb testing.TB, config ...string) (*redistest.Server, goredis.UniversalClient) {
	tb.Helper()
	server := redistest.Start(tb, config...)
	return server, newClient(tb, "redis://"+server.Addr)
}

// nodeTimeout is after how long the nodes of a cluster give up on one.
const nodeTimeout = 2 * time.Second

// cluster starts a cluster and returns it with a client.
func cluster(tb testing.TB) (*redistest.ClusterSet, goredis.UniversalClient) {
	tb.Helper()
	set := redistest.StartCluster(tb, nodeTimeout)
	return set, newClient(tb, "redis+cluster://"+strings.Join(set.Addrs(), ","))
}
