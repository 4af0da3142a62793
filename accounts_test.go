package session_test

import (
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// accounts returns a manager that can log users in.
func accounts() *session.Manager {
	return &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
}

// loaded returns the session of a request.
func loaded(t *testing.T, m *session.Manager, ctx *mist.Context) session.Session {
	t.Helper()
	s, err := m.GetSession(ctx)
	if err != nil {
		t.Fatalf("GetSession: %v", err)
	}
	return s
}

// does visits a handler that must succeed.
func (b *browser) does(t *testing.T, handler func(ctx *mist.Context) error) {
	t.Helper()
	b.visit(t, func(ctx *mist.Context) {
		if err := handler(ctx); err != nil {
			t.Errorf("got %v", err)
		}
	})
}

// as is a handler that logs a user in.
func as(m *session.Manager, user string) func(ctx *mist.Context) error {
	return func(ctx *mist.Context) error {
		_, err := m.Login(ctx, user)
		return err
	}
}

// again is a handler that authenticates the user of the session again.
func again(m *session.Manager) func(ctx *mist.Context) error {
	return func(ctx *mist.Context) error {
		_, err := m.Reauthenticate(ctx, 0)
		return err
	}
}

// describe returns what a request sees of its session.
func (b *browser) describe(t *testing.T, m *session.Manager) (info session.Info) {
	t.Helper()
	b.does(t, func(ctx *mist.Context) (err error) {
		info, err = session.Describe(loaded(t, m, ctx))
		return err
	})
	return info
}
