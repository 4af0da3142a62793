package session_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/sealed"
)

// clientStore returns a store of sealed sessions with the keys of these names.
func clientStore(names ...string) *sealed.Store {
	st := new(sealed.Store)
	for _, name := range names {
		sum := sha256.Sum256([]byte("key of a test: " + name))
		st.Keys = append(st.Keys, sum[:])
	}
	return st
}

// clientWays are how a client carries its session.
var clientWays = map[string]func() session.Propagator{
	"cookie": func() session.Propagator { return &cookie.Propagator{Insecure: true} },
	"header": func() session.Propagator { return &header.Propagator{} },
	"chain to cookie": func() session.Propagator {
		return session.Chain{&cookie.Propagator{Insecure: true}, &header.Propagator{}}
	},
	"chain to header": func() session.Propagator {
		return session.Chain{&header.Propagator{}, &cookie.Propagator{Insecure: true}}
	},
}

// A clientSite is a site with sessions that its clients keep. A request runs what its test
// says.
type clientSite struct {
	*webtest.Site
	m          *session.Manager
	cookies    bool // the clients carry cookies
	middleware bool

	mu       sync.Mutex
	handlers []mist.HandleFunc
}

// newClientSite serves m, behind its Middleware or not, and that inside of others.
func newClientSite(t *testing.T, m *session.Manager, middleware bool, outside ...mist.Middleware) *clientSite {
	t.Helper()
	if middleware {
		outside = append(outside, m.Middleware())
	}
	s := &clientSite{Site: webtest.Serve(t, false, outside...), m: m, middleware: middleware, cookies: true}
	run := func(ctx *mist.Context) {
		n, _ := strconv.Atoi(ctx.Request.URL.Query().Get("n"))
		s.mu.Lock()
		h := s.handlers[n]
		s.mu.Unlock()
		h(ctx)
	}
	s.Mist.GET("/do", run)
	s.Mist.POST("/do", run)
	return s
}

// everyClientSite runs a test for each way, with the Middleware and without. set changes
// the Manager.
func everyClientSite(t *testing.T, set func(m *session.Manager, st *sealed.Store), test func(t *testing.T, s *clientSite)) {
	t.Helper()
	for way, propagator := range clientWays {
		for _, middleware := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/middleware=%t", way, middleware), func(t *testing.T) {
				st := clientStore("a")
				m := &session.Manager{Store: st, Propagator: propagator()}
				if set != nil {
					set(m, st)
				}
				s := newClientSite(t, m, middleware)
				s.cookies = way == "cookie" || way == "chain to cookie"
				test(t, s)
			})
		}
	}
}

// A program is a client that sends the header back that a response gave it.
type program struct {
	http.RoundTripper
	mu      sync.Mutex
	carries string
}

func (p *program) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.carries != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", p.carries)
	}
	resp, err := p.RoundTripper.RoundTrip(req)
	if err == nil {
		if given, ok := resp.Header["Authorization"]; ok {
			p.carries = given[0]
		}
	}
	return resp, err
}

// visitor returns a client of its own, which keeps cookies and headers.
func (s *clientSite) visitor(t *testing.T) *http.Client {
	t.Helper()
	c := s.Visitor(t)
	c.Transport = &program{RoundTripper: c.Transport}
	return c
}

// do sends a request. An error of the handler fails the test.
func (s *clientSite) do(t *testing.T, c *http.Client, handler func(ctx *mist.Context) error, edits ...func(r *http.Request)) *http.Response {
	t.Helper()
	s.mu.Lock()
	n := len(s.handlers)
	done := make(chan struct{}) // a response may be all there before its handler ends
	s.handlers = append(s.handlers, func(ctx *mist.Context) {
		defer close(done)
		if err := handler(ctx); err != nil {
			t.Error(err)
		}
	})
	s.mu.Unlock()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/do?n=%d", s.URL, n), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, edit := range edits {
		edit(req)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal("the request failed") // its error may show the header
	}
	_, _ = io.Copy(io.Discard, resp.Body) // a client that leaves ends the context
	_ = resp.Body.Close()
	<-done
	return resp
}

// given is how many lines of a response give the client something to carry.
func given(resp *http.Response) int {
	return len(resp.Header["Set-Cookie"]) + len(resp.Header["Authorization"])
}

// with is a handler that has the session.
func with(m *session.Manager, f func(c context.Context, s session.Session) error) func(ctx *mist.Context) error {
	return func(ctx *mist.Context) error {
		s, err := m.GetSession(ctx)
		if err != nil {
			return err
		}
		return f(ctx.Request.Context(), s)
	}
}

// set is a handler that stores a value in the session.
func set(m *session.Manager, key string, value any) func(ctx *mist.Context) error {
	return with(m, func(c context.Context, s session.Session) error { return s.Set(c, key, value) })
}

// start begins a session with values.
func (s *clientSite) start(t *testing.T, c *http.Client, values map[string]any) {
	t.Helper()
	s.do(t, c, func(ctx *mist.Context) error {
		made, err := s.m.InitSession(ctx)
		if err != nil {
			return err
		}
		return session.SetAll(ctx.Request.Context(), made, values)
	})
}

// holds checks in another request what the client's session holds; nil: there is none. A
// request that only reads gives the client nothing.
func (s *clientSite) holds(t *testing.T, c *http.Client, what string, want map[string]any) {
	t.Helper()
	resp := s.do(t, c, func(ctx *mist.Context) error {
		found, err := s.m.GetSession(ctx)
		if want == nil {
			return is(what, err, session.ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return shows(ctx.Request.Context(), what, found, want)
	})
	if n := given(resp); n != 0 {
		t.Errorf("%s: a request that reads gave the client %d lines, want none", what, n)
	}
}

// shows checks what a session holds.
func shows(c context.Context, what string, s session.Session, want map[string]any) error {
	all, err := session.All(c, s)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if got := maps.Collect(all); !maps.Equal(got, want) {
		return fmt.Errorf("%s: got values %v, want %v", what, got, want)
	}
	return nil
}

// is returns an error unless err is want.
func is(what string, err, want error) error {
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		return fmt.Errorf("%s: got %v, want %v", what, err, want) //nolint:errorlint // the error of a test is no cause
	}
	return nil
}
