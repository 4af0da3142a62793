package session_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// A login ends the anonymous session of the request. Its objects and its id are dead at
// once, and all later calls in this request work on the new session.
func TestLoginOfAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, rec := webtest.Spied()
		b := &webtest.Browser{}
		old := b.Begin(t, m)
		time.Sleep(time.Minute)
		copied := b.Tab()
		rec.Take()
		header := b.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
			reqctx := ctx.Request.Context()
			before := webtest.Loaded(t, m, ctx)
			s, err := m.Login(ctx, "ada")
			info := webtest.Describe(t)(s, err)
			if info.ID == old.ID || info.User != "ada" || !info.CreatedAt.Equal(old.CreatedAt.Add(time.Minute)) {
				t.Errorf("got %+v, want a session of ada's with an id of its own, made now", info)
			}
			if v, err := s.Get(reqctx, "cart"); v != "apples" || err != nil {
				t.Errorf("cart: got %v, %v, want apples", v, err)
			}

			// The object from before the login shows the values, but cannot write.
			if err := before.Set(reqctx, "late", true); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Set of the old object: got %v, want ErrNotFound", err)
			}
			if v, err := before.Get(reqctx, "cart"); v != "apples" || err != nil {
				t.Errorf("Get of the old object: got %v, %v, want apples", v, err)
			}
			if _, err := m.Store.Get(reqctx, old.ID); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("the old id: got %v, want ErrNotFound", err)
			}
			copied.Tab().IsNobody(t, m)

			if got := webtest.Loaded(t, m, ctx); got != s {
				t.Error("GetSession returns another session")
			}
			if got, err := session.FromContext(reqctx); got != s || err != nil {
				t.Errorf("FromContext returns another session, %v", err)
			}
			for _, info := range must(t)(m.UserSessions(ctx, "ada")) {
				if info.ID != s.ID() || !info.Current {
					t.Errorf("UserSessions: got %+v, want the current session alone", info)
				}
			}
			if err := s.Set(reqctx, "note", "new"); err != nil {
				t.Errorf("Set: %v", err)
			}
			if err := m.RefreshSession(ctx); err != nil {
				t.Errorf("RefreshSession: %v", err)
			}
			if err := m.RotateSession(ctx); err != nil {
				t.Errorf("RotateSession: %v", err)
			}
			if got := webtest.Loaded(t, m, ctx).ID(); got != s.ID() {
				t.Error("RotateSession gave the session another id")
			}
		}, m.Middleware()))
		if got := webtest.SetCookies(header); !slices.Equal(got, []string{webtest.SetLine}) {
			t.Errorf("got Set-Cookie %q, want one", got)
		}
		b.Visit(t, func(ctx *mist.Context) {
			s := webtest.Loaded(t, m, ctx)
			for key, want := range map[string]any{"cart": "apples", "note": "new", "late": nil} {
				if v, err := s.Get(ctx.Request.Context(), key); v != want || err != nil {
					t.Errorf("%s: got %v, %v, want %v", key, v, err, want)
				}
			}
		})
	})
}

// A login is one call of the store, whatever session the client has.
func TestLoginCalls(t *testing.T) {
	m, rec := webtest.Spied()
	b := &webtest.Browser{}
	b.Begin(t, m)
	for _, before := range []string{"anonymous", "ada"} {
		rec.Take()
		b.Enter(t, m, session.Login{User: "ada", Values: map[string]any{"theme": "dark"}})
		if got, want := rec.Take(), "extract Open Login inject"; got != want {
			t.Errorf("%s: got calls %q, want %q", before, got, want)
		}
	}
}

// Flash messages and the secret of forms are values, so they go on with the login. A
// token from before the login is no longer valid, see TestCSRFTokenOverLogins.
func TestLoginKeepsFlashesAndCSRF(t *testing.T) {
	store := &sessiontest.FaultStore{Store: &memory.Store{}}
	m := &session.Manager{Store: store, Propagator: &cookie.Propagator{}}
	b := &webtest.Browser{}
	b.Begin(t, m)
	var before string
	b.Do(t, func(ctx *mist.Context) (err error) {
		s := webtest.Loaded(t, m, ctx)
		before = csrfToken(t, s)
		return session.AddFlash(ctx.Request.Context(), s, "welcome")
	})
	store.Reset(nil)
	var after string
	b.Do(t, func(ctx *mist.Context) error {
		s, err := m.Login(ctx, "ada")
		if err != nil {
			return err
		}
		if forged(t, s, csrfToken(t, s)) || !forged(t, s, before) {
			t.Error("a token of the new session is refused, or one from before is not")
		}
		after = csrfToken(t, s)
		for _, c := range store.Calls() {
			if c.Op == "Session.Update" {
				t.Error("the session got another secret")
			}
		}
		return nil
	})
	b.Do(t, func(ctx *mist.Context) error {
		s := webtest.Loaded(t, m, ctx)
		if forged(t, s, after) {
			t.Error("the token of the login is refused by the next request")
		}
		got, err := session.Flashes(ctx.Request.Context(), s)
		if !slices.Equal(got, []string{"welcome"}) {
			t.Errorf("got messages %q, want welcome", got)
		}
		return err
	})
}

// Goroutines of one handler write while it logs in. Acknowledged writes are in the new
// session, and all others fail with ErrNotFound.
func TestLoginAgainstWrites(t *testing.T) {
	for range 20 {
		m, _ := webtest.Spied()
		b := &webtest.Browser{}
		b.Begin(t, m)
		acknowledged := make([]bool, 8)
		keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		b.Visit(t, func(ctx *mist.Context) {
			old, reqctx := webtest.Loaded(t, m, ctx), ctx.Request.Context()
			var all sync.WaitGroup
			for i, key := range keys {
				all.Go(func() {
					err := old.Set(reqctx, key, true)
					if acknowledged[i] = err == nil; err != nil && !errors.Is(err, session.ErrNotFound) {
						t.Errorf("Set: %v", err)
					}
				})
			}
			if _, err := m.Login(ctx, "ada"); err != nil {
				t.Errorf("Login: %v", err)
			}
			all.Wait()
		})
		b.Visit(t, func(ctx *mist.Context) {
			s := webtest.Loaded(t, m, ctx)
			for i, key := range keys {
				if v, err := s.Get(ctx.Request.Context(), key); err != nil || (v == true) != acknowledged[i] {
					t.Errorf("acknowledged %t: got %v, %v", acknowledged[i], v, err)
				}
			}
		})
	}
}

// refused runs a login of a browser with an anonymous session. The login must fail with
// want. The anonymous session stays as it was, and the object that the request has
// loaded can still write to it.
func refused(t *testing.T, m *session.Manager, l session.Login, want error) {
	t.Helper()
	b, newID := &webtest.Browser{}, m.NewID
	m.NewID = nil
	info := b.Begin(t, m)
	m.NewID = newID
	header := b.Visit(t, func(ctx *mist.Context) {
		s := webtest.Loaded(t, m, ctx)
		if _, err := m.LoginWith(ctx, l); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if webtest.Loaded(t, m, ctx) != s {
			t.Error("GetSession returns another session")
		}
		if err := s.Set(ctx.Request.Context(), "after", true); err != nil {
			t.Errorf("Set: %v", err)
		}
	})
	if len(webtest.SetCookies(header)) != 0 {
		t.Error("a cookie was set or cleared")
	}
	if got := b.Describe(t, m); got != info {
		t.Errorf("got %+v, want %+v", got, info)
	}
	b.Visit(t, func(ctx *mist.Context) {
		s := webtest.Loaded(t, m, ctx)
		for key, want := range map[string]any{"cart": "apples", "after": true, "theme": nil} {
			if v, err := s.Get(ctx.Request.Context(), key); v != want || err != nil {
				t.Errorf("%s: got %v, %v, want %v", key, v, err, want)
			}
		}
	})
}

func TestLoginRefusedKeepsTheAnonymousSession(t *testing.T) {
	m, _ := webtest.Spied()
	ada := &webtest.Browser{}
	ada.Enter(t, m, session.Login{User: "ada"})
	theme := map[string]any{"theme": "dark"}
	refused(t, m, session.Login{User: "ada", MaxSessions: 1, Values: theme}, session.ErrUserLimit)
	before := time.Now()
	time.Sleep(time.Millisecond)
	if _, err := m.RemoveUserSessions(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	refused(t, m, session.Login{User: "bob", Began: before, Values: theme}, session.ErrRevoked)
	refused(t, m, session.Login{User: "ada", Reauthentication: true, Values: theme}, session.ErrNotFound)
	m.Store = &memory.Store{MaxSessions: 1}
	(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) { // a full store refuses a login of nobody alone
		webtest.Describe(t)(m.Login(ctx, "ada"))
	})
	(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
		if _, err := m.LoginWith(ctx, session.Login{User: "bob", Values: theme}); !errors.Is(err, session.ErrFull) {
			t.Errorf("got %v, want ErrFull", err)
		}
	})
}

// If NewID returns ids of live sessions, the login asks for three more and then fails.
// If an id is too long for a store, the login fails with ErrInvalidID at once.
func TestLoginNewID(t *testing.T) {
	long := func(n int) string { return string(slices.Repeat([]byte("z"), n)) }
	for name, c := range map[string]struct {
		ids   []string // the last is given again and again
		want  error
		asked int
	}{
		"free":                {[]string{"free"}, nil, 1},
		"taken once":          {[]string{"taken", "free"}, nil, 2},
		"taken three times":   {[]string{"taken", "taken", "taken", "free"}, nil, 4},
		"taken always":        {[]string{"taken"}, session.ErrExists, 4},
		"96 characters":       {[]string{long(96)}, nil, 1},
		"97 characters":       {[]string{long(97)}, session.ErrInvalidID, 1},
		"128, as InitSession": {[]string{long(128)}, session.ErrInvalidID, 1},
		"empty":               {[]string{""}, session.ErrInvalidID, 1},
		"a dot":               {[]string{"a.b"}, session.ErrInvalidID, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
			taken, err := m.Store.Generate(t.Context(), "taken")
			if err != nil {
				t.Fatal(err)
			}
			asked := 0
			newID := func() string { asked++; return c.ids[min(asked, len(c.ids))-1] }
			last := c.ids[len(c.ids)-1]
			if m.NewID = newID; c.want != nil {
				refused(t, m, session.Login{User: "ada"}, c.want)
			} else {
				m.NewID = nil
				b := &webtest.Browser{}
				b.Begin(t, m)
				m.NewID = newID
				if got := b.Enter(t, m, session.Login{User: "ada"}); got.ID != last || b.Cart(t, m) != "apples" {
					t.Errorf("got %+v, want ada's, with the id that was free and the values", got)
				}
			}
			if asked != c.asked {
				t.Errorf("NewID was asked %d times, want %d", asked, c.asked)
			}
			if err := taken.Set(t.Context(), "k", "v"); err != nil {
				t.Errorf("the session that has the id: %v", err)
			}
		})
	}
}

// When a login succeeds, the session has its values, over those that it keeps. Nothing
// can come between, because it is one call of the store.
func TestLoginValues(t *testing.T) {
	values := map[string]any{"theme": "dark", "cart": "pears"}
	for name, c := range map[string]struct {
		before func(t *testing.T, m *session.Manager, b *webtest.Browser)
		kept   any
		calls  string
	}{
		"nobody": {func(*testing.T, *session.Manager, *webtest.Browser) {}, nil, "extract Login inject"},
		"anonymous": {func(t *testing.T, m *session.Manager, b *webtest.Browser) {
			t.Helper()
			b.Begin(t, m)
			b.Set(t, m, "kept", 7)
		}, 7, "extract Open Login inject"},
		"ada": {func(t *testing.T, m *session.Manager, b *webtest.Browser) {
			t.Helper()
			b.Enter(t, m, session.Login{User: "ada"})
			b.Set(t, m, "kept", 7)
		}, 7, "extract Open Login inject"},
		"bob": {func(t *testing.T, m *session.Manager, b *webtest.Browser) {
			t.Helper()
			b.Enter(t, m, session.Login{User: "bob"})
			b.Set(t, m, "kept", 7)
		}, nil, "extract Open Login Remove inject"},
	} {
		t.Run(name, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			c.before(t, m, b)
			rec.Take()
			want := map[string]any{"theme": "dark", "cart": "pears", "kept": c.kept}
			check := func(ctx *mist.Context, s session.Session) {
				for key, want := range want {
					if v, err := s.Get(ctx.Request.Context(), key); v != want || err != nil {
						t.Errorf("%s: got %v, %v, want %v", key, v, err, want)
					}
				}
			}
			b.Visit(t, func(ctx *mist.Context) {
				s, err := m.LoginWith(ctx, session.Login{User: "ada", Values: values})
				if err != nil {
					t.Fatal(err)
				}
				check(ctx, s)
			})
			if got := rec.Take(); got != c.calls {
				t.Errorf("got calls %q, want %q", got, c.calls)
			}
			b.Visit(t, func(ctx *mist.Context) { check(ctx, webtest.Loaded(t, m, ctx)) })
		})
	}
}

// A value that no store can keep refuses the login. The client keeps its session and
// its values.
func TestLoginValuesRefused(t *testing.T) {
	for name, c := range map[string]struct {
		values map[string]any
		want   error
	}{
		"a function":  {map[string]any{"theme": "dark", "bad": func() {}}, session.ErrValue},
		"nil":         {map[string]any{"theme": "dark", "bad": nil}, session.ErrValue},
		"a long key":  {map[string]any{"theme": "dark", strings.Repeat("k", session.MaxKeySize+1): 1}, session.ErrTooLarge},
		"a big value": {map[string]any{"theme": "dark", "bad": strings.Repeat("v", session.MaxValueSize+1)}, session.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			l := session.Login{User: "ada", Values: c.values}
			m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
			refused(t, m, l, c.want)
			(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
				if _, err := m.LoginWith(ctx, l); !errors.Is(err, c.want) {
					t.Errorf("nobody: got %v, want %v", err, c.want)
				}
			})
			for _, user := range []string{"ada", "bob"} {
				b := &webtest.Browser{}
				b.Enter(t, m, session.Login{User: user, Values: map[string]any{"theme": "light"}})
				before := b.Describe(t, m)
				b.Visit(t, func(ctx *mist.Context) {
					if _, err := m.LoginWith(ctx, l); !errors.Is(err, c.want) {
						t.Errorf("%s: got %v, want %v", user, err, c.want)
					}
				})
				b.Visit(t, func(ctx *mist.Context) {
					s := webtest.Loaded(t, m, ctx)
					if v, err := s.Get(ctx.Request.Context(), "theme"); v != "light" || err != nil || webtest.Describe(t)(s, nil) != before {
						t.Errorf("%s: the session is another one, or its values are", user)
					}
				})
			}
			if list := must(t)(m.UserSessions(t.Context(), "ada")); len(list) != 1 {
				t.Errorf("ada has %d sessions, want 1", len(list))
			}
		})
	}
}
