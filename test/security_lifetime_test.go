package session_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

const day = 24 * time.Hour

// R16: the cookie of a persistent session lives as long as its record can, to
// the second above, in every response that has one.
func TestMaxAgeIsTheRecords(t *testing.T) {
	for _, step := range answering[3:6] { // those after which the session goes on
		for _, maxAge := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprintf("%s/propagator=%v", step.name, maxAge), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{MaxAge: maxAge}}
					b := &webtest.Browser{}
					cookies := maxAgeOf(t, b, m, func(ctx *mist.Context) error {
						_, err := m.LoginWith(ctx, session.Login{
							User: "alice", Persistent: true, IdleTimeout: 30 * day, AbsoluteTimeout: 30*day + time.Millisecond,
						})
						return err
					})
					for range 3 {
						time.Sleep(9*day + 300*time.Millisecond)
						cookies += maxAgeOf(t, b, m, func(ctx *mist.Context) error { return step.call(m, ctx) })
					}
					if cookies != 4 && (step.name != "refresh" || maxAge != 0) {
						t.Errorf("got %d cookies, want 4", cookies)
					}
					if step.name != "again" { // which moves the deadline
						time.Sleep(3*day - 899*time.Millisecond) // the browser may have the cookie for another moment
						b.Is(t, m, "")
					}
				})
			})
		}
	}
}

// maxAgeOf visits a handler, and returns how many cookies its response has. Each
// must have the Max-Age of the session's deadline.
func maxAgeOf(t *testing.T, b *webtest.Browser, m *session.Manager, handler func(ctx *mist.Context) error) (cookies int) {
	t.Helper()
	want := 0
	h := b.Visit(t, func(ctx *mist.Context) {
		if err := handler(ctx); err != nil {
			t.Fatal(err)
		}
		info, err := session.Describe(webtest.Loaded(t, m, ctx))
		if err != nil {
			t.Fatal(err)
		}
		want = int((time.Until(info.AbsoluteDeadline) + time.Second - 1) / time.Second)
	})
	for _, c := range (&http.Response{Header: h}).Cookies() {
		cookies++
		if c.MaxAge != want {
			t.Errorf("got Max-Age %d, want %d", c.MaxAge, want)
		}
	}
	return cookies
}

// R16: without being told a cookie ends with the browser, and none is promised
// that browsers do not keep.
func TestMaxAgeBounds(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	h := (&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
		if _, err := m.LoginWith(ctx, session.Login{User: "alice", AbsoluteTimeout: day}); err != nil {
			t.Error(err)
		}
	})
	if c := (&http.Response{Header: h}).Cookies(); len(c) != 1 || c[0].MaxAge != 0 {
		t.Errorf("got %d cookies, want one without Max-Age", len(c))
	}
	h = (&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
		if _, err := m.LoginWith(ctx, session.Login{User: "alice", Persistent: true, AbsoluteTimeout: 401 * day}); err == nil {
			t.Error("a login for 401 days: got no error")
		}
	})
	if got := webtest.HeaderNames(h); got != nil {
		t.Errorf("got header fields %q, want none", got)
	}
}

// R31: behind RenewAfter no token of a user is older than that for long, and
// nobody's is renewed.
func TestTokensAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}, RenewAfter: 15 * time.Minute}
		user, visitor := &webtest.Browser{}, &webtest.Browser{}
		user.SignIn(t, m, "alice")
		visitor.BeginNamed(t, m, "visitor")
		renewed := map[*webtest.Browser]int{}
		for range 4 * 60 { // minutes
			time.Sleep(time.Minute)
			for _, b := range []*webtest.Browser{user, visitor} {
				before := b.Cookies[webtest.CookieName]
				b.Visit(t, func(ctx *mist.Context) {
					if err := m.RefreshSession(ctx); err != nil {
						t.Fatalf("RefreshSession: %v", err)
					}
				})
				if b.Cookies[webtest.CookieName] != before {
					renewed[b]++
				}
			}
		}
		if renewed[user] != 16 || renewed[visitor] != 0 {
			t.Errorf("in four hours got %d renewals of a user and %d of a visitor, want 16 and 0", renewed[user], renewed[visitor])
		}
	})
}
