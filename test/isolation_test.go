package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// Thousands of requests of many users and of nobody interleave on two servers
// of one process, each with its own manager: every answer shows the visitor's
// own name, or nobody's.
func TestIsolation(t *testing.T) {
	for _, middleware := range []bool{false, true} {
		t.Run(fmt.Sprintf("middleware=%t", middleware), func(t *testing.T) {
			const (
				visitors = 30 // at once
				requests = 100
			)
			began := time.Now()
			var sites [2]*webtest.Site
			for i := range sites {
				sites[i] = crowdedSite(t, middleware)
			}
			var tally tally
			var all sync.WaitGroup
			for i := range visitors {
				v := &visitor{
					t: t, site: sites[i%2], other: sites[(i+1)%2], client: sites[i%2].Visitor(t), tally: &tally,
					name: fmt.Sprint("visitor-", i), random: rand.New(rand.NewPCG(uint64(i), 2)),
				}
				all.Go(func() {
					for range requests {
						v.act(i % 3)
					}
				})
			}
			all.Wait()
			t.Logf("%d requests: %d own, %d nobody, %d foreign, in %v",
				tally.own.Load()+tally.none.Load()+tally.foreign.Load()+tally.rest.Load(),
				tally.own.Load(), tally.none.Load(), tally.foreign.Load(), time.Since(began).Round(time.Millisecond))
			if n := tally.foreign.Load(); n != 0 {
				t.Errorf("%d answers showed somebody else's session", n)
			}
			if n := tally.lost.Load(); n != 0 {
				t.Errorf("%d answers showed nobody to somebody who is logged in", n)
			}
			if tally.own.Load() < visitors*requests/10 || tally.none.Load() < visitors*requests/10 {
				t.Error("too few of one kind: this shows little")
			}
		})
	}
}

// tally counts what answers showed.
type tally struct{ own, none, foreign, lost, rest atomic.Int64 }

// crowdedSite answers /who in several ways that differ in what they do to the
// pooled context.
func crowdedSite(t *testing.T, middleware bool) *webtest.Site {
	t.Helper()
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Insecure: true}}
	around := []mist.Middleware{func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) { // as mist's own for OpenTelemetry
			ctx.Request = ctx.Request.WithContext(context.WithValue(ctx.Request.Context(), tally{}, 1))
			next(ctx)
		}
	}}
	if middleware {
		around = append(around, m.Middleware())
	}
	s := webtest.Serve(t, false, around...)
	webtest.LoginAndWho(s.Mist, m)
	s.Mist.GET("/rotate", func(ctx *mist.Context) { webtest.Respond(ctx, "rotated", m.RotateSession(ctx)) })
	s.Mist.GET("/together", func(ctx *mist.Context) {
		var (
			all   sync.WaitGroup
			names [4]string
			errs  [4]error
		)
		for i := range names {
			all.Go(func() { names[i], errs[i] = webtest.NameOf(ctx, m) })
		}
		all.Wait()
		for i := range names {
			if names[i] != names[0] || (errs[i] == nil) != (errs[0] == nil) {
				errs[0] = errors.New("two goroutines of one request differ")
			}
		}
		webtest.Respond(ctx, names[0], errs[0])
	})
	s.Mist.GET("/context", func(ctx *mist.Context) {
		if !middleware {
			name, err := webtest.NameOf(ctx, m)
			webtest.Respond(ctx, name, err)
			return
		}
		opened, err := session.FromContext(ctx.Request.Context())
		if err != nil {
			webtest.Respond(ctx, "", err)
			return
		}
		v, err := opened.Get(ctx.Request.Context(), "name")
		webtest.Respond(ctx, fmt.Sprint(v), err)
	})
	s.Mist.GET("/guarded", func(ctx *mist.Context) {
		name, err := webtest.NameOf(ctx, m)
		webtest.Respond(ctx, name, err)
	}, m.RequireSession())
	s.Mist.GET("/json", func(ctx *mist.Context) {
		name, err := webtest.NameOf(ctx, m)
		webtest.Respond(ctx, name, err)
		name = string(ctx.RespData)
		ctx.ResponseWriter.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(ctx.ResponseWriter, name)
		ctx.RespData = nil
	})
	s.Mist.GET("/panic", func(ctx *mist.Context) {
		_, _ = m.GetSession(ctx)
		panic(http.ErrAbortHandler)
	})
	if !middleware {
		t.Cleanup(func() { s.ServerLog() }) // mist's second WriteHeader
	}
	return s
}

// A visitor is a browser with a name.
type visitor struct {
	t      *testing.T
	site   *webtest.Site
	other  *webtest.Site
	client *http.Client
	tally  *tally
	name   string
	random *rand.Rand
	logins int
	marker string   // what answers must show; empty: nobody
	dead   []string // cookies of sessions that were logged out
}

// act sends a request: kind 0 stays logged in, 1 logs in and out, 2 is nobody.
func (v *visitor) act(kind int) {
	n := v.random.IntN(20)
	switch {
	case kind != 2 && v.marker == "", kind != 2 && n == 0:
		v.logins++
		v.marker = fmt.Sprint(v.name, "/", v.logins)
		v.page("/login?as=" + v.marker)
		v.tally.rest.Add(1)
	case kind == 1 && n == 1:
		v.dead = append(v.dead, v.cookie())
		v.page("/logout")
		v.marker = ""
		v.tally.rest.Add(1)
		v.look("/who")
		v.replay(v.site, v.dead[v.random.IntN(len(v.dead))])
	case kind == 0 && n == 2:
		v.replay(v.other, v.cookie())
	case n == 3:
		v.page("/panic")
		v.tally.rest.Add(1)
	case kind != 2 && n == 4:
		v.page("/rotate")
		v.tally.rest.Add(1)
	default:
		v.look([]string{"/who", "/together", "/context", "/guarded", "/json"}[n%5])
	}
}

// replay sends the cookie of a session that was logged out, or that another
// site made: it shows nobody.
func (v *visitor) replay(s *webtest.Site, value string) {
	req := v.request(s, "/who")
	req.AddCookie(&http.Cookie{Name: "session", Value: value})
	client := *v.client
	client.Jar = nil
	marker := v.marker
	v.marker = ""
	v.judge(v.do(&client, req))
	v.marker = marker
}

func (v *visitor) cookie() string {
	for _, c := range v.client.Jar.Cookies(v.request(v.site, "/").URL) {
		return c.Value
	}
	return ""
}

func (v *visitor) look(path string) { v.judge(v.page(path)) }

func (v *visitor) judge(shown string) {
	switch {
	case shown == v.marker && v.marker != "":
		v.tally.own.Add(1)
	case shown == webtest.Anonymous && v.marker == "":
		v.tally.none.Add(1)
	case shown == webtest.Anonymous:
		v.tally.lost.Add(1)
	default:
		v.tally.foreign.Add(1)
		v.t.Errorf("%q was shown %q", v.marker, shown)
	}
}

func (v *visitor) page(path string) string { return v.do(v.client, v.request(v.site, path)) }

func (v *visitor) request(s *webtest.Site, path string) *http.Request {
	req, err := http.NewRequestWithContext(v.t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		panic(err)
	}
	return req
}

func (v *visitor) do(c *http.Client, req *http.Request) string {
	resp, err := c.Do(req)
	if err != nil {
		if req.URL.Path != "/panic" {
			v.t.Errorf("%s: %v", req.URL.Path, err)
		}
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Errorf("%s: %v", req.URL.Path, err)
	}
	if resp.StatusCode == http.StatusUnauthorized {
		return webtest.Anonymous
	}
	return string(body)
}
