package session_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
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

func TestRequireSession(t *testing.T) {
	type answer struct {
		status int
		next   bool
		calls  string
	}
	for _, test := range []struct {
		name   string
		cookie string // empty: alice's
		broken bool
		want   answer
	}{
		{"somebody", "", false, answer{http.StatusOK, true, "extract Open"}},
		{"nobody", "none", false, answer{http.StatusUnauthorized, false, "extract"}},
		{"malformed", "a.b", false, answer{http.StatusUnauthorized, false, "extract"}},
		{"unknown", "x.ABCDEFGHIJKLMNOPQRSTUVWXYZ", false, answer{http.StatusUnauthorized, false, "extract Open"}},
		{"the store is down", "", true, answer{http.StatusServiceUnavailable, false, "extract Open"}},
		{"the store is down for nobody", "none", true, answer{http.StatusUnauthorized, false, "extract"}},
	} {
		for _, around := range []string{"without Middleware", "inside", "outside"} {
			for _, custom := range []bool{false, true} {
				t.Run(test.name+"/"+around, func(t *testing.T) {
					m, rec := webtest.Spied()
					b := &webtest.Browser{}
					b.BeginNamed(t, m, "alice")
					rec.Take()
					switch test.cookie {
					case "":
					case "none":
						b.Cookies = nil
					default:
						b.Cookies[webtest.CookieName] = test.cookie
					}
					if test.broken {
						rec.Fail(webtest.Fault{Op: "Open", After: false, Err: &webtest.OutageError{}})
					}
					want := test.want
					if custom {
						m.ErrorHandler = func(ctx *mist.Context, err error) {
							if got := errors.Is(err, session.ErrNotFound); got != (want.status == http.StatusUnauthorized) {
								t.Errorf("ErrorHandler got %v", err)
							}
							ctx.ResponseWriter.WriteHeader(http.StatusTeapot)
						}
					}
					chain := []mist.Middleware{m.RequireSession()}
					switch around {
					case "inside":
						chain = []mist.Middleware{m.Middleware(), m.RequireSession()}
					case "outside":
						chain = append(chain, m.Middleware())
					}
					got := answer{}
					resp := b.Answer(t.Context(), webtest.Wrap(func(ctx *mist.Context) {
						got.next = true
						if name, err := webtest.NameOf(ctx, m); name != "alice" || err != nil {
							t.Errorf("got %q, %v", name, err)
						}
					}, chain...))
					got.status, got.calls = resp.StatusCode, rec.Take()
					if custom && !want.next {
						want.status = http.StatusTeapot
					}
					if got != want {
						t.Errorf("custom=%t: got %+v, want %+v", custom, got, want)
					}
					if got := webtest.HeaderNames(resp.Header); got != nil {
						t.Errorf("custom=%t: got header fields %q, want none", custom, got)
					}
				})
			}
		}
	}

	t.Run("an unusable Manager lets nobody through", func(t *testing.T) {
		for name, m := range map[string]*session.Manager{"nil": nil, "zero": {}} {
			rec := httptest.NewRecorder()
			ctx := &mist.Context{Request: (&webtest.Browser{}).Request(t.Context()), ResponseWriter: rec}
			m.RequireSession()(func(*mist.Context) { t.Errorf("%s: let through", name) })(ctx)
			if got, want := rec.Code, http.StatusServiceUnavailable; got != want {
				t.Errorf("%s: got status %d, want %d", name, got, want)
			}
		}
	})
}

// A describedSession is a session that a test puts into the context, with any Info.
type describedSession struct {
	webtest.PlainSession

	info session.Info
}

func (s *describedSession) Info() session.Info { return s.info }

// guarded sends one request to a guard, with the session byHand if it is not nil. It
// returns the status, which is 200 if the guard lets the request pass.
func guarded(t *testing.T, b *webtest.Browser, byHand session.Session, guard mist.Middleware) int {
	t.Helper()
	ran := false
	resp := b.Answer(t.Context(), func(ctx *mist.Context) {
		if byHand != nil {
			ctx.UserValues = map[string]any{"session": byHand}
		}
		guard(func(*mist.Context) { ran = true })(ctx)
	})
	if ran != (resp.StatusCode == http.StatusOK) {
		t.Errorf("got through %t, status %d", ran, resp.StatusCode)
	}
	return resp.StatusCode
}

// R38: a login is fresh for less than d, to the nanosecond, whichever clock is ahead.
func TestRequireFreshAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := webtest.NewManager()
		for _, d := range []time.Duration{1, time.Minute, math.MaxInt64} {
			for _, c := range []struct {
				age  time.Duration
				want int
			}{
				{0, http.StatusOK},
				{d - 1, http.StatusOK},
				{d, http.StatusForbidden},
				{1 - d, http.StatusOK}, // its clock is ahead
				{-d, http.StatusForbidden},
				{100 * 365 * 24 * time.Hour, http.StatusForbidden},
				{-100 * 365 * 24 * time.Hour, http.StatusForbidden},
			} {
				if d == math.MaxInt64 && c.age != d && c.age != -d {
					c.want = http.StatusOK
				}
				s := &describedSession{info: session.Info{User: "alice", Level: 1, AuthenticatedAt: time.Now().Add(-c.age)}}
				if got := guarded(t, &webtest.Browser{}, s, m.RequireFresh(d)); got != c.want {
					t.Errorf("age %v of %v: got status %d, want %d", c.age, d, got, c.want)
				}
			}
			never := &describedSession{info: session.Info{User: "alice"}}
			if got := guarded(t, &webtest.Browser{}, never, m.RequireFresh(d)); got != http.StatusForbidden {
				t.Errorf("a user who never proved it: got status %d, want 403", got)
			}
		}
	})
}

// R39: a guard lets a request pass if its user has the level or a higher one. A visitor
// who is not logged in never passes, whatever the values of the session are.
func TestRequireLevelMatrix(t *testing.T) {
	m := webtest.NewManager()
	for has := range session.Level(5) {
		for needs := range session.Level(5) {
			want := http.StatusOK
			if has < needs {
				want = http.StatusForbidden
			}
			s := &describedSession{info: session.Info{User: "alice", Level: has}}
			if got := guarded(t, &webtest.Browser{}, s, m.RequireLevel(needs)); got != want {
				t.Errorf("level %d where %d is needed: got status %d, want %d", has, needs, got, want)
			}
			s = &describedSession{info: session.Info{Level: has}}
			s.Values.Store("user", "alice")
			if got := guarded(t, &webtest.Browser{}, s, m.RequireLevel(needs)); got != http.StatusUnauthorized {
				t.Errorf("nobody, level %d where %d is needed: got status %d, want 401", has, needs, got)
			}
		}
	}
}

// strict returns the guards that demand a user.
func strict(m *session.Manager) map[string]mist.Middleware {
	return map[string]mist.Middleware{
		"RequireFresh":           m.RequireFresh(time.Minute),
		"RequireLevel":           m.RequireLevel(session.Authenticated),
		"RequireLevel anonymous": m.RequireLevel(session.Anonymous),
	}
}

// Without a session, and with an anonymous one, the guards answer 401. If the store
// fails, they answer 503.
func TestRequireUser(t *testing.T) {
	s := newScene(t)
	s.anonymous(s.alice)
	for name, guard := range strict(s.Manager) {
		if got := guarded(t, s.bob, nil, guard); got != http.StatusUnauthorized {
			t.Errorf("%s, nobody: got status %d, want 401", name, got)
		}
		if got := guarded(t, s.alice, nil, guard); got != http.StatusUnauthorized {
			t.Errorf("%s, anonymous: got status %d, want 401", name, got)
		}
		s.fails("Open")
		if got := guarded(t, s.alice, nil, guard); got != http.StatusServiceUnavailable {
			t.Errorf("%s, the store is down: got status %d, want 503", name, got)
		}
		s.faults.Reset(nil)
		if got := guarded(t, s.alice, &webtest.PlainSession{Handle: "by-hand"}, guard); got != http.StatusServiceUnavailable {
			t.Errorf("%s, a session that cannot know: got status %d, want 503", name, got)
		}
	}
	for name, m := range map[string]*session.Manager{"nil": nil, "zero": {}} {
		for guard, middleware := range strict(m) {
			if got := guarded(t, s.alice, nil, middleware); got != http.StatusServiceUnavailable {
				t.Errorf("%s of a %s Manager: got status %d, want 503", guard, name, got)
			}
		}
	}
}

// ErrorHandler gets the reason.
func TestRequireErrorHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		var told error
		s.ErrorHandler = func(ctx *mist.Context, err error) {
			told = err
			ctx.ResponseWriter.WriteHeader(http.StatusTeapot)
		}
		user := func(level session.Level) session.Session {
			return &describedSession{info: session.Info{User: "alice", Level: level, AuthenticatedAt: time.Now().Add(-time.Hour)}}
		}
		s.anonymous(s.alice)
		for _, c := range []struct {
			name   string
			s      session.Session
			who    *webtest.Browser
			guard  mist.Middleware
			broken bool
			want   error
		}{
			{"nobody", nil, s.bob, s.RequireFresh(1), false, session.ErrNotFound},
			{"anonymous", nil, s.alice, s.RequireFresh(1), false, session.ErrNotFound},
			{"not fresh", user(1), s.alice, s.RequireFresh(time.Minute), false, session.ErrReauthenticate},
			{"not strong", user(1), s.alice, s.RequireLevel(2), false, session.ErrReauthenticate},
			{"store down", nil, s.alice, s.RequireLevel(1), true, sessiontest.ErrFault},
			{"unsupported", &webtest.PlainSession{}, s.alice, s.RequireLevel(1), false, errors.ErrUnsupported},
		} {
			told = nil
			if c.broken {
				s.fails("Open")
			}
			if got := guarded(t, c.who, c.s, c.guard); got != http.StatusTeapot || !errors.Is(told, c.want) {
				t.Errorf("%s: got status %d, told %v, want %v", c.name, got, told, c.want)
			}
			for _, other := range []error{session.ErrNotFound, session.ErrReauthenticate, sessiontest.ErrFault} {
				if errors.Is(told, other) && !errors.Is(c.want, other) {
					t.Errorf("%s: also matches %v", c.name, other)
				}
			}
		}
	})
}

// R38, R29: only a login and a reauthentication count as fresh. Nothing else moves the
// time that RequireFresh compares.
func TestRequireFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		s.RenewAfter = time.Minute
		s.anonymous(s.alice)
		s.alice.Do(t, webtest.LogIn(s.Manager, "alice"))
		at := s.alice.Describe(t, s.Manager).AuthenticatedAt
		fresh := s.RequireFresh(15 * time.Minute)
		for name, use := range map[string]func(ctx *mist.Context) error{
			"refresh with renewal": s.RefreshSession,
			"rotation":             s.RotateSession,
			"a read":               func(ctx *mist.Context) error { _, err := s.GetSession(ctx); return err },
			"a write": func(ctx *mist.Context) error {
				return webtest.Loaded(t, s.Manager, ctx).Set(ctx.Request.Context(), "user", "alice")
			},
			"a CSRF token": func(ctx *mist.Context) error {
				_, err := session.CSRFToken(ctx.Request.Context(), webtest.Loaded(t, s.Manager, ctx))
				return err
			},
		} {
			time.Sleep(2 * time.Minute)
			s.alice.Do(t, use)
			if got := s.alice.Describe(t, s.Manager).AuthenticatedAt; !got.Equal(at) {
				t.Errorf("%s moves AuthenticatedAt by %v", name, got.Sub(at))
			}
		}
		time.Sleep(5*time.Minute - 1)
		if got := guarded(t, s.alice, nil, fresh); got != http.StatusOK {
			t.Errorf("a nanosecond before: got status %d, want 200", got)
		}
		time.Sleep(time.Nanosecond)
		if got := guarded(t, s.alice, nil, fresh); got != http.StatusForbidden {
			t.Errorf("then: got status %d, want 403", got)
		}
		s.alice.Do(t, webtest.Reauthenticate(s.Manager))
		if got := guarded(t, s.alice, nil, fresh); got != http.StatusOK {
			t.Errorf("after another login: got status %d, want 200", got)
		}
		s.alice.Visit(t, func(ctx *mist.Context) { // in one request, too
			time.Sleep(time.Hour / 2)
			if _, err := s.LoginWith(ctx, session.Login{User: "alice", Began: time.Now()}); err != nil {
				t.Errorf("LoginWith: %v", err)
			}
			ran := false
			fresh(func(*mist.Context) { ran = true })(ctx)
			if !ran {
				t.Error("not fresh in the request that logs in")
			}
		})
	})
}

// R39: the level is that of the last authentication, whatever the level before it.
func TestRequireLevel(t *testing.T) {
	s := newScene(t)
	level := func(want session.Level) {
		t.Helper()
		for needs := range session.Level(5) {
			if got := guarded(t, s.alice, nil, s.RequireLevel(needs)) == http.StatusOK; got != (needs <= want) {
				t.Errorf("level %d where %d is needed: got through %t", want, needs, got)
			}
		}
	}
	reauthenticate := func(level session.Level) func(ctx *mist.Context) error {
		return func(ctx *mist.Context) error { _, err := s.Reauthenticate(ctx, level); return err }
	}
	s.alice.Do(t, webtest.LogIn(s.Manager, "alice"))
	level(session.Authenticated)
	s.alice.Do(t, reauthenticate(3))
	level(3)
	s.alice.Do(t, reauthenticate(0))
	level(3)
	s.alice.Do(t, s.RotateSession)
	s.alice.Do(t, s.RefreshSession)
	s.alice.Do(t, func(ctx *mist.Context) error {
		return webtest.Loaded(t, s.Manager, ctx).Set(context.WithoutCancel(ctx.Request.Context()), "level", 4)
	})
	level(3)
	s.alice.Do(t, reauthenticate(2))
	level(2)
	s.alice.Do(t, webtest.LogIn(s.Manager, "alice"))
	level(session.Authenticated)
}

func TestRequireFreshPanicsAtWiring(t *testing.T) {
	for _, d := range []time.Duration{0, -1, math.MinInt64} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("RequireFresh(%v) did not panic", d)
				}
			}()
			webtest.NewManager().RequireFresh(d)
		}()
	}
}

// If the store cannot tell the time, the guard lets no request pass and logs nobody
// out.
func TestClockFails(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	var kinds []session.EventKind
	m.OnEvent = func(_ context.Context, e session.Event) { kinds = append(kinds, e.Kind) }
	down := &timeless{describedSession{info: session.Info{User: "ada", AuthenticatedAt: time.Now()}}, &webtest.OutageError{}}
	if got := guarded(t, &webtest.Browser{}, down, m.RequireFresh(time.Hour)); got != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", got)
	}
	if len(kinds) != 1 || kinds[0] != session.EventFailed {
		t.Errorf("got events %v, want one of the failure", kinds)
	}
	if _, err := session.Now(t.Context(), down); !errors.Is(err, down.err) {
		t.Errorf("Now: got %v, want the outage", err)
	}
}

type timeless struct {
	describedSession
	err error
}

func (s *timeless) Now(context.Context) (time.Time, error) { return time.Time{}, s.err }
