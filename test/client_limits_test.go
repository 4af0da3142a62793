package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"
	noopm "go.opentelemetry.io/otel/metric/noop"
	noopt "go.opentelemetry.io/otel/trace/noop"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/sealed"
	"github.com/mist-contrib/session/sessionotel"
	"github.com/mist-contrib/session/sessiontest"
)

// A cookie of an old key is replaced by a request that only reads, once. A request whose
// header is out leaves it for the next. A key that is gone logs out, with 401.
func TestClientKeyRotation(t *testing.T) {
	for _, middleware := range []bool{false, true} {
		serveKeys := func(names ...string) *clientSite {
			return newClientSite(t, &session.Manager{Store: clientStore(names...), Propagator: clientWays["cookie"]()}, middleware)
		}
		c := serveKeys("old").visitor(t)
		serveKeys("old").start(t, c, map[string]any{"a": 1})
		read := func(m *session.Manager) func(ctx *mist.Context) error {
			return with(m, func(c context.Context, s session.Session) error { return shows(c, "read", s, map[string]any{"a": 1}) })
		}
		both := serveKeys("new", "old")
		resp := both.do(t, c, func(ctx *mist.Context) error {
			if !middleware { // there nobody knows that it is out
				return nil
			}
			ctx.ResponseWriter.WriteHeader(http.StatusOK)
			return read(both.m)(ctx)
		})
		lines := []int{given(resp)}
		for range 3 {
			lines = append(lines, given(both.do(t, c, read(both.m))))
		}
		if got := fmt.Sprint(lines); got != "[0 1 0 0]" {
			t.Errorf("middleware %t: got cookies %v, want one when the header was not out", middleware, got)
		}
		serveKeys("new").holds(t, c, "the old key is gone", map[string]any{"a": 1})
		gone := serveKeys("old")
		resp = gone.do(t, c, func(ctx *mist.Context) error {
			gone.m.RequireSession()(func(*mist.Context) { t.Error("let through") })(ctx)
			return nil
		})
		if resp.StatusCode != http.StatusUnauthorized || given(resp) != 0 {
			t.Errorf("a key that is gone: got status %d, %d cookies, want 401", resp.StatusCode, given(resp))
		}
	}
}

// A propagator that fails: without the Middleware a write has its error and changes nothing,
// with it OnEvent is told.
func TestClientInjectFails(t *testing.T) {
	for _, middleware := range []bool{false, true} {
		s, rec := spiedClients(t, middleware)
		var events []session.Event
		s.m.OnEvent = func(_ context.Context, e session.Event) { events = append(events, e) }
		c := s.visitor(t)
		s.start(t, c, map[string]any{"a": 1})
		events = nil
		down := &webtest.OutageError{}
		rec.Fail(webtest.Fault{Op: "inject", After: false, Err: down})
		resp := s.do(t, c, with(s.m, func(c context.Context, v session.Session) error {
			err := v.Set(c, "a", 2)
			if middleware {
				return err
			}
			return errors.Join(is("Set", err, down), shows(c, "refused", v, map[string]any{"a": 1}))
		}))
		told := len(events) == 1 && events[0].Kind == session.EventFailed && errors.Is(events[0].Cause, down)
		if given(resp) != 0 || told != middleware || !middleware && len(events) != 0 {
			t.Errorf("middleware %t: got %d cookies, %d events, told %t", middleware, given(resp), len(events), told)
		}
		s.holds(t, c, "after the failure", map[string]any{"a": 1})
	}
}

// A context without a response writer can read, and a write is an error.
func TestClientWithoutWriter(t *testing.T) {
	for _, keys := range [][]string{{"a"}, {"b", "a"}} { // also where a new seal would be due
		b := &webtest.Browser{}
		b.Begin(t, &session.Manager{Store: clientStore("a"), Propagator: &cookie.Propagator{}})
		m := &session.Manager{Store: clientStore(keys...), Propagator: &cookie.Propagator{}}
		ctx := &mist.Context{Request: b.Request(t.Context())}
		v, err := m.GetSession(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Set(t.Context(), "a", 1); err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("Set: got %v, want an error of its own", err)
		}
		if err := shows(t.Context(), "without a writer", v, map[string]any{"cart": "apples"}); err != nil {
			t.Error(err)
		}
	}
}

// A Set-Cookie line never has more than 4096 bytes; a value that makes it longer is
// ErrTooLarge, and the client keeps what it had. Nothing stands in the way of a login,
// rotation or refresh of a session that just fits.
func TestClientFull(t *testing.T) {
	for _, p := range []*cookie.Propagator{
		{}, {MaxAge: time.Hour}, {Name: strings.Repeat("n", 300), Path: "/" + strings.Repeat("p", 200), Domain: strings.Repeat("d", 60) + ".example.com"},
	} {
		for _, persistent := range []bool{false, true} {
			st := clientStore("a")
			st.IdleTimeout, st.AbsoluteTimeout = 400*day, 400*day // the longest Max-Age
			m := &session.Manager{Store: st, Propagator: p}
			b := &webtest.Browser{}
			visit := func(handler func(ctx *mist.Context) error) error {
				var err error
				for _, line := range b.Visit(t, func(ctx *mist.Context) { err = handler(ctx) })["Set-Cookie"] {
					if len(line) > 4096 {
						t.Errorf("got a line of %d bytes", len(line))
					}
				}
				return err
			}
			if err := visit(func(ctx *mist.Context) error {
				_, err := m.LoginWith(ctx, session.Login{User: "ada", Persistent: persistent})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			var fits, over int
			for n := 1700; n < 3200 && over < 3; n++ {
				err := visit(set(m, "v", strings.Repeat("x", n)))
				switch {
				case err == nil:
					fits = n
				case errors.Is(err, session.ErrTooLarge):
					over++
				default:
					t.Fatal(err)
				}
				if (err == nil) != (over == 0) {
					t.Errorf("%d bytes fit, and fewer did not", n)
				}
			}
			for _, step := range []func(ctx *mist.Context) error{
				func(*mist.Context) error { return nil }, m.RotateSession, m.RefreshSession, webtest.Reauthenticate(m), webtest.LogIn(m, "ada"),
			} {
				if err := visit(step); err != nil {
					t.Error(err)
				}
				if err := visit(with(m, func(c context.Context, s session.Session) error {
					v, err := s.Get(c, "v")
					if text, _ := v.(string); err == nil && (len(text) != fits || fits == 0 || over != 3) {
						err = fmt.Errorf("got %d bytes, want the %d that fit", len(text), fits)
					}
					return err
				})); err != nil {
					t.Error(err)
				}
			}
		}
	}
	b := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: "1" + strings.Repeat("A", 4096)}}
	b.IsNobody(t, &session.Manager{Store: clientStore("a"), Propagator: &cookie.Propagator{}})
}

// A failure of a store around sealed.Store is an error for the application, and the client
// keeps what it has.
func TestClientFaults(t *testing.T) {
	for _, kind := range []sessiontest.Fault{sessiontest.FailBefore, sessiontest.FailAfter} {
		for name, test := range map[string]struct {
			op string
			do func(m *session.Manager) func(ctx *mist.Context) error
		}{
			"Open":    {"Open", func(m *session.Manager) func(ctx *mist.Context) error { return set(m, "a", 2) }},
			"Set":     {"Session.Set", func(m *session.Manager) func(ctx *mist.Context) error { return set(m, "a", 2) }},
			"Refresh": {"Refresh", func(m *session.Manager) func(ctx *mist.Context) error { return m.RefreshSession }},
			"Rotate":  {"Rotate", func(m *session.Manager) func(ctx *mist.Context) error { return m.RotateSession }},
			"Login":   {"Login", func(m *session.Manager) func(ctx *mist.Context) error { return webtest.LogIn(m, "ada") }},
			"Init": {"Generate", func(m *session.Manager) func(ctx *mist.Context) error {
				return func(ctx *mist.Context) error { _, err := m.InitSession(ctx); return err }
			}},
			"Remove": {"Remove", func(m *session.Manager) func(ctx *mist.Context) error { return m.RemoveSession }},
		} {
			for _, middleware := range []bool{false, true} {
				st := &sessiontest.FaultStore{Store: clientStore("a")}
				s := newClientSite(t, &session.Manager{Store: st, Propagator: clientWays["cookie"]()}, middleware)
				c := s.visitor(t)
				s.start(t, c, map[string]any{"a": 1})
				st.Reset(func(call sessiontest.Call) sessiontest.Fault {
					if call.Op == test.op {
						return kind
					}
					return sessiontest.None
				})
				resp := s.do(t, c, func(ctx *mist.Context) error { return is(name, test.do(s.m)(ctx), sessiontest.ErrFault) })
				st.Reset(nil)
				if kind == sessiontest.FailBefore && given(resp) != 0 {
					t.Errorf("%s: the failure gave the client a cookie", name)
				}
				want := map[string]any{"a": 1}
				if kind == sessiontest.FailAfter { // it was done, and the answer lost
					switch name {
					case "Set":
						want["a"] = 2
					case "Init":
						clear(want)
					}
				}
				s.holds(t, c, name, want)
			}
		}
	}
}

// Spans around sealed.Store change nothing.
func TestClientObserved(t *testing.T) {
	traced := func(m *session.Manager, _ *sealed.Store) {
		m.Store = &sessionotel.Store{Store: m.Store, TracerProvider: noopt.NewTracerProvider(), MeterProvider: noopm.NewMeterProvider()}
	}
	everyClientSite(t, traced, func(t *testing.T, s *clientSite) {
		c := s.visitor(t)
		s.start(t, c, map[string]any{"a": 1})
		for _, step := range []func(ctx *mist.Context) error{set(s.m, "b", 2), webtest.LogIn(s.m, "ada"), s.m.RotateSession, s.m.RefreshSession} {
			if n := given(s.do(t, c, step)); n != 1 {
				t.Errorf("got %d lines, want 1", n)
			}
			s.holds(t, c, "observed", map[string]any{"a": 1, "b": 2})
		}
		s.do(t, c, s.m.RemoveSession)
		s.holds(t, c, "removed", nil)
	})
}

// Events tell why a session ended, and never show a seal.
func TestClientEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := clientStore("a")
		st.IdleTimeout, st.AbsoluteTimeout = time.Hour, 3*time.Hour
		var log []string
		m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, OnEvent: func(_ context.Context, e session.Event) {
			log = append(log, fmt.Sprintf("%+v %v", e, e.Cause))
		}}
		b := &webtest.Browser{}
		var seals []string
		step := func(kind session.EventKind, handler func(ctx *mist.Context) error) {
			t.Helper()
			log = nil
			b.Visit(t, func(ctx *mist.Context) { _ = handler(ctx) })
			seals = append(seals, b.Cookies[webtest.CookieName])
			if all := strings.Join(log, "\n"); len(log) != 1 || !strings.Contains(all, "Kind:"+string(kind)+" ") {
				t.Errorf("got %d events, want %s", len(log), kind)
			}
			for _, seal := range seals {
				if seal != "" && strings.Contains(strings.Join(log, "\n"), seal[:min(len(seal), 12)]) {
					t.Errorf("%s: the event shows a seal", kind)
				}
			}
		}
		get := func(ctx *mist.Context) error { _, err := m.GetSession(ctx); return err }
		step(session.EventCreated, func(ctx *mist.Context) error { _, err := m.InitSession(ctx); return err })
		step(session.EventLogin, webtest.LogIn(m, "ada"))
		step(session.EventReauthenticated, webtest.Reauthenticate(m))
		step(session.EventRotated, m.RotateSession)
		kept := b.Tab()
		step(session.EventRemoved, m.RemoveSession)
		b = kept
		time.Sleep(time.Hour + time.Second) // the clock stood still, and logins are some nanoseconds apart
		step(session.EventExpiredIdle, get)
		time.Sleep(2 * time.Hour)
		step(session.EventExpiredAbsolute, get)
		b.Cookies[webtest.CookieName] = "1" + strings.Repeat("A", 100)
		step(session.EventUnknown, get)
		b.Cookies[webtest.CookieName] = "no seal"
		step(session.EventMalformed, get)
	})
}

// What this is for costs the other stores nothing: their token goes to the client within
// the call, also behind the Middleware, and no value of theirs makes a cookie.
func TestClientSeamLeavesOthers(t *testing.T) {
	m, rec := webtest.Spied()
	w := httptest.NewRecorder()
	m.Middleware()(func(ctx *mist.Context) {
		for _, step := range []func(ctx *mist.Context) error{
			func(ctx *mist.Context) error { _, err := m.InitSession(ctx); return err }, webtest.LogIn(m, "ada"), m.RotateSession,
		} {
			rec.Take()
			if err := step(ctx); err != nil || injected(rec) != 1 {
				t.Errorf("got %v, or not one token", err)
			}
		}
		if err := set(m, "a", 1)(ctx); err != nil || injected(rec) != 0 {
			t.Errorf("Set: got %v, or a token", err)
		}
		_, _ = io.WriteString(ctx.ResponseWriter, "x")
	})(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: w})
	if injected(rec) != 0 || len(w.Header()["Set-Cookie"]) != 1 {
		t.Error("the header going out made a token")
	}
}
