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

	// The databases that a configuration can name. Your program imports the one it uses.
	_ "github.com/mist-contrib/session/sql/mysql"
	_ "github.com/mist-contrib/session/sql/postgres"
	_ "github.com/mist-contrib/session/sql/sqlite"
)

// newManager makes the Manager that the environment describes. The caller closes closer
// at the end.
func newManager(store string, https bool) (m *session.Manager, closer io.Closer, err error) {
	if store != "" {
		if os.Getenv("SESSION_STORE") != "" {
			return nil, nil, errors.New("-store and SESSION_STORE are both set: use one of them")
		}
		if err := os.Setenv("SESSION_STORE", store); err != nil {
			return nil, nil, err
		}
	}
	c, err := config.FromEnv()
	if err != nil {
		return nil, nil, err
	}
	if c.Cookie.Secure == nil { // the shop may serve plain http
		c.Cookie.Secure = &https
	}
	if m, closer, err = c.Manager(); err != nil {
		return nil, nil, err
	}
	switch st := m.Store.(type) {
	case *memory.Store:
		if st.MaxSessions == 0 { // visitors must not fill the memory
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

// revocable makes logouts and changed passwords end every copy of a cookie. The list of
// ended sessions is in the memory of this process. docs/stores.md shows one for many
// processes.
func revocable(st *sealed.Store) *sealed.Store {
	ended := new(sealed.Revocations)
	return &sealed.Store{
		Keys: st.Keys, Purpose: st.Purpose, IdleTimeout: st.IdleTimeout, AbsoluteTimeout: st.AbsoluteTimeout,
		Revoked: ended.Revoked, Revoke: ended.Revoke,
	}
}

// check asks Redis whether its settings are right for sessions. The shop does not start
// without Redis. No error contains the URL, which may hold a password.
func check(st *redis.Store) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	err := st.CheckServer(ctx)
	if errors.Is(err, redis.ErrUnreachable) {
		return fmt.Errorf("cannot use Redis: %w", err)
	}
	if err != nil { // The site starts, but may lose sessions or logouts until an operator fixes this.
		slog.Warn("Redis is not configured for sessions", "err", err)
	}
	return nil
}
