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

// A Store is another store whose calls, and those of its sessions, are spans and
// durations. It has the capabilities of the store behind it, answers as that one
// does, and is safe for concurrent use. Fields must not change after the first
// use.
type Store struct {
	Store session.Store // the store behind it

	// TracerProvider and MeterProvider are who records. Nil: the global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	once     sync.Once
	tracer   trace.Tracer
	duration metric.Float64Histogram
	able     session.Store // what Unwrap returns
	handles  bool          // ids are public
}

var _ session.Store = (*Store)(nil)

// Generate is the store's; so are the other methods.
func (st *Store) Generate(ctx context.Context, id string) (session.Session, error) {
	return st.session(ctx, "generate", id, func(ctx context.Context) (session.Session, error) {
		return st.Store.Generate(ctx, id)
	})
}

// Get is the store's.
func (st *Store) Get(ctx context.Context, id string) (session.Session, error) {
	return st.session(ctx, "get", id, func(ctx context.Context) (session.Session, error) {
		return st.Store.Get(ctx, id)
	})
}

// Refresh is the store's.
func (st *Store) Refresh(ctx context.Context, id string) error {
	return st.observe(ctx, "refresh", id, func(ctx context.Context) error { return st.Store.Refresh(ctx, id) })
}

// Remove is the store's.
func (st *Store) Remove(ctx context.Context, id string) error {
	return st.observe(ctx, "remove", id, func(ctx context.Context) error { return st.Store.Remove(ctx, id) })
}

// Unwrap leads to the capabilities of the store behind it, recorded as the rest
// is. A wrapper that had their methods itself would claim them for stores that
// have none.
func (st *Store) Unwrap() session.Store {
	st.once.Do(st.start)
	return st.able
}

// session makes a call that returns a session, which is recorded from then on.
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

// A tokens is a Store over one that issues tokens.
type tokens struct {
	*Store

	inner session.TokenStore
}

var _ session.TokenStore = (*tokens)(nil)

func (st *tokens) Open(ctx context.Context, carried string) (session.Session, error) {
	return st.session(ctx, "open", claimed(carried), func(ctx context.Context) (session.Session, error) {
		return st.inner.Open(ctx, carried)
	})
}

func (st *tokens) Rotate(ctx context.Context, carried string, grace time.Duration) (session.Session, error) {
	return st.session(ctx, "rotate", claimed(carried), func(ctx context.Context) (session.Session, error) {
		return st.inner.Rotate(ctx, carried, grace)
	})
}

func (st *tokens) Unwrap() session.Store { return st.Store.Store }

// A users is a Store over one that knows users.
type users struct {
	*tokens

	inner session.UserStore
}

var _ session.UserStore = (*users)(nil)

func (st *users) Login(ctx context.Context, carried string, l session.Login) (session.Session, error) {
	return st.session(ctx, "login", claimed(carried), func(ctx context.Context) (session.Session, error) {
		return st.inner.Login(ctx, carried, l)
	})
}

func (st *users) UserSessions(ctx context.Context, user string) (infos []session.Info, err error) {
	err = st.observe(ctx, "user_sessions", "", func(ctx context.Context) error {
		infos, err = st.inner.UserSessions(ctx, user)
		return err
	})
	return infos, err
}

func (st *users) RemoveUserSessions(ctx context.Context, user string, except ...string) (n int, err error) {
	err = st.observe(ctx, "remove_user_sessions", "", func(ctx context.Context) error {
		n, err = st.inner.RemoveUserSessions(ctx, user, except...)
		return err
	})
	return n, err
}

// A devices is a Store over one that binds sessions to devices.
type devices struct {
	*users

	inner session.DeviceStore
}

var _ session.DeviceStore = (*devices)(nil)

func (st *devices) Bind(ctx context.Context, carried string, p session.Proof) (session.Session, error) {
	return st.session(ctx, "bind", claimed(carried), func(ctx context.Context) (session.Session, error) {
		return st.inner.Bind(ctx, carried, p)
	})
}

func (st *devices) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	return st.session(ctx, "prove", id, func(ctx context.Context) (session.Session, error) {
		return st.inner.Prove(ctx, id, p)
	})
}

// claimed is the public half of a token; nothing of what is none.
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
