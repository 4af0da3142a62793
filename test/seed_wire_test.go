package session_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
)

// seedEnds are the ways in which a handler ends. lost: the response does not reach the client.
var seedEnds = []struct {
	name string
	lost bool
	do   func(ctx *mist.Context, leave func())
}{
	{"it returns", false, func(*mist.Context, func()) {}},
	{"it answers by mist", false, func(ctx *mist.Context, _ func()) { _ = ctx.RespondWithJSON(http.StatusOK, "page") }},
	{"it writes the header twice", false, func(ctx *mist.Context, _ func()) {
		ctx.ResponseWriter.WriteHeader(http.StatusOK)
		ctx.ResponseWriter.WriteHeader(http.StatusTeapot)
	}},
	{"it flushes", false, func(ctx *mist.Context, _ func()) { _ = http.NewResponseController(ctx.ResponseWriter).Flush() }},
	{"it panics", true, func(*mist.Context, func()) { panic(http.ErrAbortHandler) }},
	{"it ends its goroutine", true, func(*mist.Context, func()) { runtime.Goexit() }},
	{"it takes over the connection", true, func(ctx *mist.Context, _ func()) {
		conn, _, err := http.NewResponseController(ctx.ResponseWriter).Hijack()
		if err != nil {
			panic(err)
		}
		_ = conn.Close()
	}},
	{"the client leaves", true, func(ctx *mist.Context, leave func()) {
		leave()
		<-ctx.Request.Context().Done()
		_, _ = ctx.ResponseWriter.Write([]byte("page"))
	}},
}

// Whatever happens to a request on a real connection, its session is finished exactly once:
// a sealed session is written once, and nothing is left for the next request. If the response
// gets lost, a sealed session is as the client has it, and a stored one has all writes.
// Without the Middleware each write of a sealed session is given at once, in one cookie.
func TestSeedFinishedOnceOnTheWire(t *testing.T) {
	for name := range seedStores() {
		for _, behind := range []bool{true, false} {
			for _, end := range seedEnds {
				t.Run(fmt.Sprintf("%s/middleware=%t/%s", name, behind, end.name), func(t *testing.T) {
					injects, lines, after := int32(0), 0, 2
					if name == "sealed" {
						injects, lines = 3, 1
						if behind {
							injects = 1
						}
						if end.lost {
							after = 100
						}
					}
					p := &countedPropagator{Propagator: &cookie.Propagator{Insecure: true}}
					m := &session.Manager{Store: seedStores()[name], Propagator: p}
					finished := make(chan struct{})
					around := []mist.Middleware{afterwards("/end", func(ctx *mist.Context) {
						defer close(finished)
						check(t, "given to the client when the Middleware returns", p.given.Load(), injects, nil)
						if left := ctx.UserValues["session"]; left != nil && behind {
							t.Errorf("a %T is left for the next request", left)
						}
					})}
					if behind {
						around = append(around, m.Middleware())
					}
					s := webtest.Serve(t, false, around...)
					reqctx, leave := context.WithCancel(t.Context())
					defer leave()
					countingPages(t, s, m, func(ctx *mist.Context) { end.do(ctx, leave) })
					client, visitor := s.Visitor(t), s.Visitor(t)
					s.Fetch(t, client, "/start")
					p.given.Store(0)

					// POST, because the client sends a GET again when its connection breaks off.
					req, err := http.NewRequestWithContext(reqctx, http.MethodPost, s.URL+"/end", nil)
					if err != nil {
						t.Fatal(err)
					}
					resp, err := client.Do(req)
					if (err != nil) != end.lost {
						t.Fatalf("the response got lost: %t, want %t", err != nil, end.lost)
					}
					if err == nil {
						check(t, "Set-Cookie lines", len(resp.Header["Set-Cookie"]), lines, resp.Body.Close())
					}
					<-finished
					for range 5 { // mist hands its contexts on
						_, k := s.Fetch(t, visitor, "/k")
						check(t, "of a visitor after that", k, webtest.Anonymous, nil)
					}
					_, k := s.Fetch(t, client, "/k")
					check(t, "in the next request", k, fmt.Sprint(after), nil)
					s.Close() // waits for what mist does after the Middleware
					check(t, "given to the client", p.given.Load(), injects, nil)
					if !behind {
						s.ServerLog() // only the Middleware keeps mist from a second header
					}
				})
			}
		}
	}
}

// afterwards is a middleware that calls f when a request of path is over, however it ends.
func afterwards(path string, f func(ctx *mist.Context)) mist.Middleware {
	return func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			if ctx.Request.URL.Path == path {
				defer f(ctx)
			}
			next(ctx)
		}
	}
}

// countingPages gives a site three pages: /start makes a session with a number, /end writes
// to it three times and goes on with end, /k shows it.
func countingPages(t *testing.T, s *webtest.Site, m *session.Manager, end func(ctx *mist.Context)) {
	t.Helper()
	set := func(ctx *mist.Context, found session.Session, k int) {
		check(t, "Set", found.Set(ctx.Request.Context(), "k", k), error(nil), nil)
	}
	s.Mist.GET("/start", func(ctx *mist.Context) { set(ctx, sound(t)(m.InitSession(ctx)), 100) })
	s.Mist.POST("/end", func(ctx *mist.Context) {
		found := sound(t)(m.GetSession(ctx))
		for k := range 3 {
			set(ctx, found, k)
		}
		end(ctx)
	})
	s.Mist.GET("/k", func(ctx *mist.Context) {
		found, err := m.GetSession(ctx)
		var k any
		if err == nil {
			k, err = found.Get(ctx.Request.Context(), "k")
		}
		webtest.Respond(ctx, fmt.Sprint(k), err)
	})
}
