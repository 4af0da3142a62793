package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// Between the load of the session and the login, the session ends or another request
// logs in with it.
func TestLoginOfASessionThatEnded(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, m *session.Manager, b *webtest.Browser, id string){
		"removed": func(t *testing.T, m *session.Manager, _ *webtest.Browser, id string) {
			t.Helper()
			if err := m.Store.Remove(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		},
		"logged in by another request": func(t *testing.T, m *session.Manager, b *webtest.Browser, _ string) {
			t.Helper()
			b.Tab().Enter(t, m, session.Login{User: "bob"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := webtest.Spied()
			b := &webtest.Browser{}
			id := b.Begin(t, m).ID
			b.Visit(t, func(ctx *mist.Context) {
				if _, err := m.GetSession(ctx); err != nil {
					t.Fatal(err)
				}
				end(t, m, b, id)
				if info := webtest.Describe(t)(m.Login(ctx, "ada")); info.User != "ada" || info.ID == id {
					t.Errorf("got %+v, want a new session of ada's", info)
				}
			})
			if got := b.Describe(t, m); got.User != "ada" || b.Cart(t, m) != nil {
				t.Errorf("got %+v, want ada's, without values", got)
			}
		})
		t.Run("Reauthenticate "+name, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			id := b.Enter(t, m, session.Login{User: "ada"}).ID
			b.Visit(t, func(ctx *mist.Context) {
				if _, err := m.GetSession(ctx); err != nil {
					t.Fatal(err)
				}
				end(t, m, b, id)
				rec.Take()
				if _, err := m.Reauthenticate(ctx, 0); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("got %v, want ErrNotFound", err)
				}
				if got, want := rec.Take(), "Login"; got != want { // from the old token, and none from nothing
					t.Errorf("got calls %q, want %q", got, want)
				}
			})
		})
	}
}

// The second of two concurrent logins does not end the session of the first.
func TestLoginTwiceAtOnce(t *testing.T) {
	m, _ := webtest.Spied()
	b := &webtest.Browser{}
	b.Begin(t, m)
	first, second := b.Tab(), b.Tab()
	second.Visit(t, func(ctx *mist.Context) {
		if _, err := m.GetSession(ctx); err != nil {
			t.Fatal(err)
		}
		first.Enter(t, m, session.Login{User: "ada"})
		webtest.Describe(t)(m.Login(ctx, "ada"))
	})
	for _, b := range []*webtest.Browser{first, second} {
		if got := b.Describe(t, m).User; got != "ada" {
			t.Errorf("got user %q, want ada", got)
		}
	}
	if got := first.Cart(t, m); got != "apples" {
		t.Errorf("got cart %v, want apples", got)
	}
}

// A refused login leaves nothing behind.
func TestLoginRefusedLeavesNothing(t *testing.T) {
	m, rec := webtest.Spied()
	m.MaxUserSessions = 1
	(&webtest.Browser{}).Enter(t, m, session.Login{User: "ada"})
	m = &session.Manager{Store: m.Store, Propagator: m.Propagator, MaxUserSessions: 1, NewID: func() string { return "known" }}
	rec.Take()
	(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
		if _, err := m.Login(ctx, "ada"); !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("got %v, want ErrUserLimit", err)
		}
	})
	if got, want := rec.Take(), "extract Login"; got != want {
		t.Errorf("got calls %q, want %q", got, want)
	}
	if _, err := m.Store.Get(t.Context(), "known"); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the new session: got %v, want ErrNotFound", err)
	}
}

// A user with more sessions than the limit can still reauthenticate.
func TestReauthenticateOverTheLimit(t *testing.T) {
	m, _ := webtest.Spied()
	b := &webtest.Browser{}
	for range 3 {
		b = &webtest.Browser{}
		b.Enter(t, m, session.Login{User: "ada"})
	}
	m = &session.Manager{Store: m.Store, Propagator: m.Propagator, MaxUserSessions: 1}
	b.Visit(t, func(ctx *mist.Context) { webtest.Describe(t)(m.Reauthenticate(ctx, 0)) })
}

// A session that the application put into the context is not the client's. A login
// neither continues nor ends it.
func TestLoginBesideASessionPutByHand(t *testing.T) {
	m, _ := webtest.Spied()
	b := &webtest.Browser{}
	id := b.Enter(t, m, session.Login{User: "bob"}).ID
	by, err := m.Store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	other := &webtest.Browser{}
	other.Visit(t, func(ctx *mist.Context) {
		ctx.UserValues = map[string]any{"session": by}
		if info := webtest.Describe(t)(m.Login(ctx, "ada")); info.User != "ada" || info.ID == id {
			t.Errorf("got %+v, want a new session of ada's", info)
		}
	})
	if got := b.Describe(t, m); got.User != "bob" {
		t.Errorf("got %+v, want bob's session as it was", got)
	}
}

// Current refers to the session of the Manager that lists.
func TestUserSessionsOfTwoManagers(t *testing.T) {
	store := &memory.Store{}
	first := &session.Manager{Store: store, Propagator: &cookie.Propagator{}}
	second := &session.Manager{Store: store, Propagator: &cookie.Propagator{Name: "__Host-other"}, CtxSessionKey: "other"}
	b := &webtest.Browser{}
	b.Enter(t, first, session.Login{User: "ada"})
	b.Enter(t, second, session.Login{User: "ada"})
	b.Visit(t, first.Middleware()(second.Middleware()(func(ctx *mist.Context) {
		here := webtest.Describe(t)(second.GetSession(ctx)).ID
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

// Handlers, and so clients, do not see why there is no session.
func TestReasonsAreNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := webtest.Spied()
		b, idle, absolute := &webtest.Browser{}, &webtest.Browser{}, &webtest.Browser{}
		b.Enter(t, m, session.Login{User: "ada", IdleTimeout: 24 * time.Hour, AbsoluteTimeout: 24 * time.Hour})
		idle.Enter(t, m, session.Login{User: "ada"})
		absolute.Enter(t, m, session.Login{User: "ada", AbsoluteTimeout: time.Minute})
		old := b.Tab()
		b.Rotate(t, m)
		b.Describe(t, m)
		time.Sleep(time.Hour)
		for _, v := range []*webtest.Browser{old, idle, absolute} {
			v.Visit(t, func(ctx *mist.Context) {
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

func TestLoginAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.77:1":          "192.0.2.0/24",
		"[2001:db8:1:2::3]:1":   "2001:db8:1::/48",
		"[fe80::1%eth0]:1":      "fe80::/48",
		"[::ffff:192.0.2.77]:1": "192.0.2.0/24",
		"":                      "",
		"@":                     "",
		"host:1":                "",
	} {
		m, _ := webtest.Spied()
		b := &webtest.Browser{}
		b.Visit(t, func(ctx *mist.Context) {
			ctx.Request.RemoteAddr = remote
			ctx.Request.Header.Set("X-Forwarded-For", "203.0.113.9")
			if got := webtest.Describe(t)(m.Login(ctx, "ada")).Address; got != want {
				t.Errorf("%s: got %q, want %q", remote, got, want)
			}
		})
	}
	m, _ := webtest.Spied()
	m.ClientIP = func(*http.Request) netip.Addr { return netip.MustParseAddr("203.0.113.9") }
	if got := (&webtest.Browser{}).Enter(t, m, session.Login{User: "ada"}).Address; got != "203.0.113.0/24" {
		t.Errorf("by ClientIP: got %q, want 203.0.113.0/24", got)
	}
}

func TestLoginUserAgent(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{"browser\x01\x7f of\xff a kind", "browser of a kind"},
		{strings.Repeat("x", 10_000), strings.Repeat("x", 256)},
		{strings.Repeat("é", 200), strings.Repeat("é", 128)},
		{"x" + strings.Repeat("é", 200), "x" + strings.Repeat("é", 127)},
		// Each alone, because most headers are ASCII and take a shortcut.
		{"a\x1fb", "ab"},
		{"a\tb", "ab"},
		{"a\x7fb", "ab"},
		{"a\u00adb", "ab"},
		{"a\xffb", "ab"},
		// Characters that hide text or reorder the text around it (bidirectional
		// overrides).
		{"gpj.\u202eexe\u202c", "gpj.exe"},
		{"a\u200bb\u2060c\ufeffd\u00ade\U000e0041f", "abcdef"},
		{"a\u2028b\u2029c\u0085d\u009b31me\u001b[0m", "abcd31me[0m"},
		{"a\u2066b\u2069c\u200ed\u061ce", "abcde"},
		{"a\u3164b\uffa0c\u115fd\u034fe\ufe0ff\U000e0100g", "abcdefg"},
		{"a\u00a0b\u3000c", "abc"}, // one kind of space
		{"火狐 Браузер/1.0 (ü; Ⅷ) €", "火狐 Браузер/1.0 (ü; Ⅷ) €"},
	} {
		m, _ := webtest.Spied()
		b := &webtest.Browser{}
		b.Visit(t, func(ctx *mist.Context) {
			ctx.Request.Header.Set("User-Agent", c.sent)
			if got := webtest.Describe(t)(m.Login(ctx, "ada")).UserAgent; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			// The same if the application sets the field.
			l := session.Login{User: "ada", UserAgent: c.sent[:min(len(c.sent), 250)], Address: "here\u202e"}
			info := webtest.Describe(t)(m.LoginWith(ctx, l))
			if got := info.UserAgent; !strings.HasPrefix(c.want, got) || got == "" || strings.ContainsRune(got, utf8.RuneError) || info.Address != "here" {
				t.Errorf("by the application: got %q, %q", got, info.Address)
			}
		})
	}
}

// EndOldest of a Login works with the limit of the Manager. OnEvent and the caller's
// Ended are both called.
func TestLoginEndOldest(t *testing.T) {
	for _, test := range []struct {
		name  string
		m     *session.Manager
		l     session.Login
		ended bool
	}{
		{"neither", &session.Manager{MaxUserSessions: 1}, session.Login{}, false},
		{"the Manager's", &session.Manager{MaxUserSessions: 1, EndOldest: true}, session.Login{}, true},
		{"the login's", &session.Manager{MaxUserSessions: 1}, session.Login{EndOldest: true}, true},
		{"a limit of its own", &session.Manager{MaxUserSessions: 9}, session.Login{MaxSessions: 1, EndOldest: true}, true},
		{"a limit of its own that refuses", &session.Manager{MaxUserSessions: 9, EndOldest: true}, session.Login{MaxSessions: 1}, false},
	} {
		for _, told := range []bool{false, true} {
			m := &session.Manager{
				Store: &memory.Store{}, Propagator: &cookie.Propagator{}, MaxUserSessions: test.m.MaxUserSessions, EndOldest: test.m.EndOldest,
			}
			var events, ended []string
			if told {
				m.OnEvent = func(_ context.Context, e session.Event) {
					if e.Kind == session.EventRemoved {
						events = append(events, e.Session)
					}
				}
			}
			first, second := &webtest.Browser{}, &webtest.Browser{}
			id := first.Enter(t, m, session.Login{User: "ada"}).ID
			l := test.l
			l.User, l.Ended = "ada", func(id string) { ended = append(ended, id) }
			second.Visit(t, func(ctx *mist.Context) {
				if _, err := m.LoginWith(ctx, l); errors.Is(err, session.ErrUserLimit) == test.ended {
					t.Errorf("%s: got %v", test.name, err)
				}
			})
			want := []string(nil)
			if test.ended {
				want = []string{id}
			}
			if !slices.Equal(ended, want) || told && !slices.Equal(events, want) {
				t.Errorf("%s: Ended was told %q, OnEvent %q, want %q", test.name, ended, events, want)
			}
		}
	}
}
