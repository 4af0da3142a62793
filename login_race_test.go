package session_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// The session ends, or becomes somebody's, between its loading and the login.
func TestLoginOfASessionThatEnded(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, m *session.Manager, b *browser, id string){
		"removed": func(t *testing.T, m *session.Manager, _ *browser, id string) {
			t.Helper()
			if err := m.Store.Remove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		},
		"logged in by another request": func(t *testing.T, m *session.Manager, b *browser, _ string) {
			t.Helper()
			b.tab().enter(t, m, session.Login{User: "bob"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := spied()
			b := &browser{}
			id := b.begin(t, m).ID
			b.visit(t, func(ctx *mist.Context) {
				if _, err := m.GetSession(ctx); err != nil {
					t.Fatal(err)
				}
				end(t, m, b, id)
				if info := describe(t)(m.Login(ctx, "ada")); info.User != "ada" || info.ID == id {
					t.Errorf("got %+v, want a new session of ada's", info)
				}
			})
			if got := b.info(t, m); got.User != "ada" || b.cart(t, m) != nil {
				t.Errorf("got %+v, want ada's, without values", got)
			}
		})
		t.Run("Reauthenticate "+name, func(t *testing.T) {
			m, rec := spied()
			b := &browser{}
			id := b.enter(t, m, session.Login{User: "ada"}).ID
			b.visit(t, func(ctx *mist.Context) {
				if _, err := m.GetSession(ctx); err != nil {
					t.Fatal(err)
				}
				end(t, m, b, id)
				rec.take()
				if _, err := m.Reauthenticate(ctx, 0); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("got %v, want ErrNotFound", err)
				}
				if got, want := rec.take(), "Login"; got != want { // from the old token, and none from nothing
					t.Errorf("got calls %q, want %q", got, want)
				}
			})
		})
	}
}

// Who is second of two logins at once ends nothing that the first was given.
func TestLoginTwiceAtOnce(t *testing.T) {
	m, _ := spied()
	b := &browser{}
	b.begin(t, m)
	first, second := b.tab(), b.tab()
	second.visit(t, func(ctx *mist.Context) {
		if _, err := m.GetSession(ctx); err != nil {
			t.Fatal(err)
		}
		first.enter(t, m, session.Login{User: "ada"})
		describe(t)(m.Login(ctx, "ada"))
	})
	for _, b := range []*browser{first, second} {
		if got := b.info(t, m).User; got != "ada" {
			t.Errorf("got user %q, want ada", got)
		}
	}
	if got := first.cart(t, m); got != "apples" {
		t.Errorf("got cart %v, want apples", got)
	}
}

// A login that is refused leaves nothing behind.
func TestLoginRefusedLeavesNothing(t *testing.T) {
	m, rec := spied()
	m.MaxUserSessions = 1
	(&browser{}).enter(t, m, session.Login{User: "ada"})
	m = &session.Manager{Store: m.Store, Propagator: m.Propagator, MaxUserSessions: 1, NewID: func() string { return "known" }}
	rec.take()
	(&browser{}).visit(t, func(ctx *mist.Context) {
		if _, err := m.Login(ctx, "ada"); !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("got %v, want ErrUserLimit", err)
		}
	})
	if got, want := rec.take(), "extract Login"; got != want {
		t.Errorf("got calls %q, want %q", got, want)
	}
	if _, err := m.Store.Get(t.Context(), "known"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the new session: got %v, want ErrNotFound", err)
	}
}

// Whoever has more sessions than are allowed now can still prove who they are.
func TestReauthenticateOverTheLimit(t *testing.T) {
	m, _ := spied()
	b := &browser{}
	for range 3 {
		b = &browser{}
		b.enter(t, m, session.Login{User: "ada"})
	}
	m = &session.Manager{Store: m.Store, Propagator: m.Propagator, MaxUserSessions: 1}
	b.visit(t, func(ctx *mist.Context) { describe(t)(m.Reauthenticate(ctx, 0)) })
}

// A session that the application put there is not the client's: a login neither
// takes it nor ends it.
func TestLoginBesideASessionPutByHand(t *testing.T) {
	m, _ := spied()
	b := &browser{}
	id := b.enter(t, m, session.Login{User: "bob"}).ID
	by, err := m.Store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	other := &browser{}
	other.visit(t, func(ctx *mist.Context) {
		ctx.UserValues = map[string]any{"session": by}
		if info := describe(t)(m.Login(ctx, "ada")); info.User != "ada" || info.ID == id {
			t.Errorf("got %+v, want a new session of ada's", info)
		}
	})
	if got := b.info(t, m); got.User != "bob" {
		t.Errorf("got %+v, want bob's session as it was", got)
	}
}

// Current is of the manager that is asked.
func TestUserSessionsOfTwoManagers(t *testing.T) {
	store := &memory.Store{}
	first := &session.Manager{Store: store, Propagator: &cookie.Propagator{}}
	second := &session.Manager{Store: store, Propagator: &cookie.Propagator{Name: "__Host-other"}, CtxSessionKey: "other"}
	b := &browser{}
	b.enter(t, first, session.Login{User: "ada"})
	b.enter(t, second, session.Login{User: "ada"})
	b.visit(t, first.Middleware()(second.Middleware()(func(ctx *mist.Context) {
		here := describe(t)(second.GetSession(ctx)).ID
		for _, info := range must(t)(second.UserSessions(ctx.Request.Context(), "ada")) {
			if info.Current != (info.ID == here) {
				t.Error("Current is wrong for the manager of the context")
			}
		}
		for _, info := range must(t)(first.UserSessions(ctx.Request.Context(), "ada")) {
			if info.Current {
				t.Error("Current is of another manager's session")
			}
		}
	})))
}

// Handlers, and so clients, are not told why there is no session.
func TestReasonsAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := spied()
		b, idle, absolute := &browser{}, &browser{}, &browser{}
		b.enter(t, m, session.Login{User: "ada", IdleTimeout: 24 * time.Hour, AbsoluteTimeout: 24 * time.Hour})
		idle.enter(t, m, session.Login{User: "ada"})
		absolute.enter(t, m, session.Login{User: "ada", AbsoluteTimeout: time.Minute})
		old := b.tab()
		b.rotate(t, m)
		b.info(t, m)
		time.Sleep(time.Hour)
		for _, v := range []*browser{old, idle, absolute} {
			v.visit(t, func(ctx *mist.Context) {
				if _, err := m.GetSession(ctx); err != session.ErrNotFound { //nolint:errorlint // this very one
					t.Errorf("got %v, want ErrNotFound itself", err)
				}
			})
		}
	})
	if text := session.ErrReused.Error(); text != session.ErrNotFound.Error() || strings.Contains(text, "old") {
		t.Errorf("got text %q, want that of ErrNotFound", text)
	}
}
