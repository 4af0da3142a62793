package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
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
	"github.com/mist-contrib/session/internal/webtest"
)

// spiedClients is a site of sealed sessions in cookies, and what its propagator does.
func spiedClients(t *testing.T, middleware bool, outside ...mist.Middleware) (*clientSite, *webtest.Recorder) {
	t.Helper()
	rec := &webtest.Recorder{}
	p := &webtest.SpyPropagator{Propagator: &cookie.Propagator{Insecure: true}, Recorder: rec}
	return newClientSite(t, &session.Manager{Store: clientStore("a"), Propagator: p}, middleware, outside...), rec
}

// injected is how often the propagator has injected since the last call.
func injected(rec *webtest.Recorder) int { return strings.Count(rec.Take(), "inject") }

// Behind the Middleware all writes of a request are one cookie, made once; without it each
// makes the cookie anew, and the response has the last. What changes nothing writes nothing.
func TestClientWrittenOnce(t *testing.T) {
	for _, middleware := range []bool{false, true} {
		s, rec := spiedClients(t, middleware)
		c := s.visitor(t)
		s.start(t, c, map[string]any{"n": 99})
		rec.Take()
		for name, test := range map[string]struct {
			write func(c context.Context, v session.Session) error
			times int // with the Middleware; without: each
			each  int
		}{
			"a hundred": {func(c context.Context, v session.Session) (err error) {
				for i := range 100 {
					err = errors.Join(err, v.Set(c, "n", i))
				}
				return err
			}, 1, 100},
			"equal": {func(c context.Context, v session.Session) error {
				n, err := v.Get(c, "n")
				return errors.Join(err, v.Set(c, "n", n), session.Delete(c, v, "absent"), session.SetAll(c, v, nil))
			}, 0, 0},
			"refused": {func(c context.Context, v session.Session) error {
				return errors.Join(is("a function", v.Set(c, "n", func() {}), session.ErrValue),
					is("a long text", v.Set(c, "n", strings.Repeat("x", 4096)), session.ErrTooLarge))
			}, 0, 0},
		} {
			resp := s.do(t, c, with(s.m, test.write))
			times := test.each
			if middleware {
				times = test.times
			}
			if got := injected(rec); got != times || given(resp) != test.times {
				t.Errorf("%s, middleware %t: got injected %d times, %d lines, want %d and %d", name, middleware, got, given(resp), times, test.times)
			}
			s.holds(t, c, name, map[string]any{"n": 99})
			if got := injected(rec); got != 0 {
				t.Errorf("%s, middleware %t: a request that reads injected %d times", name, middleware, got)
			}
		}
	}
}

// A rotation and a refresh are one cookie each, also one with a Max-Age. That of a persistent
// session says what is left of its time, however long ago the login was.
func TestClientRenewedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, middleware := range []bool{false, true} {
			rec := &webtest.Recorder{}
			m := &session.Manager{Store: clientStore("a"), Propagator: &webtest.SpyPropagator{Propagator: &cookie.Propagator{MaxAge: time.Hour}, Recorder: rec}}
			around := func(h mist.HandleFunc) mist.HandleFunc { return h }
			if middleware {
				around = m.Middleware()
			}
			b := &webtest.Browser{}
			b.Begin(t, m)
			for _, renew := range []func(ctx *mist.Context) error{m.RotateSession, m.RefreshSession} {
				rec.Take()
				b.Visit(t, around(func(ctx *mist.Context) {
					if err := renew(ctx); err != nil {
						t.Error(err)
					}
				}))
				if n := injected(rec); n != 1 {
					t.Errorf("middleware %t: a renewal injected %d times, want once", middleware, n)
				}
			}
			b.Enter(t, m, session.Login{User: "ada", IdleTimeout: 30 * day, AbsoluteTimeout: 30 * day, Persistent: true})
			time.Sleep(10 * day)
			header := b.Visit(t, around(func(ctx *mist.Context) {
				if err := set(m, "a", 1)(ctx); err != nil {
					t.Error(err)
				}
			}))
			for _, c := range (&http.Response{Header: header}).Cookies() {
				if got := time.Duration(c.MaxAge) * time.Second; got < 20*day || got > 20*day+time.Second {
					t.Errorf("middleware %t: got Max-Age %v, want 20 days", middleware, got)
				}
			}
		}
	})
}

// A write after the header is ErrHeaderWritten and changes nothing; one before it is in the
// cookie, whatever sends the header.
func TestClientHeaderWritten(t *testing.T) {
	s, _ := spiedClients(t, true)
	hijack := func(ctx *mist.Context) {
		conn, _, err := http.NewResponseController(ctx.ResponseWriter).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n")
		_ = ctx.ResponseWriter.Header().Write(conn)
		_, _ = io.WriteString(conn, "\r\n")
		_ = conn.Close()
	}
	for _, write := range append(slices.Clip(webtest.Writes), webtest.Write{Name: "Hijack", Out: true, Do: hijack}) {
		t.Run(write.Name, func(t *testing.T) {
			c := s.visitor(t)
			s.start(t, c, map[string]any{"a": 0})
			want, after := error(nil), map[string]any{"a": 2}
			if write.Out {
				want, after = session.ErrHeaderWritten, map[string]any{"a": 1}
			}
			resp := s.do(t, c, func(ctx *mist.Context) error {
				v, err := s.m.GetSession(ctx)
				if err != nil {
					return err
				}
				reqctx := ctx.Request.Context()
				err = v.Set(reqctx, "a", 1)
				write.Do(ctx)
				errs := []error{err, is("Set", v.Set(reqctx, "a", 2), want), shows(reqctx, "this request", v, after)}
				if write.Out {
					errs = append(errs,
						is("Clear", session.Clear(reqctx, v), want),
						is("Update", session.Update(reqctx, v, "a", func(any) (any, error) { return 3, nil }), want),
						is("SetAll", session.SetAll(reqctx, v, map[string]any{"b": 3}), want),
						is("Refresh", s.m.RefreshSession(ctx), want),
						is("Rotate", s.m.RotateSession(ctx), want),
						is("Login", webtest.LogIn(s.m, "ada")(ctx), want),
						v.Set(reqctx, "a", 1), // the client has it
						shows(reqctx, "this request, in the end", v, after))
				}
				return errors.Join(errs...)
			})
			if n := given(resp); n != 1 {
				t.Errorf("got %d lines, want 1", n)
			}
			s.holds(t, c, "the next request", after)
		})
	}
}

// Whatever becomes of the handler, what it stored is in the response; what comes after the
// Middleware has returned is ErrHeaderWritten.
func TestClientHandlerEnds(t *testing.T) {
	var kept session.Session
	var late func(ctx *mist.Context) // runs outside of the Middleware, after it
	outside := func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			defer func() {
				if recover() != nil {
					ctx.RespStatusCode = http.StatusInternalServerError
				}
				if late != nil {
					late(ctx)
				}
			}()
			next(ctx)
		}
	}
	s, _ := spiedClients(t, true, outside)
	for name, test := range map[string]struct {
		status int
		end    func()
	}{
		"returns":            {http.StatusOK, func() {}},
		"panics":             {http.StatusInternalServerError, func() { panic("oops") }},
		"panics with no one": {http.StatusInternalServerError, func() { panic(http.ErrAbortHandler) }},
	} {
		c := s.visitor(t)
		s.start(t, c, nil)
		late = func(ctx *mist.Context) {
			reqctx := ctx.Request.Context()
			if err := errors.Join(is("after the Middleware", kept.Set(reqctx, "a", 2), session.ErrHeaderWritten),
				shows(reqctx, "after the Middleware", kept, map[string]any{"a": 1})); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		resp := s.do(t, c, with(s.m, func(c context.Context, v session.Session) error {
			kept = v
			if err := v.Set(c, "a", 1); err != nil {
				return err
			}
			test.end()
			return nil
		}))
		late = nil
		if resp.StatusCode != test.status || given(resp) != 1 {
			t.Errorf("%s: got status %d, %d lines, want %d and 1", name, resp.StatusCode, given(resp), test.status)
		}
		s.holds(t, c, name, map[string]any{"a": 1})
	}
}

// Goroutines of a handler store values while the header goes out. Each value whose Set
// returned nil is in the cookie, and no other.
func TestClientHeaderRace(t *testing.T) {
	var all sync.WaitGroup
	outside := func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			defer all.Wait()
			next(ctx)
		}
	}
	s, _ := spiedClients(t, true, outside)
	c := s.visitor(t)
	ways := map[string]func(ctx *mist.Context){"return": func(*mist.Context) {}}
	for _, write := range webtest.Writes {
		if write.Out && !strings.HasPrefix(write.Name, "Resp") {
			ways[write.Name] = write.Do
		}
	}
	stored, refused := 0, 0
	for name, way := range ways {
		for round := range 40 {
			s.start(t, c, nil)
			var mu sync.Mutex
			want := make(map[string]any)
			s.do(t, c, with(s.m, func(context.Context, session.Session) error { return nil }))
			s.do(t, c, func(ctx *mist.Context) error {
				v, err := s.m.GetSession(ctx)
				if err != nil {
					return err
				}
				reqctx := ctx.Request.Context()
				returned := make(chan struct{}, 8)
				for i := range 8 {
					key := fmt.Sprint(i)
					all.Go(func() {
						err := v.Set(reqctx, key, i)
						returned <- struct{}{}
						mu.Lock()
						defer mu.Unlock()
						if err == nil {
							stored++
							want[key] = i
							return
						}
						refused++
						if !errors.Is(err, session.ErrHeaderWritten) {
							t.Errorf("%s: got %v, want ErrHeaderWritten", name, err)
						}
					})
				}
				for range round % 8 {
					<-returned
				}
				way(ctx)
				return nil
			})
			all.Wait()
			mu.Lock()
			s.holds(t, c, name, maps.Clone(want))
			mu.Unlock()
		}
	}
	if stored == 0 || refused == 0 {
		t.Errorf("%d stored, %d refused: nothing raced", stored, refused)
	}
}

// A session that outlives its request can be read, and not written, while the same connection
// serves others.
func TestClientSessionKept(t *testing.T) {
	everyClientSite(t, nil, func(t *testing.T, s *clientSite) {
		c := s.visitor(t)
		s.start(t, c, map[string]any{"a": 1})
		var kept session.Session
		s.do(t, c, with(s.m, func(_ context.Context, v session.Session) error {
			kept = v
			return nil
		}))
		want := session.ErrHeaderWritten
		if !s.middleware {
			want = context.Canceled
		}
		ctx := t.Context()
		var late sync.WaitGroup
		late.Go(func() {
			for i := range 100 {
				if err := errors.Join(is("Set", kept.Set(ctx, "b", i), want), shows(ctx, "kept", kept, map[string]any{"a": 1})); err != nil {
					t.Error(err)
				}
			}
		})
		for i := range 20 {
			s.do(t, c, set(s.m, "a", i))
		}
		late.Wait()
		s.holds(t, c, "the client", map[string]any{"a": 19})
	})
}
