package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/config"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/redis"
	"github.com/mist-contrib/session/sealed"

	// Databases that a configuration can name; a program of yours imports the one it uses.
	_ "github.com/mist-contrib/session/sql/mysql"
	_ "github.com/mist-contrib/session/sql/postgres"
	_ "github.com/mist-contrib/session/sql/sqlite"
)

// newManager makes the Manager that the environment describes. Who closes closer at the
// end has nothing left open.
func newManager(store string, https bool) (m *session.Manager, closer io.Closer, err error) {
	if store != "" {
		if os.Getenv("SESSION_STORE") != "" {
			return nil, nil, errors.New("-store and SESSION_STORE: only one of them can be right")
		}
		if err := os.Setenv("SESSION_STORE", store); err != nil {
			return nil, nil, err
		}
	}
	c, err := config.FromEnv()
	if err != nil {
		return nil, nil, err
	}
	if c.Cookie.Secure == nil { // on localhost there is plain http
		c.Cookie.Secure = &https
	}
	if m, closer, err = c.Manager(); err != nil {
		return nil, nil, err
	}
	switch st := m.Store.(type) {
	case *memory.Store:
		if st.MaxSessions == 0 { // anybody can fill it
			m.Store = &memory.Store{MaxSessions: 100_000, IdleTimeout: st.IdleTimeout, AbsoluteTimeout: st.AbsoluteTimeout}
		}
	case *sealed.Store:
		m.Store = revocable(st)
	case *redis.Store:
		if err := check(st); err != nil {
			return nil, nil, errors.Join(err, closer.Close())
		}
	}
	return m, closer, nil
}

// revocable makes logouts and changed passwords end every copy of a cookie. This is one
// process, so its memory is enough until it ends; docs/stores.md has a list for many.
func revocable(st *sealed.Store) *sealed.Store {
	ended := new(sealed.Revocations)
	return &sealed.Store{
		Keys: st.Keys, IdleTimeout: st.IdleTimeout, AbsoluteTimeout: st.AbsoluteTimeout,
		Revoked: ended.Revoked, Revoke: ended.Revoke,
	}
}

// check asks Redis whether it is fit for sessions. It is better not to start than to
// answer everybody that Redis is down. No error has the URL in it, which holds a password.
func check(st *redis.Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	err := st.CheckServer(ctx)
	if errors.Is(err, redis.ErrUnreachable) {
		return fmt.Errorf("cannot use Redis: %w", err)
	}
	if err != nil { // The site starts, but may lose sessions or logouts until an operator mends this.
		slog.Warn("Redis is not as sessions need it", "err", err)
	}
	return nil
}
