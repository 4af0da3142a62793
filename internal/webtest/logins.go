package webtest

import (
	"errors"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// NewManager returns a manager with a memory store and a cookie.
func NewManager() *session.Manager {
	return &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
}

// Loaded returns the session of a request.
func Loaded(t *testing.T, m *session.Manager, ctx *mist.Context) session.Session {
	t.Helper()
	s, err := m.GetSession(ctx)
	if err != nil {
		t.Fatalf("GetSession: %v", err)
	}
	return s
}

// Do visits a handler that must return nil.
func (b *Browser) Do(t *testing.T, handler func(ctx *mist.Context) error) {
	t.Helper()
	b.Visit(t, func(ctx *mist.Context) {
		if err := handler(ctx); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// LogIn is a handler that logs a user in.
func LogIn(m *session.Manager, user string) func(ctx *mist.Context) error {
	return func(ctx *mist.Context) error {
		_, err := m.Login(ctx, user)
		return err
	}
}

// Reauthenticate is a handler that authenticates the user of the session again.
func Reauthenticate(m *session.Manager) func(ctx *mist.Context) error {
	return func(ctx *mist.Context) error {
		_, err := m.Reauthenticate(ctx, 0)
		return err
	}
}

// Describe returns the Info of the browser's session.
func (b *Browser) Describe(t *testing.T, m *session.Manager) (info session.Info) {
	t.Helper()
	b.Do(t, func(ctx *mist.Context) (err error) {
		info, err = session.Describe(Loaded(t, m, ctx))
		return err
	})
	return info
}

// Enter logs a user in and returns the Info of the session.
func (b *Browser) Enter(t *testing.T, m *session.Manager, l session.Login) session.Info {
	t.Helper()
	var info session.Info
	b.Visit(t, func(ctx *mist.Context) { info = Describe(t)(m.LoginWith(ctx, l)) })
	return info
}

// Describe returns a function that returns the Info of a session. An error ends the test.
func Describe(t *testing.T) func(s session.Session, err error) session.Info {
	t.Helper()
	return func(s session.Session, err error) session.Info {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		info, err := session.Describe(s)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
}

// IsNobody fails the test if the browser has a session.
func (b *Browser) IsNobody(t *testing.T, m *session.Manager) {
	t.Helper()
	b.Visit(t, func(ctx *mist.Context) {
		if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("GetSession: got %v, want ErrNotFound", err)
		}
	})
}

// Begin gives a browser an anonymous session with a value.
func (b *Browser) Begin(t *testing.T, m *session.Manager) session.Info {
	t.Helper()
	var info session.Info
	b.Visit(t, func(ctx *mist.Context) {
		s, err := m.InitSession(ctx)
		info = Describe(t)(s, err)
		if err := s.Set(ctx.Request.Context(), "cart", "apples"); err != nil {
			t.Fatal(err)
		}
	})
	return info
}

// Cart returns the value that Begin stored.
func (b *Browser) Cart(t *testing.T, m *session.Manager) (v any) {
	t.Helper()
	b.Visit(t, func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if err == nil {
			v, err = s.Get(ctx.Request.Context(), "cart")
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return v
}

// Set stores a value in the browser's session.
func (b *Browser) Set(t *testing.T, m *session.Manager, key string, value any) {
	t.Helper()
	b.Do(t, func(ctx *mist.Context) error { return Loaded(t, m, ctx).Set(ctx.Request.Context(), key, value) })
}

// SignIn logs a user in.
func (b *Browser) SignIn(t *testing.T, m *session.Manager, user string) {
	t.Helper()
	b.Do(t, LogIn(m, user))
}
