package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

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
		// What hides, or reorders the text around it (bidirectional overrides).
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
			// Nor when the application says it.
			l := session.Login{User: "ada", UserAgent: c.sent[:min(len(c.sent), 250)], Address: "here\u202e"}
			info := webtest.Describe(t)(m.LoginWith(ctx, l))
			if got := info.UserAgent; !strings.HasPrefix(c.want, got) || got == "" || strings.ContainsRune(got, utf8.RuneError) || info.Address != "here" {
				t.Errorf("by the application: got %q, %q", got, info.Address)
			}
		})
	}
}

// EndOldest of a Login counts where the limit is the Manager's, and Ended of the
// caller is called beside OnEvent.
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
