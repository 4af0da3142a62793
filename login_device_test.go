package session_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
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
		m, _ := spied()
		b := &browser{}
		b.visit(t, func(ctx *mist.Context) {
			ctx.Request.RemoteAddr = remote
			ctx.Request.Header.Set("X-Forwarded-For", "203.0.113.9")
			if got := describe(t)(m.Login(ctx, "ada")).Address; got != want {
				t.Errorf("%s: got %q, want %q", remote, got, want)
			}
		})
	}
	m, _ := spied()
	m.ClientIP = func(*http.Request) netip.Addr { return netip.MustParseAddr("203.0.113.9") }
	if got := (&browser{}).enter(t, m, session.Login{User: "ada"}).Address; got != "203.0.113.0/24" {
		t.Errorf("by ClientIP: got %q, want 203.0.113.0/24", got)
	}
}

func TestLoginUserAgent(t *testing.T) {
	for _, c := range []struct{ sent, want string }{
		{"browser\x01\x7f of\xff a kind", "browser of a kind"},
		{strings.Repeat("x", 10_000), strings.Repeat("x", 256)},
		{strings.Repeat("é", 200), strings.Repeat("é", 128)},
		{"x" + strings.Repeat("é", 200), "x" + strings.Repeat("é", 127)},
	} {
		m, _ := spied()
		b := &browser{}
		b.visit(t, func(ctx *mist.Context) {
			ctx.Request.Header.Set("User-Agent", c.sent)
			if got := describe(t)(m.Login(ctx, "ada")).UserAgent; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
