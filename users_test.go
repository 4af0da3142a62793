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
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

func TestReauthenticate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := webtest.Spied()
		b := &webtest.Browser{}
		b.Visit(t, func(ctx *mist.Context) {
			if _, err := m.Reauthenticate(ctx, 0); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("nobody: got %v, want ErrNotFound", err)
			}
		})
		b.Begin(t, m)
		anonymous := b.Tab()
		b.Visit(t, func(ctx *mist.Context) {
			if _, err := m.Reauthenticate(ctx, 2); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("anonymous: got %v, want ErrNotFound", err)
			}
		})
		anonymous.Describe(t, m)

		first := b.Enter(t, m, session.Login{User: "ada", Level: 2, IdleTimeout: time.Hour, AbsoluteTimeout: 2 * time.Hour})
		time.Sleep(30 * time.Minute)
		for _, c := range []struct{ level, want session.Level }{{0, 2}, {1, 1}, {3, 3}, {0, 3}} {
			old := b.Tab()
			b.Visit(t, func(ctx *mist.Context) {
				info := webtest.Describe(t)(m.Reauthenticate(ctx, c.level))
				if info.Level != c.want || info.User != "ada" || info.ID != first.ID {
					t.Errorf("level %d: got %+v, want ada's at level %d", c.level, info, c.want)
				}
				if !info.AuthenticatedAt.Equal(time.Now()) || !info.IdleDeadline.Equal(time.Now().Add(time.Hour)) ||
					!info.AbsoluteDeadline.Equal(time.Now().Add(2*time.Hour)) {
					t.Errorf("got %+v, want both timeouts of the login from now on", info)
				}
			})
			old.IsNobody(t, m)
			time.Sleep(time.Minute)
		}
	})
}

// The revocation comes during the check of the password. The login is behind the
// Middleware, or the handler has called GetSession before.
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
				m, rec := webtest.Spied()
				b := &webtest.Browser{}
				info := b.Begin(t, m)
				other := &webtest.Browser{}
				other.Enter(t, m, session.Login{User: "ada"})
				rec.Take()
				header := b.Visit(t, around(m)(func(ctx *mist.Context) {
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
				if got, want := rec.Take(), "extract Open Login"; got != want {
					t.Errorf("got calls %q, want %q", got, want)
				}
				if list := must(t)(m.UserSessions(t.Context(), "ada")); len(list) != 0 {
					t.Errorf("got %d new sessions, want none", len(list))
				}
				if len(webtest.SetCookies(header)) != 0 || b.Describe(t, m) != info {
					t.Error("the client is not who it was")
				}
				other.IsNobody(t, m)
				time.Sleep(time.Millisecond)
				b.Enter(t, m, session.Login{User: "ada"})
			})
		})
	}
}

func TestMaxUserSessions(t *testing.T) {
	m, _ := webtest.Spied()
	m.MaxUserSessions = 2
	all := []*webtest.Browser{{}, {}, {}}
	all[0].Enter(t, m, session.Login{User: "ada"})
	all[1].Enter(t, m, session.Login{User: "ada"})
	all[2].Visit(t, func(ctx *mist.Context) {
		if _, err := m.Login(ctx, "ada"); !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("got %v, want ErrUserLimit", err)
		}
	})
	all[2].IsNobody(t, m)
	all[0].Visit(t, func(ctx *mist.Context) { // not one more
		if _, err := m.Reauthenticate(ctx, 0); err != nil {
			t.Errorf("Reauthenticate: %v", err)
		}
	})
	m = &session.Manager{Store: m.Store, Propagator: m.Propagator, MaxUserSessions: 2, EndOldest: true}
	all[2].Enter(t, m, session.Login{User: "ada"})
	list, err := m.UserSessions(t.Context(), "ada")
	if err != nil || len(list) != 2 {
		t.Errorf("got %d sessions, %v, want 2", len(list), err)
	}
	all[2].Describe(t, m)
}

func TestUser(t *testing.T) {
	m, r := webtest.Spied()
	user := func(m *session.Manager, b *webtest.Browser) (name string, err error) {
		b.Visit(t, func(ctx *mist.Context) { name, err = m.User(ctx) })
		return name, err
	}
	begins := func(m *session.Manager) *webtest.Browser {
		b := &webtest.Browser{}
		b.Visit(t, func(ctx *mist.Context) {
			if _, err := m.InitSession(ctx); err != nil {
				t.Fatal(err)
			}
		})
		return b
	}
	ada := &webtest.Browser{}
	ada.Enter(t, m, session.Login{User: "ada"})
	if name, err := user(m, ada); name != "ada" || err != nil {
		t.Errorf("got %q, %v, want ada", name, err)
	}
	for what, b := range map[string]*webtest.Browser{"nobody": {}, "an anonymous session": begins(m)} {
		if name, err := user(m, b); name != "" || !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %q, %v, want ErrNotFound", what, name, err)
		}
	}
	plain, _ := webtest.SpiedPlain()
	if name, err := user(plain, begins(plain)); name != "" || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a plain store: got %q, %v, want ErrUnsupported", name, err)
	}
	down := errors.New("down")
	r.Fail(webtest.Fault{Op: "Open", Err: down})
	if name, err := user(m, ada); name != "" || !errors.Is(err, down) {
		t.Errorf("a store that fails: got %q, %v, want its error", name, err)
	}
	if _, err := m.User(nil); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("no context: got %v, want an error of its own", err)
	}
}

func TestUserSessions(t *testing.T) {
	m, _ := webtest.Spied()
	mine, phone, bob := &webtest.Browser{}, &webtest.Browser{}, &webtest.Browser{}
	here := mine.Enter(t, m, session.Login{User: "ada"})
	there := phone.Enter(t, m, session.Login{User: "ada"})
	his := bob.Enter(t, m, session.Login{User: "bob"})

	mine.Visit(t, m.Middleware()(func(ctx *mist.Context) {
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
	phone.IsNobody(t, m)
	if got := bob.Describe(t, m).User; got != "bob" {
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
	mine.IsNobody(t, m)
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
	plain, _ := webtest.SpiedPlain()
	m, _ := webtest.Spied()
	calls := map[string]func(m *session.Manager, ctx *mist.Context) error{
		"UserSessions": func(m *session.Manager, ctx *mist.Context) error { _, err := m.UserSessions(ctx, "ada"); return err },
		"RemoveUserSessions": func(m *session.Manager, ctx *mist.Context) error {
			_, err := m.RemoveUserSessions(ctx, "ada")
			return err
		},
		"RemoveUserSession": func(m *session.Manager, ctx *mist.Context) error { return m.RemoveUserSession(ctx, "ada", "x") },
	}
	for name, call := range calls {
		good := &mist.Context{Request: (&webtest.Browser{}).Request(t.Context())}
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

// R16: Max-Age is the rest of the session's life, rounded up, in every response that
// sets the cookie.
func TestPersistentLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{})
		m.RenewAfter = 24 * time.Hour
		maxAge := func(h http.Header) int {
			t.Helper()
			set := (&http.Response{Header: h}).Cookies()
			if len(set) != 1 {
				t.Fatalf("got %d cookies, want 1", len(set))
			}
			return set[0].MaxAge
		}
		b := &webtest.Browser{}
		const day = 24 * 60 * 60
		remember := session.Login{User: "ada", IdleTimeout: 14 * day * time.Second, AbsoluteTimeout: 90 * day * time.Second, Persistent: true}
		login := b.Visit(t, func(ctx *mist.Context) { webtest.Describe(t)(m.LoginWith(ctx, remember)) })
		if got := maxAge(login); got != 90*day {
			t.Errorf("login: got Max-Age %d, want %d", got, 90*day)
		}
		time.Sleep(10*24*time.Hour - time.Nanosecond)
		refresh := b.Visit(t, func(ctx *mist.Context) {
			if err := m.RefreshSession(ctx); err != nil { // and its token is old
				t.Error(err)
			}
		})
		if got := maxAge(refresh); got != 80*day+1 {
			t.Errorf("renewal: got Max-Age %d, want %d", got, 80*day+1)
		}
		again := b.Visit(t, func(ctx *mist.Context) {
			if err := m.RefreshSession(ctx); err != nil { // and its token is new
				t.Error(err)
			}
		})
		if got := webtest.SetCookies(again); len(got) != 0 {
			t.Errorf("refresh: got %d Set-Cookie, want none", len(got))
		}
		time.Sleep(13 * 24 * time.Hour)
		if info := b.Describe(t, m); !info.Persistent || info.User != "ada" {
			t.Errorf("got %+v, want ada remembered", info)
		}
		step := b.Visit(t, func(ctx *mist.Context) { webtest.Describe(t)(m.Reauthenticate(ctx, 0)) })
		if got := maxAge(step); got != 90*day {
			t.Errorf("Reauthenticate: got Max-Age %d, want %d", got, 90*day)
		}
		ordinary := b.Visit(t, func(ctx *mist.Context) { webtest.Describe(t)(m.Login(ctx, "ada")) })
		if got := maxAge(ordinary); got != 0 {
			t.Errorf("ordinary login: got Max-Age %d, want none", got)
		}
		time.Sleep(30 * time.Minute)
		b.IsNobody(t, m)

		longest := session.Login{User: "ada", AbsoluteTimeout: 400 * 24 * time.Hour, Persistent: true}
		if got := maxAge(b.Visit(t, func(ctx *mist.Context) { webtest.Describe(t)(m.LoginWith(ctx, longest)) })); got != 34_560_000 {
			t.Errorf("400 days: got Max-Age %d, want 34560000", got)
		}
	})
}

func TestPersistentLoginNeedsAKeeper(t *testing.T) {
	forgetful := struct{ session.Propagator }{&cookie.Propagator{}}
	m := &session.Manager{Store: &memory.Store{}, Propagator: forgetful}
	b := &webtest.Browser{}
	b.Visit(t, func(ctx *mist.Context) {
		if _, err := m.LoginWith(ctx, session.Login{User: "ada", Persistent: true}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("got %v, want ErrUnsupported", err)
		}
	})
	if list := must(t)(m.UserSessions(t.Context(), "ada")); len(list) != 0 {
		t.Errorf("got %d sessions, want none that nobody can open", len(list))
	}
	for _, p := range []session.Propagator{&header.Propagator{}, session.Chain{&header.Propagator{}, &cookie.Propagator{}}} {
		m := &session.Manager{Store: &memory.Store{}, Propagator: p}
		b.Visit(t, func(ctx *mist.Context) {
			webtest.Describe(t)(m.LoginWith(ctx, session.Login{User: "ada", Persistent: true}))
			if !strings.HasPrefix(ctx.ResponseWriter.Header().Get("Authorization"), "Bearer ") {
				t.Error("no token in the header")
			}
		})
	}
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
