package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// A Client is what a [Store] asks of a client of go-redis. [goredis.Client] (also
// with Sentinel), [goredis.ClusterClient] and [goredis.UniversalClient] are
// Clients. A [goredis.Ring] is one too, and refused by [Store.Check]: it takes a
// server that does not answer out of the ring, and its sessions would be not found.
//
// A type of yours around a ClusterClient must embed it, because the store needs
// its further methods: it asks for the Cluster's shape after an error of the
// network, and for the master of a key to wait for its replicas.
type Client interface {
	Process(ctx context.Context, cmd goredis.Cmder) error
	Pipelined(ctx context.Context, fn func(goredis.Pipeliner) error) ([]goredis.Cmder, error)
}

var (
	_ Client = goredis.UniversalClient(nil)
	_ Client = (*goredis.Client)(nil)
	_ Client = (*goredis.ClusterClient)(nil)
	_ Client = (*goredis.Ring)(nil)
)

// A cluster is a Client that knows which server has which key.
type cluster interface {
	MasterForKey(ctx context.Context, key string) (*goredis.Client, error)
	ReloadState(ctx context.Context)
	Options() *goredis.ClusterOptions
}

var _ cluster = (*goredis.ClusterClient)(nil)
