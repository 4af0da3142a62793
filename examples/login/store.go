package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/redis"
)

// newStore is where sessions live: in this process, or in Redis, which many
// processes share. Who calls release at the end has nothing left open.
func newStore(redisURL string) (store session.Store, release func() error, err error) {
	if redisURL == "" {
		return &memory.Store{MaxSessions: 100_000}, func() error { return nil }, nil
	}
	client, err := redis.NewClient(redisURL)
	if err != nil {
		return nil, nil, err
	}
	// Better not to start than to answer everybody that Redis is down. The error
	// must not have the URL in it, which holds a password.
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("cannot reach Redis: %w", err), client.Close())
	}
	return &redis.Store{Client: client}, client.Close, nil
}
