package sessionotel

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
)

// A Store wraps another store and records its calls, and those of its sessions, as spans and
// durations. It has the same capabilities and returns the same results, and is safe for
// concurrent use. Its fields must not change after the first use.
type Store struct {
	Store session.Store // the wrapped store

	// TracerProvider and MeterProvider receive the spans and the durations. Nil: the global
	// providers.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	once     sync.Once
	tracer   trace.Tracer
	duration metric.Float64Histogram
	able     session.Store // the result of Unwrap
	publicID bool          // ids may be recorded
}

var _ session.Store = (*Store)(nil)

// Generate calls the wrapped store.
func (st *Store) Generate(ctx context.Context, id string) (session.Session, error) {
	return st.session(ctx, "generate", id, func(ctx context.Context) (session.Session, error) {
		return st.Store.Generate(ctx, id)
	})
}

// Get calls the wrapped store.
func (st *Store) Get(ctx context.Context, id string) (session.Session, error) {
	return st.session(ctx, "get", id, func(ctx context.Context) (session.Session, error) {
		return st.Store.Get(ctx, id)
	})
}

// Refresh calls the wrapped store.
func (st *Store) Refresh(ctx context.Context, id string) error {
	return st.observe(ctx, "refresh", id, func(ctx context.Context) error { return st.Store.Refresh(ctx, id) })
}

// Remove calls the wrapped store.
func (st *Store) Remove(ctx context.Context, id string) error {
	return st.observe(ctx, "remove", id, func(ctx context.Context) error { return st.Store.Remove(ctx, id) })
}

// Unwrap returns a store with the capabilities of the wrapped store, recorded as well. Store
// has no methods for them, or it would claim capabilities that the wrapped store lacks.
func (st *Store) Unwrap() session.Store {
	st.once.Do(st.start)
	return st.able
}

// session makes a call that returns a session, and wraps the session.
func (st *Store) session(ctx context.Context, op, id string, call func(ctx context.Context) (session.Session, error)) (s session.Session, err error) {
	err = st.observe(ctx, op, id, func(ctx context.Context) error {
		s, err = call(ctx)
		return err
	})
	if err != nil || s == nil {
		return nil, err
	}
	return &recorded{Session: s, store: st}, nil
}

// A tokenStore is a Store that wraps a [session.TokenStore].
type tokenStore struct {
	*Store

	inner session.TokenStore
}

var _ session.TokenStore = (*tokenStore)(nil)

func (st *tokenStore) Open(ctx context.Context, carried string) (session.Session, error) {
	return st.session(ctx, "open", claimed(carried), func(ctx context.Context) (session.Session, error) {
		return st.inner.Open(ctx, carried)
	})
}

func (st *tokenStore) Rotate(ctx context.Context, carried string, grace time.Duration) (session.Session, error) {
	return st.session(ctx, "rotate", claimed(carried), func(ctx context.Context) (session.Session, error) {
		return st.inner.Rotate(ctx, carried, grace)
	})
}

func (st *tokenStore) Unwrap() session.Store { return st.Store.Store }

// A userStore is a Store that wraps a [session.UserStore].
type userStore struct {
	*tokenStore

	inner session.UserStore
}

var _ session.UserStore = (*userStore)(nil)

func (st *userStore) Login(ctx context.Context, carried string, l session.Login) (session.Session, error) {
	return st.session(ctx, "login", claimed(carried), func(ctx context.Context) (session.Session, error) {
		return st.inner.Login(ctx, carried, l)
	})
}

func (st *userStore) UserSessions(ctx context.Context, user string) (infos []session.Info, err error) {
	err = st.observe(ctx, "user_sessions", "", func(ctx context.Context) error {
		infos, err = st.inner.UserSessions(ctx, user)
		return err
	})
	return infos, err
}

func (st *userStore) RemoveUserSessions(ctx context.Context, user string, except ...string) (n int, err error) {
	err = st.observe(ctx, "remove_user_sessions", "", func(ctx context.Context) error {
		n, err = st.inner.RemoveUserSessions(ctx, user, except...)
		return err
	})
	return n, err
}

// A deviceStore is a Store that wraps a [session.DeviceStore].
type deviceStore struct {
	*userStore

	inner session.DeviceStore
}

var _ session.DeviceStore = (*deviceStore)(nil)

func (st *deviceStore) Bind(ctx context.Context, carried string, p session.Proof) (session.Session, error) {
	return st.session(ctx, "bind", claimed(carried), func(ctx context.Context) (session.Session, error) {
		return st.inner.Bind(ctx, carried, p)
	})
}

func (st *deviceStore) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	return st.session(ctx, "prove", id, func(ctx context.Context) (session.Session, error) {
		return st.inner.Prove(ctx, id, p)
	})
}

// claimed returns the id in a token, or nothing if the token is malformed.
func claimed(carried string) string {
	id, _, _ := token.Parse(carried)
	return id
}

// unwrap finds a capability of a store.
func unwrap[C session.Store](st session.Store) (c C, ok bool) {
	for st != nil {
		if c, ok = st.(C); ok {
			return c, true
		}
		w, wraps := st.(interface{ Unwrap() session.Store })
		if !wraps {
			break
		}
		st = w.Unwrap()
	}
	return c, false
}
