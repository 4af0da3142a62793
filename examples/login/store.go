package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	sessions := &redis.Store{Client: client}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	// It is better not to start than to answer everybody that Redis is down. The
	// error does not have the URL in it, which holds a password.
	err = sessions.CheckServer(ctx)
	if errors.Is(err, redis.ErrUnreachable) {
		return nil, nil, errors.Join(fmt.Errorf("cannot use Redis: %w", err), client.Close())
	}
	if err != nil { // The site starts, but may lose sessions or logouts until an operator mends this.
		slog.Warn("Redis is not as sessions need it", "err", err)
	}
	return sessions, client.Close, nil
}
