package session_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

func TestLoginOfNobody(t *testing.T) {
	m, rec := webtest.Spied()
	b := &webtest.Browser{}
	var s session.Session
	header := b.Visit(t, func(ctx *mist.Context) {
		ctx.Request.Header.Set("User-Agent", "browser")
		ctx.Request.RemoteAddr = "192.0.2.77:4711"
		var err error
		if s, err = m.Login(ctx, "ada"); err != nil {
			t.Fatalf("Login: %v", err)
		}
		if again, err := m.GetSession(ctx); err != nil || again != s {
			t.Errorf("GetSession: got another session, %v", err)
		}
	})
	if got, want := rec.Take(), "extract Login inject"; got != want {
		t.Errorf("got calls %q, want %q", got, want)
	}
	if got, want := strings.Join(webtest.SetCookies(header), "\n"), webtest.SetLine; got != want {
		t.Errorf("got Set-Cookie %q, want %q", got, want)
	}
	info := b.Describe(t, m)
	if info.User != "ada" || info.Level != session.Authenticated || info.AuthenticatedAt.IsZero() || info.ID != s.ID() {
		t.Errorf("got %+v, want ada's, authenticated", info)
	}
	if info.UserAgent != "browser" || info.Address != "192.0.2.0/24" {
		t.Errorf("got %q of %q, want browser of 192.0.2.0/24", info.UserAgent, info.Address)
	}
}

// T-F2, T-F3: a login kills the old token even with a grace of a day and while 100
// requests are in progress. The first login gives the anonymous session a new id; later
// logins keep that id.
func TestLoginKillsTheOldToken(t *testing.T) {
	m, _ := webtest.Spied()
	m.RotateGrace = 24 * time.Hour
	for _, again := range []func(*mist.Context) error{
		func(ctx *mist.Context) error { _, err := m.Login(ctx, "ada"); return err },
		func(ctx *mist.Context) error { _, err := m.Reauthenticate(ctx, 0); return err },
	} {
		b := &webtest.Browser{}
		anonymous := b.Begin(t, m)
		b.Rotate(t, m) // the token before that has its grace
		planted := b.Tab()
		before := b.Enter(t, m, session.Login{User: "ada"})
		if before.ID == anonymous.ID {
			t.Error("the id of the anonymous session is that of ada's")
		}
		planted.Tab().IsNobody(t, m)
		stolen := b.Tab()
		var all sync.WaitGroup
		for range 100 {
			thief := stolen.Tab()
			all.Go(func() {
				thief.Answer(t.Context(), func(ctx *mist.Context) { // before or after
					if s, err := m.GetSession(ctx); err != nil && !errors.Is(err, session.ErrNotFound) || err == nil && s.ID() != before.ID {
						t.Errorf("GetSession: %v", err)
					}
				})
			})
		}
		header := b.Visit(t, func(ctx *mist.Context) {
			if err := again(ctx); err != nil {
				t.Fatal(err)
			}
			// They are dead when the login returns, before the response is sent.
			planted.Tab().IsNobody(t, m)
			stolen.Tab().IsNobody(t, m)
		})
		all.Wait()
		if len(webtest.SetCookies(header)) != 1 {
			t.Errorf("got %d Set-Cookie, want 1", len(webtest.SetCookies(header)))
		}
		if header := stolen.Tab().Visit(t, func(ctx *mist.Context) { _, _ = m.GetSession(ctx) }); len(webtest.SetCookies(header)) != 0 {
			t.Error("who lost got a cookie, or lost theirs")
		}
		if got := b.Describe(t, m); got.ID != before.ID || got.User != "ada" || b.Cart(t, m) != "apples" {
			t.Errorf("got %+v, want the session of before, ada's, with its values", got)
		}
	}
}

func TestLoginOverAnotherUser(t *testing.T) {
	m, rec := webtest.Spied()
	b := &webtest.Browser{}
	b.Begin(t, m)
	old := b.Enter(t, m, session.Login{User: "ada"})
	hers := b.Tab()
	rec.Take()
	info := b.Enter(t, m, session.Login{User: "bob"})
	if got, want := rec.Take(), "extract Open Login Remove inject"; got != want {
		t.Errorf("got calls %q, want %q", got, want)
	}
	if info.ID == old.ID || info.User != "bob" || b.Cart(t, m) != nil {
		t.Errorf("got %+v, want a new session of bob's without values", info)
	}
	hers.IsNobody(t, m)
	if _, err := m.Store.Get(t.Context(), old.ID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the old session: got %v, want ErrNotFound", err)
	}
	if list, err := m.UserSessions(t.Context(), "ada"); err != nil || len(list) != 0 {
		t.Errorf("UserSessions of ada: got %d, %v, want none", len(list), err)
	}
}

func TestLoginInOneRequest(t *testing.T) {
	login := func(user string) func(*session.Manager, *mist.Context) error {
		return func(m *session.Manager, ctx *mist.Context) error { _, err := m.Login(ctx, user); return err }
	}
	initial := func(m *session.Manager, ctx *mist.Context) error { _, err := m.InitSession(ctx); return err }
	rotate := (*session.Manager).RotateSession
	for name, c := range map[string]struct {
		steps []func(*session.Manager, *mist.Context) error
		user  string
	}{
		"Init Login":              {[]func(*session.Manager, *mist.Context) error{initial, login("ada")}, "ada"},
		"Login Init":              {[]func(*session.Manager, *mist.Context) error{login("ada"), initial}, ""},
		"Login Login":             {[]func(*session.Manager, *mist.Context) error{login("ada"), login("ada")}, "ada"},
		"Login Login of another":  {[]func(*session.Manager, *mist.Context) error{login("ada"), login("bob")}, "bob"},
		"Rotate Login":            {[]func(*session.Manager, *mist.Context) error{rotate, login("ada")}, "ada"},
		"Login Rotate":            {[]func(*session.Manager, *mist.Context) error{login("ada"), rotate}, "ada"},
		"Login Rotate Rotate":     {[]func(*session.Manager, *mist.Context) error{login("ada"), rotate, rotate}, "ada"},
		"Login Refresh":           {[]func(*session.Manager, *mist.Context) error{login("ada"), (*session.Manager).RefreshSession}, "ada"},
		"Remove Login":            {[]func(*session.Manager, *mist.Context) error{(*session.Manager).RemoveSession, login("ada")}, "ada"},
		"Remove Login over Login": {[]func(*session.Manager, *mist.Context) error{login("bob"), (*session.Manager).RemoveSession, login("ada")}, "ada"},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := webtest.Spied()
			b := &webtest.Browser{}
			b.Begin(t, m)
			header := b.Visit(t, func(ctx *mist.Context) {
				for _, step := range c.steps {
					if err := step(m, ctx); err != nil {
						t.Fatal(err)
					}
				}
			})
			if got := webtest.SetCookies(header); len(got) != 1 {
				t.Errorf("got %d Set-Cookie, want 1", len(got))
			}
			if got := b.Describe(t, m).User; got != c.user {
				t.Errorf("got user %q, want %q", got, c.user)
			}
		})
	}
}

func TestLoginRefused(t *testing.T) {
	plain, _ := webtest.SpiedPlain()
	tokens, _ := webtest.SpiedWith(noUsers{&memory.Store{}}, &cookie.Propagator{})
	users, rec := webtest.Spied()
	for name, c := range map[string]struct {
		m    *session.Manager
		l    session.Login
		want error
	}{
		"plain store":             {plain, session.Login{User: "ada"}, errors.ErrUnsupported},
		"store without users":     {tokens, session.Login{User: "ada"}, errors.ErrUnsupported},
		"no user":                 {users, session.Login{}, session.ErrInvalidUser},
		"a user of 257 bytes":     {users, session.Login{User: strings.Repeat("x", 257)}, session.ErrInvalidUser},
		"negative timeout":        {users, session.Login{User: "ada", IdleTimeout: -1}, nil},
		"a user agent over limit": {users, session.Login{User: "ada", UserAgent: strings.Repeat("x", 257)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := &webtest.Browser{}
			b.Visit(t, func(ctx *mist.Context) {
				if _, err := c.m.InitSession(ctx); err != nil {
					t.Fatal(err)
				}
			})
			rec.Take()
			header := b.Visit(t, func(ctx *mist.Context) {
				_, err := c.m.LoginWith(ctx, c.l)
				if got := rec.Take(); got != "" {
					t.Errorf("got calls %q, want none", got)
				}
				if err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			})
			if len(webtest.SetCookies(header)) != 0 {
				t.Error("a cookie was set")
			}
			b.Visit(t, func(ctx *mist.Context) {
				if _, err := c.m.GetSession(ctx); err != nil {
					t.Errorf("GetSession: %v, want the session of before", err)
				}
			})
		})
	}
}

// noUsers is a store that has tokens but no users.
type noUsers struct{ session.TokenStore }

func TestLoginAfterTheHeader(t *testing.T) {
	m, rec := webtest.Spied()
	b := &webtest.Browser{}
	info := b.Begin(t, m)
	rec.Take()
	b.Visit(t, m.Middleware()(func(ctx *mist.Context) {
		ctx.ResponseWriter.WriteHeader(http.StatusOK)
		if _, err := m.Login(ctx, "ada"); !errors.Is(err, session.ErrHeaderWritten) {
			t.Errorf("got %v, want ErrHeaderWritten", err)
		}
	}))
	if got := rec.Take(); got != "" {
		t.Errorf("got calls %q, want none", got)
	}
	if got := b.Describe(t, m); got != info {
		t.Errorf("got %+v, want the session as it was", got)
	}
}

// Every store call of a login fails in every way. Then the earlier user is still logged
// in or nobody is, but never another user. No failure sets a cookie.
func TestLoginFaults(t *testing.T) {
	for _, before := range []string{"nobody", "anonymous", "ada", "bob"} {
		for n := 1; n < 8; n++ {
			for _, kind := range []sessiontest.Fault{sessiontest.FailBefore, sessiontest.FailAfter, sessiontest.Hang} {
				loginFault(t, before, n, kind)
			}
		}
	}
}

func loginFault(t *testing.T, before string, n int, kind sessiontest.Fault) {
	t.Helper()
	store := &sessiontest.FaultStore{Store: &memory.Store{}}
	m := &session.Manager{Store: store, Propagator: &cookie.Propagator{}}
	b := &webtest.Browser{}
	switch before {
	case "nobody":
	case "anonymous":
		b.Begin(t, m)
	default:
		b.Enter(t, m, session.Login{User: before})
	}
	store.Reset(func(c sessiontest.Call) sessiontest.Fault {
		if c.N == n {
			return kind
		}
		return sessiontest.None
	})
	old := b.Tab()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := b.Answer(ctx, func(mctx *mist.Context) {
		if kind == sessiontest.Hang {
			time.AfterFunc(10*time.Millisecond, cancel)
		}
		_, err := m.Login(mctx, "ada")
		if failed := len(store.Calls()) >= n; failed != (err != nil) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s, call %d, fault %d: got %v", before, n, kind, err)
		}
	})
	if len(store.Calls()) < n {
		return // there is no such call
	}
	if len(webtest.SetCookies(resp.Header)) != 0 {
		t.Errorf("%s, call %d, fault %d: a cookie was set or cleared", before, n, kind)
	}
	store.Reset(nil)
	old.Visit(t, func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if err != nil {
			if !errors.Is(err, session.ErrNotFound) || kind != sessiontest.FailAfter && before != "nobody" {
				t.Errorf("%s, call %d, fault %d: who was there is gone: %v", before, n, kind, err)
			}
			return
		}
		if info := webtest.Describe(t)(s, nil); info.User != before && before != "anonymous" || before == "anonymous" && info.User != "" {
			t.Errorf("%s, call %d, fault %d: the old cookie is somebody else's", before, n, kind)
		}
	})
}

func TestLoginInjectFails(t *testing.T) {
	errDown := errors.New("down")
	m, rec := webtest.Spied()
	b := &webtest.Browser{}
	b.Begin(t, m)
	rec.Fail(webtest.Fault{Op: "inject", Err: errDown})
	b.Visit(t, func(ctx *mist.Context) {
		if _, err := m.Login(ctx, "ada"); !errors.Is(err, errDown) {
			t.Errorf("got %v, want the propagator's", err)
		}
	})
	if list, err := m.UserSessions(t.Context(), "ada"); err != nil || len(list) != 0 {
		t.Errorf("UserSessions: got %d, %v, want none that nobody can open", len(list), err)
	}
}

// After a login and a logout in one request nobody is logged in. The session that the
// client came with lives on.
func TestManagerRemoveSessionAfterLogin(t *testing.T) {
	m, rec := webtest.Spied()
	alice := &webtest.Browser{}
	alice.BeginNamed(t, m, "alice")
	carried := alice.Cookies[webtest.CookieName]
	alice.Visit(t, func(ctx *mist.Context) {
		if _, err := m.InitSession(ctx); err != nil {
			t.Fatalf("InitSession: %v", err)
		}
		if err := m.RemoveSession(ctx); err != nil {
			t.Fatalf("RemoveSession: %v", err)
		}
		rec.Take()
		if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after the logout: got %v, want ErrNotFound", err)
		}
		if got, want := rec.Take(), "extract"; got != want {
			t.Errorf("got calls %q, want %q", got, want)
		}
		if _, err := m.InitSession(ctx); err != nil {
			t.Fatalf("InitSession again: %v", err)
		}
		if _, err := m.GetSession(ctx); err != nil {
			t.Errorf("after another login: %v", err)
		}
	})
	old := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: carried}}
	if name, err := old.Name(t, m); name != "alice" || err != nil {
		t.Errorf("the session that the client came with: got %q, %v", name, err)
	}
}
