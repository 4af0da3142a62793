package session_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/memory"
)

func TestReauthenticate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := spied()
		b := &browser{}
		b.visit(t, func(ctx *mist.Context) {
			if _, err := m.Reauthenticate(ctx, 0); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("nobody: got %v, want ErrNotFound", err)
			}
		})
		b.begin(t, m)
		anonymous := b.tab()
		b.visit(t, func(ctx *mist.Context) {
			if _, err := m.Reauthenticate(ctx, 2); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("anonymous: got %v, want ErrNotFound", err)
			}
		})
		anonymous.info(t, m)

		first := b.enter(t, m, session.Login{User: "ada", Level: 2, IdleTimeout: time.Hour, AbsoluteTimeout: 2 * time.Hour})
		time.Sleep(30 * time.Minute)
		for _, c := range []struct{ level, want session.Level }{{0, 2}, {1, 1}, {3, 3}, {0, 3}} {
			old := b.tab()
			b.visit(t, func(ctx *mist.Context) {
				info := describe(t)(m.Reauthenticate(ctx, c.level))
				if info.Level != c.want || info.User != "ada" || info.ID != first.ID {
					t.Errorf("level %d: got %+v, want ada's at level %d", c.level, info, c.want)
				}
				if !info.AuthenticatedAt.Equal(time.Now()) || !info.IdleDeadline.Equal(time.Now().Add(time.Hour)) ||
					!info.AbsoluteDeadline.Equal(time.Now().Add(2*time.Hour)) {
					t.Errorf("got %+v, want both timeouts of the login from now on", info)
				}
			})
			old.stranger(t, m)
			time.Sleep(time.Minute)
		}
	})
}

// The revocation comes while the password is being checked: behind the
// Middleware, and where the handler has asked for the session first.
func TestLoginBeganBeforeRevocation(t *testing.T) {
	for name, around := range map[string]func(*session.Manager) mist.Middleware{
		"middleware": (*session.Manager).Middleware,
		"GetSession first": func(m *session.Manager) mist.Middleware {
			return func(next mist.HandleFunc) mist.HandleFunc {
				return func(ctx *mist.Context) {
					_, _ = m.GetSession(ctx)
					next(ctx)
				}
			}
		},
		"Began": func(*session.Manager) mist.Middleware {
			return func(next mist.HandleFunc) mist.HandleFunc { return next }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, rec := spied()
				b := &browser{}
				info := b.begin(t, m)
				other := &browser{}
				other.enter(t, m, session.Login{User: "ada"})
				rec.take()
				header := b.visit(t, around(m)(func(ctx *mist.Context) {
					l := session.Login{User: "ada"}
					if name == "Began" {
						l.Began = time.Now()
					}
					time.Sleep(100 * time.Millisecond) // the password
					if n, err := m.RemoveUserSessions(t.Context(), "ada"); n != 1 || err != nil {
						t.Errorf("RemoveUserSessions: got %d, %v, want 1", n, err)
					}
					if _, err := m.LoginWith(ctx, l); !errors.Is(err, session.ErrRevoked) {
						t.Errorf("LoginWith: got %v, want ErrRevoked", err)
					}
				}))
				if got, want := rec.take(), "extract Open Login"; got != want {
					t.Errorf("got calls %q, want %q", got, want)
				}
				if list := must(t)(m.UserSessions(t.Context(), "ada")); len(list) != 0 {
					t.Errorf("got %d new sessions, want none", len(list))
				}
				if len(setCookies(header)) != 0 || b.info(t, m) != info {
					t.Error("the client is not who it was")
				}
				other.stranger(t, m)
				time.Sleep(time.Millisecond)
				b.enter(t, m, session.Login{User: "ada"})
			})
		})
	}
}

func TestMaxUserSessions(t *testing.T) {
	m, _ := spied()
	m.MaxUserSessions = 2
	all := []*browser{{}, {}, {}}
	all[0].enter(t, m, session.Login{User: "ada"})
	all[1].enter(t, m, session.Login{User: "ada"})
	all[2].visit(t, func(ctx *mist.Context) {
		if _, err := m.Login(ctx, "ada"); !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("got %v, want ErrUserLimit", err)
		}
	})
	all[2].stranger(t, m)
	all[0].visit(t, func(ctx *mist.Context) { // not one more
		if _, err := m.Reauthenticate(ctx, 0); err != nil {
			t.Errorf("Reauthenticate: %v", err)
		}
	})
	m = &session.Manager{Store: m.Store, Propagator: m.Propagator, MaxUserSessions: 2, EndOldest: true}
	all[2].enter(t, m, session.Login{User: "ada"})
	list, err := m.UserSessions(t.Context(), "ada")
	if err != nil || len(list) != 2 {
		t.Errorf("got %d sessions, %v, want 2", len(list), err)
	}
	all[2].info(t, m)
}

func TestUser(t *testing.T) {
	m, r := spied()
	user := func(m *session.Manager, b *browser) (name string, err error) {
		b.visit(t, func(ctx *mist.Context) { name, err = m.User(ctx) })
		return name, err
	}
	begins := func(m *session.Manager) *browser {
		b := &browser{}
		b.visit(t, func(ctx *mist.Context) {
			if _, err := m.InitSession(ctx); err != nil {
				t.Fatal(err)
			}
		})
		return b
	}
	ada := &browser{}
	ada.enter(t, m, session.Login{User: "ada"})
	if name, err := user(m, ada); name != "ada" || err != nil {
		t.Errorf("got %q, %v, want ada", name, err)
	}
	for what, b := range map[string]*browser{"nobody": {}, "an anonymous session": begins(m)} {
		if name, err := user(m, b); name != "" || !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %q, %v, want ErrNotFound", what, name, err)
		}
	}
	plain, _ := spiedPlain()
	if name, err := user(plain, begins(plain)); name != "" || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a plain store: got %q, %v, want ErrUnsupported", name, err)
	}
	down := errors.New("down")
	r.fail(fault{op: "Open", err: down})
	if name, err := user(m, ada); name != "" || !errors.Is(err, down) {
		t.Errorf("a store that fails: got %q, %v, want its error", name, err)
	}
	if _, err := m.User(nil); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("no context: got %v, want an error of its own", err)
	}
}

func TestUserSessions(t *testing.T) {
	m, _ := spied()
	mine, phone, bob := &browser{}, &browser{}, &browser{}
	here := mine.enter(t, m, session.Login{User: "ada"})
	there := phone.enter(t, m, session.Login{User: "ada"})
	his := bob.enter(t, m, session.Login{User: "bob"})

	mine.visit(t, m.Middleware()(func(ctx *mist.Context) {
		if _, err := m.GetSession(ctx); err != nil {
			t.Fatal(err)
		}
		for _, list := range [][]session.Info{must(t)(m.UserSessions(ctx, "ada")), must(t)(m.UserSessions(ctx.Request.Context(), "ada"))} {
			if len(list) != 2 {
				t.Fatalf("got %d sessions, want 2", len(list))
			}
			for _, info := range list {
				if info.Current != (info.ID == here.ID) {
					t.Errorf("Current is %t for the session of this request: %t", info.Current, info.ID == here.ID)
				}
			}
		}
		for _, id := range []string{his.ID, "unknown", "", "*"} {
			if err := m.RemoveUserSession(ctx, "ada", id); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("RemoveUserSession of what is not ada's: got %v, want ErrNotFound", err)
			}
		}
		if err := m.RemoveUserSession(ctx, "ada", there.ID); err != nil {
			t.Errorf("RemoveUserSession: %v", err)
		}
	}))
	phone.stranger(t, m)
	if got := bob.info(t, m).User; got != "bob" {
		t.Errorf("got %q, want bob", got)
	}
	for _, user := range []string{"", strings.Repeat("x", 257)} {
		if err := m.RemoveUserSession(t.Context(), user, here.ID); !errors.Is(err, session.ErrInvalidUser) {
			t.Errorf("RemoveUserSession: got %v, want ErrInvalidUser", err)
		}
	}
	if n, err := m.RemoveUserSessions(t.Context(), "ada", here.ID); n != 0 || err != nil {
		t.Errorf("RemoveUserSessions but this one: got %d, %v, want 0", n, err)
	}
	if n, err := m.RemoveUserSessions(t.Context(), "ada"); n != 1 || err != nil {
		t.Errorf("RemoveUserSessions: got %d, %v, want 1", n, err)
	}
	mine.stranger(t, m)
}

func must(t *testing.T) func([]session.Info, error) []session.Info {
	t.Helper()
	return func(list []session.Info, err error) []session.Info {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
}

func TestUserSessionsMisused(t *testing.T) {
	var none *session.Manager
	plain, _ := spiedPlain()
	m, _ := spied()
	calls := map[string]func(m *session.Manager, ctx *mist.Context) error{
		"UserSessions": func(m *session.Manager, ctx *mist.Context) error { _, err := m.UserSessions(ctx, "ada"); return err },
		"RemoveUserSessions": func(m *session.Manager, ctx *mist.Context) error {
			_, err := m.RemoveUserSessions(ctx, "ada")
			return err
		},
		"RemoveUserSession": func(m *session.Manager, ctx *mist.Context) error { return m.RemoveUserSession(ctx, "ada", "x") },
	}
	for name, call := range calls {
		good := &mist.Context{Request: (&browser{}).request(t.Context())}
		for what, err := range map[string]error{
			"nil Manager":         call(none, good),
			"zero Manager":        call(&session.Manager{}, good),
			"nil context":         call(m, nil),
			"context of no quest": call(m, &mist.Context{}),
		} {
			if err == nil || errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s, %s: got %v, want an error of its own", name, what, err)
			}
		}
		if err := call(plain, good); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s, plain store: got %v, want ErrUnsupported", name, err)
		}
	}
	if _, err := m.UserSessions(nil, "ada"); err == nil { //nolint:staticcheck // what somebody may do
		t.Error("UserSessions with no context: got nil, want an error")
	}
}

// R16: Max-Age is what is left of the session's life, rounded up, in every
// response that sets the cookie.
func TestPersistentLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := spiedWith(&memory.Store{}, &cookie.Propagator{})
		m.RenewAfter = 24 * time.Hour
		maxAge := func(h http.Header) int {
			t.Helper()
			set := (&http.Response{Header: h}).Cookies()
			if len(set) != 1 {
				t.Fatalf("got %d cookies, want 1", len(set))
			}
			return set[0].MaxAge
		}
		b := &browser{}
		const day = 24 * 60 * 60
		remember := session.Login{User: "ada", IdleTimeout: 14 * day * time.Second, AbsoluteTimeout: 90 * day * time.Second, Persistent: true}
		login := b.visit(t, func(ctx *mist.Context) { describe(t)(m.LoginWith(ctx, remember)) })
		if got := maxAge(login); got != 90*day {
			t.Errorf("login: got Max-Age %d, want %d", got, 90*day)
		}
		time.Sleep(10*24*time.Hour - time.Nanosecond)
		refresh := b.visit(t, func(ctx *mist.Context) {
			if err := m.RefreshSession(ctx); err != nil { // and its token is old
				t.Error(err)
			}
		})
		if got := maxAge(refresh); got != 80*day+1 {
			t.Errorf("renewal: got Max-Age %d, want %d", got, 80*day+1)
		}
		again := b.visit(t, func(ctx *mist.Context) {
			if err := m.RefreshSession(ctx); err != nil { // and its token is new
				t.Error(err)
			}
		})
		if got := setCookies(again); len(got) != 0 {
			t.Errorf("refresh: got %d Set-Cookie, want none", len(got))
		}
		time.Sleep(13 * 24 * time.Hour)
		if info := b.info(t, m); !info.Persistent || info.User != "ada" {
			t.Errorf("got %+v, want ada remembered", info)
		}
		step := b.visit(t, func(ctx *mist.Context) { describe(t)(m.Reauthenticate(ctx, 0)) })
		if got := maxAge(step); got != 90*day {
			t.Errorf("Reauthenticate: got Max-Age %d, want %d", got, 90*day)
		}
		ordinary := b.visit(t, func(ctx *mist.Context) { describe(t)(m.Login(ctx, "ada")) })
		if got := maxAge(ordinary); got != 0 {
			t.Errorf("ordinary login: got Max-Age %d, want none", got)
		}
		time.Sleep(30 * time.Minute)
		b.stranger(t, m)

		longest := session.Login{User: "ada", AbsoluteTimeout: 400 * 24 * time.Hour, Persistent: true}
		if got := maxAge(b.visit(t, func(ctx *mist.Context) { describe(t)(m.LoginWith(ctx, longest)) })); got != 34_560_000 {
			t.Errorf("400 days: got Max-Age %d, want 34560000", got)
		}
	})
}

func TestPersistentLoginNeedsAKeeper(t *testing.T) {
	forgetful := struct{ session.Propagator }{&cookie.Propagator{}}
	m := &session.Manager{Store: &memory.Store{}, Propagator: forgetful}
	b := &browser{}
	b.visit(t, func(ctx *mist.Context) {
		if _, err := m.LoginWith(ctx, session.Login{User: "ada", Persistent: true}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v, want ErrUnsupported", err)
		}
	})
	if list := must(t)(m.UserSessions(t.Context(), "ada")); len(list) != 0 {
		t.Errorf("got %d sessions, want none that nobody can open", len(list))
	}
	for _, p := range []session.Propagator{&header.Propagator{}, session.Chain{&header.Propagator{}, &cookie.Propagator{}}} {
		m := &session.Manager{Store: &memory.Store{}, Propagator: p}
		b.visit(t, func(ctx *mist.Context) {
			describe(t)(m.LoginWith(ctx, session.Login{User: "ada", Persistent: true}))
			if !strings.HasPrefix(ctx.ResponseWriter.Header().Get("Authorization"), "Bearer ") {
				t.Error("no token in the header")
			}
		})
	}
}

func TestRenewAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, rec := spiedWith(&memory.Store{}, &cookie.Propagator{})
		m.RenewAfter = 15 * time.Minute
		b := &browser{}
		b.begin(t, m)
		refresh := func(b *browser) string {
			rec.take()
			b.visit(t, func(ctx *mist.Context) {
				if err := m.RefreshSession(ctx); err != nil {
					t.Errorf("RefreshSession: %v", err)
				}
			})
			return rec.take()
		}
		const (
			kept    = "extract Open Refresh"
			asked   = kept + " Open" // what the time is for the store
			renewed = asked + " Rotate inject"
		)
		time.Sleep(20 * time.Minute)
		if got := refresh(b); got != kept {
			t.Errorf("anonymous: got calls %q, want %q", got, kept)
		}
		login := b.enter(t, m, session.Login{User: "ada"})
		time.Sleep(15*time.Minute - 1)
		if got := refresh(b); got != asked {
			t.Errorf("a moment before: got calls %q, want %q", got, asked)
		}
		time.Sleep(time.Nanosecond)
		lost, late := b.tab(), b.tab()
		if got := refresh(lost); got != renewed {
			t.Errorf("then: got calls %q, want %q", got, renewed)
		}
		if got := refresh(b); got != asked { // the response was lost; the old token goes on
			t.Errorf("with the old token: got calls %q, want %q", got, asked)
		}
		if got := b.info(t, m); got.AuthenticatedAt != login.AuthenticatedAt || got.AbsoluteDeadline != login.AbsoluteDeadline {
			t.Errorf("got %+v, want what only a login moves as it was", got)
		}
		lost.info(t, m) // seen: the grace begins
		time.Sleep(30 * time.Second)
		late.stranger(t, m)
		// Too late for a header: the next request will do.
		time.Sleep(15 * time.Minute)
		rec.take()
		lost.visit(t, m.Middleware()(func(ctx *mist.Context) {
			ctx.ResponseWriter.WriteHeader(http.StatusOK)
			if err := m.RefreshSession(ctx); err != nil {
				t.Errorf("after the header: %v", err)
			}
		}))
		if got := rec.take(); got != kept {
			t.Errorf("after the header: got calls %q, want %q", got, kept)
		}
		if got := refresh(lost); got != renewed {
			t.Errorf("the next request: got calls %q, want %q", got, renewed)
		}
	})
}

func TestManagerFieldsForUsers(t *testing.T) {
	for _, m := range []*session.Manager{{RenewAfter: -1}, {MaxUserSessions: -1}} {
		m.Store, m.Propagator = &memory.Store{}, &cookie.Propagator{}
		if err := m.Check(); err == nil || !slices.ContainsFunc([]string{"RenewAfter", "MaxUserSessions"}, func(field string) bool {
			return strings.Contains(err.Error(), field)
		}) {
			t.Errorf("got %v, want an error that names the field", err)
		}
	}
}
