package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// A Client is the part of a go-redis client that a [Store] uses. [goredis.Client] (also
// with Sentinel), [goredis.ClusterClient] and [goredis.UniversalClient] implement it.
// [goredis.Ring] implements it too, but [Store.Check] refuses it: a Ring drops a server
// that does not answer, and the store would report its sessions as not found.
//
// If you wrap a ClusterClient, embed it in your type, because the store needs more of its
// methods. The store reloads the Cluster's layout after a network error. With
// WaitReplicas it also asks for the master of a key.
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

// A cluster is a Client that knows which server holds which key.
type cluster interface {
	MasterForKey(ctx context.Context, key string) (*goredis.Client, error)
	ReloadState(ctx context.Context)
	Options() *goredis.ClusterOptions
}

var _ cluster = (*goredis.ClusterClient)(nil)
