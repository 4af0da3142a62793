package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// causes names the possible causes of an event, special ones first.
var causes = []struct {
	err  error
	name string
}{
	{session.ErrMultiple, "ErrMultiple"},
	{session.ErrRevoked, "ErrRevoked"},
	{session.ErrReused, "ErrReused"},
	{session.ErrExpiredIdle, "ErrExpiredIdle"},
	{session.ErrExpiredAbsolute, "ErrExpiredAbsolute"},
	{session.ErrUserLimit, "ErrUserLimit"},
	{session.ErrForged, "ErrForged"},
	{session.ErrFull, "ErrFull"},
	{sessiontest.ErrFault, "ErrFault"},
	{context.DeadlineExceeded, "DeadlineExceeded"},
	{session.ErrNotFound, "ErrNotFound"},
}

// An eventLog keeps the events of a hook: kind, session, user, previous session, count,
// cause.
type eventLog struct {
	mu    sync.Mutex
	lines []string
}

func (l *eventLog) hook(_ context.Context, e session.Event) {
	line := string(e.Kind)
	for _, s := range []string{e.Session, e.User} {
		if s == "" {
			s = "-"
		}
		line += " " + s
	}
	if e.Previous != "" {
		line += " after " + e.Previous
	}
	if e.Count != 0 {
		line += fmt.Sprint(" ", e.Count)
	}
	if e.Cause != nil {
		i := slices.IndexFunc(causes, func(c struct {
			err  error
			name string
		},
		) bool {
			return errors.Is(e.Cause, c.err)
		})
		if i < 0 {
			line += " " + e.Cause.Error()
		} else {
			line += " " + causes[i].name
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// take returns the events since the last call.
func (l *eventLog) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Join(l.lines, "; ")
	l.lines = nil
	return lines
}

// A scene has a manager, two browsers and the log of its events. The sessions are named
// s1, s2 and so on, in the order of their creation. The store fails as faults says.
type scene struct {
	*testing.T
	*session.Manager
	eventLog

	faults     *sessiontest.FaultStore
	alice, bob *webtest.Browser
	made       int
}

func newScene(t *testing.T) *scene {
	t.Helper()
	faults := &sessiontest.FaultStore{Store: &memory.Store{IdleTimeout: time.Hour, AbsoluteTimeout: 3 * time.Hour}}
	s := &scene{T: t, faults: faults, alice: &webtest.Browser{}, bob: &webtest.Browser{}}
	s.Manager = &session.Manager{Store: faults, Propagator: &cookie.Propagator{}, OnEvent: s.hook}
	s.NewID = func() string { s.made++; return fmt.Sprint("s", s.made) }
	return s
}

// setting forgets the events before the scene.
func (s *scene) setting(f func()) {
	f()
	synctest.Wait()
	s.take()
}

// anonymous gives a browser a session.
func (s *scene) anonymous(b *webtest.Browser) { b.BeginNamed(s.T, s.Manager, "name") }

// logsIn is a login that may be refused.
func (s *scene) logsIn(b *webtest.Browser, user string) (err error) {
	b.Visit(s.T, func(ctx *mist.Context) { _, err = s.Login(ctx, user) })
	return err
}

// sends asks for the session with any text as the token, several times in one request.
func (s *scene) sends(value string) {
	(&webtest.Browser{}).Visit(s.T, func(ctx *mist.Context) {
		ctx.Request.Header.Set("Cookie", webtest.CookieName+"="+value)
		s.ask(ctx)
	})
}

func (s *scene) asks(b *webtest.Browser) { b.Visit(s.T, s.ask) }

func (s *scene) ask(ctx *mist.Context) {
	webtest.Wrap(func(ctx *mist.Context) {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { _, _ = s.GetSession(ctx) })
			all.Go(func() { _, _ = session.FromContext(ctx.Request.Context()) })
		}
		all.Wait()
		s.RequireSession()(func(*mist.Context) {})(ctx)
	}, s.Middleware())(ctx)
}

// fails makes every call of that name fail.
func (s *scene) fails(op string) {
	s.faults.Reset(func(c sessiontest.Call) sessiontest.Fault {
		if c.Op == op {
			return sessiontest.FailBefore
		}
		return sessiontest.None
	})
}

// play runs scenes, each in a bubble of its own, and compares their events.
func play(t *testing.T, scenes map[string]func(s *scene) (want string)) {
	t.Helper()
	for name, run := range scenes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScene(t)
				want := run(s)
				if got := s.take(); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		})
	}
}

const unknownSecret = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// R49: a request that gets no session causes one event, with the reason.
func TestEventsOfRefusals(t *testing.T) {
	play(t, map[string]func(s *scene) string{
		"a request without an identifier is none": func(s *scene) string {
			s.asks(&webtest.Browser{})
			return ""
		},
		"a request with a session is none": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			s.asks(s.alice)
			return ""
		},
		"unknown": func(s *scene) string {
			s.sends("nobody." + unknownSecret)
			return "unknown nobody - ErrNotFound"
		},
		"a guess": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			s.sends("s1." + unknownSecret)
			return "unknown s1 - ErrNotFound"
		},
		"each request is told of": func(s *scene) string {
			s.sends("a." + unknownSecret)
			s.sends("b." + unknownSecret)
			return "unknown a - ErrNotFound; unknown b - ErrNotFound"
		},
		"after the logout": func(s *scene) string {
			s.setting(func() {
				s.anonymous(s.alice)
				stale := s.alice.Tab()
				s.alice.Do(s.T, s.RemoveSession)
				s.alice = stale
			})
			s.asks(s.alice)
			return "unknown s1 - ErrNotFound"
		},
		"malformed token":  func(s *scene) string { s.sends("no-token"); return "malformed - - ErrNotFound" },
		"malformed cookie": func(s *scene) string { s.sends(`a"b`); return "malformed - - ErrNotFound" },
		"malformed header": func(s *scene) string {
			s.Propagator = &header.Propagator{}
			s.withHeader("Bearer \x01")
			return "malformed - - ErrNotFound"
		},
		"no header":      func(s *scene) string { s.Propagator = &header.Propagator{}; s.withHeader(); return "" },
		"another scheme": func(s *scene) string { s.Propagator = &header.Propagator{}; s.withHeader("Basic x"); return "" },
		"duplicate": func(s *scene) string {
			s.sends("a." + unknownSecret + "; " + webtest.CookieName + "=b." + unknownSecret)
			return "duplicate - - ErrMultiple"
		},
		"duplicate in a chain": func(s *scene) string {
			s.Propagator = session.Chain{&cookie.Propagator{}, &header.Propagator{}}
			s.withHeader("Bearer x", "Bearer y")
			return "duplicate - - ErrMultiple"
		},
		"nothing in a chain": func(s *scene) string {
			s.Propagator = session.Chain{&cookie.Propagator{}, &header.Propagator{}}
			s.asks(&webtest.Browser{})
			return ""
		},
		"reused": func(s *scene) string {
			var stale *webtest.Browser
			s.setting(func() {
				s.anonymous(s.alice)
				stale = s.alice.Tab()
				s.alice.Rotate(s.T, s.Manager)
			})
			s.asks(stale) // the response may have been lost
			s.asks(s.alice)
			time.Sleep(30*time.Second - 1)
			s.asks(stale)
			time.Sleep(time.Nanosecond)
			if got := s.take(); got != "" {
				s.Errorf("in the grace: got %s", got)
			}
			s.asks(stale)
			s.asks(s.alice)
			return "reused s1 - ErrReused"
		},
		"expired idle": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice); time.Sleep(time.Hour - 1) })
			s.asks(s.alice)
			time.Sleep(time.Nanosecond)
			s.asks(s.alice)
			return "expired_idle s1 - ErrExpiredIdle"
		},
		"expired absolute": func(s *scene) string {
			s.setting(func() {
				s.anonymous(s.alice)
				for range 5 {
					time.Sleep(30 * time.Minute)
					s.alice.Do(s.T, s.RefreshSession)
				}
				time.Sleep(30 * time.Minute)
			})
			s.asks(s.alice)
			return "expired_absolute s1 - ErrExpiredAbsolute"
		},
		"the store is down": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			s.fails("Open")
			s.asks(s.alice)
			return "failed s1 - ErrFault"
		},
		"the store is too slow": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			s.faults.Reset(func(sessiontest.Call) sessiontest.Fault { return sessiontest.Hang })
			ctx, cancel := context.WithTimeout(s.Context(), time.Second)
			defer cancel()
			s.alice.Answer(ctx, func(ctx *mist.Context) { _, _ = s.GetSession(ctx) })
			return "failed s1 - DeadlineExceeded"
		},
		"a client that leaves is none": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			ctx, cancel := context.WithCancel(s.Context())
			cancel()
			s.alice.Answer(ctx, func(ctx *mist.Context) { _, _ = s.GetSession(ctx) })
			return ""
		},
	})
}

// withHeader asks for the session with lines of an Authorization header.
func (s *scene) withHeader(lines ...string) {
	(&webtest.Browser{}).Visit(s.T, func(ctx *mist.Context) {
		ctx.Request.Header["Authorization"] = lines
		for range 2 {
			_, _ = s.GetSession(ctx)
		}
	})
}

// The clients of a plain store carry the id itself, so no event contains it or a part
// of it.
func TestEventsOfPlainStore(t *testing.T) {
	play(t, map[string]func(s *scene) string{
		"": func(s *scene) string {
			rec := &webtest.Recorder{}
			s.Store = &webtest.PlainStore{Recorder: rec}
			s.NewID = func() string { return "id." + unknownSecret } // as a token looks
			s.anonymous(s.alice)
			s.asks(s.alice)
			_, ran := post(s.T, s.alice, s.Manager, nil, func(r *http.Request) {}, nil)
			if ran {
				s.Error("a request without a CSRF token got through")
			}
			rec.Fail(webtest.Fault{Op: "Refresh", After: false, Err: sessiontest.ErrFault})
			s.alice.Visit(s.T, func(ctx *mist.Context) { _ = s.RefreshSession(ctx) })
			stale := s.alice.Tab()
			s.alice.Do(s.T, s.RemoveSession)
			s.asks(stale)
			return "created - -; forged - - ErrForged; failed - - ErrFault; removed - -; unknown - - ErrNotFound"
		},
	})
}
