package redis

import (
	"io"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/driver"
)

//nolint:gochecknoinits // as with database/sql: importing this package makes its schemes available to configurations
func init() {
	driver.Register(open, "redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster", "unix")
}

// open returns a store for package config. It does not connect.
func open(o driver.Options) (session.Store, io.Closer, error) {
	client, err := NewClient(o.URL)
	if err != nil {
		return nil, nil, err
	}
	st := &Store{
		Client: client, Prefix: o.Prefix, IdleTimeout: o.IdleTimeout, AbsoluteTimeout: o.AbsoluteTimeout,
		OpTimeout: o.OpTimeout, WaitReplicas: o.WaitReplicas,
	}
	return st, client, nil
}
