package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// A Client is what a [Store] asks of a go-redis client. [goredis.Client] (also
// with Sentinel), [goredis.ClusterClient], [goredis.Ring] and
// [goredis.UniversalClient] are Clients.
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
