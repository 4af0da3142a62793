package session_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// R39: whatever a handler stores, in its session or in the request, nobody is
// logged in by it, and nobody's level rises.
func TestValuesAuthenticateNobody(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	visitor, alice := &webtest.Browser{}, &webtest.Browser{}
	visitor.BeginNamed(t, m, "visitor")
	alice.SignIn(t, m, "alice")
	keys := []string{
		"user", "User", "user_id", "uid", "u", "l", "level", "Level", "auth", "AuthenticatedAt", "principal", "id", ":user", "\x00u", "",
	}
	for b, want := range map[*webtest.Browser]session.Info{visitor: {}, alice: {User: "alice", Level: session.Authenticated}} {
		for _, v := range []any{"bob", uint8(2), true, time.Now()} {
			b.Visit(t, func(ctx *mist.Context) {
				s := webtest.Loaded(t, m, ctx)
				for _, key := range keys {
					if err := s.Set(ctx.Request.Context(), key, v); err != nil {
						t.Fatal(err)
					}
					ctx.Set(key, v)
					ctx.UserValues["x"+key] = v
				}
				isAt(t, m, ctx, want)
				if err := m.RotateSession(ctx); err != nil {
					t.Error(err)
				}
				isAt(t, m, ctx, want)
			})
			b.Visit(t, func(ctx *mist.Context) { isAt(t, m, ctx, want) })
		}
	}
}

// isAt checks who is logged in, and what level that passes.
func isAt(t *testing.T, m *session.Manager, ctx *mist.Context, want session.Info) {
	t.Helper()
	info, err := session.Describe(webtest.Loaded(t, m, ctx))
	if err != nil || info.User != want.User || info.Level != want.Level || info.AuthenticatedAt.IsZero() != (want.User == "") {
		t.Errorf("got user %q at level %d, %v, want %q at %d", info.User, info.Level, err, want.User, want.Level)
	}
	for level := session.Authenticated; level < 3; level++ {
		passed := false
		req := &mist.Context{Request: ctx.Request, ResponseWriter: httptest.NewRecorder()}
		m.RequireLevel(level)(func(*mist.Context) { passed = true })(req)
		if passed != (level <= want.Level) {
			t.Errorf("user %q passes level %d: %t", want.User, level, passed)
		}
	}
}

// R33, T-F2, T-F3: the token from before a login is dead when Login returns, for
// a hundred requests that use it meanwhile, though rotation has a grace of an
// hour. None of them ever is the user.
func TestTokenBeforeLogin(t *testing.T) {
	for name, login := range map[string]func(m *session.Manager, ctx *mist.Context) error{
		"login": answering[1].call, "another user's": answering[2].call, "reauthentication": answering[3].call,
	} {
		t.Run(name, func(t *testing.T) {
			m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}, RotateGrace: time.Hour}
			b := &webtest.Browser{}
			if name == "login" {
				b.BeginNamed(t, m, "visitor")
			} else {
				b.SignIn(t, m, "alice")
			}
			older := b.Tab()
			b.Rotate(t, m) // older is good for another hour
			before := b.Tab()
			start := make(chan struct{})
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					<-start
					for _, old := range []*webtest.Browser{before, older} {
						resp := old.Answer(t.Context(), func(ctx *mist.Context) {
							_ = m.RotateSession(ctx)
							s, err := m.GetSession(ctx)
							if err != nil {
								return
							}
							info, err := session.Describe(s)
							if name == "login" && (err != nil || info.User != "") {
								t.Errorf("an old token is %q, %v", info.User, err)
							}
						})
						if strings.Contains(fmt.Sprint(resp.Header["Set-Cookie"]), "Max-Age=0") {
							t.Error("a loser clears the cookie")
						}
					}
				})
			}
			b.Visit(t, func(ctx *mist.Context) {
				close(start)
				if err := login(m, ctx); err != nil {
					t.Error(err)
				}
				before.Is(t, m, "")
				older.Is(t, m, "")
			})
			all.Wait()
			b.Visit(t, func(ctx *mist.Context) { webtest.Loaded(t, m, ctx) })
		})
	}
}

// R44: no header that a client can write is believed.
func TestAddressOfTheConnection(t *testing.T) {
	proxied := func(req *http.Request) netip.Addr {
		addr, _ := netip.ParseAddr(req.Header.Get("X-Real-Ip"))
		return addr
	}
	for _, tt := range []struct {
		remote   string
		clientIP func(*http.Request) netip.Addr
		want     string
	}{
		{"192.0.2.77:4711", nil, "192.0.2.0/24"},
		{"[2001:db8:1:2::3]:4711", nil, "2001:db8:1::/48"},
		{"[fe80::1%eth0]:4711", nil, "fe80::/48"},
		{"[::ffff:192.0.2.77]:4711", nil, "192.0.2.0/24"},
		{"@", nil, ""}, // of a Unix socket
		{"192.0.2.77:4711", proxied, "203.0.113.0/24"},
	} {
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}, ClientIP: tt.clientIP}
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
		req.RemoteAddr = tt.remote
		for _, h := range []string{"X-Forwarded-For", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP", "X-Client-IP"} {
			req.Header.Set(h, "203.0.113.9")
		}
		req.Header.Set("Forwarded", "for=203.0.113.9")
		if _, err := m.Login(&mist.Context{Request: req, ResponseWriter: httptest.NewRecorder()}, "alice"); err != nil {
			t.Fatal(err)
		}
		infos, err := m.UserSessions(t.Context(), "alice")
		if err != nil || len(infos) != 1 || infos[0].Address != tt.want {
			t.Errorf("%s: got %+v, %v, want the address %q", tt.remote, infos, err, tt.want)
		}
	}
}

// R36: with the handle of a session nobody gets in, and nobody ends somebody
// else's.
func TestHandlesOpenNothing(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	alice, mallory := &webtest.Browser{}, &webtest.Browser{}
	alice.SignIn(t, m, "alice")
	mallory.SignIn(t, m, "mallory")
	infos, err := m.UserSessions(t.Context(), "alice")
	if err != nil || len(infos) != 1 {
		t.Fatalf("got %d sessions, %v, want 1", len(infos), err)
	}
	id := infos[0].ID
	for _, carried := range []string{id, id + ".", id + "." + id, id + ".ABCDEFGHIJKLMNOPQRSTUVWXYZ"} {
		thief := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: carried}}
		thief.Is(t, m, "")
	}
	if err := m.RemoveUserSession(t.Context(), "mallory", id); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("another user's: got %v, want ErrNotFound", err)
	}
	if _, err := m.RemoveUserSessions(t.Context(), "mallory"); err != nil {
		t.Error(err)
	}
	if text, err := json.Marshal(infos); err != nil || webtest.Tokens.Match(text) {
		t.Errorf("a token in the list, or %v", err)
	}
	alice.Visit(t, func(ctx *mist.Context) { webtest.Loaded(t, m, ctx) })
	if err := m.RemoveUserSession(t.Context(), "alice", id); err != nil {
		t.Errorf("one's own: %v", err)
	}
	alice.Is(t, m, "")
}
