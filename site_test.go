package session_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// A site is a mist server that listens, and what net/http logged about it.
type site struct {
	*httptest.Server
	mist *mist.HTTPServer

	mu     sync.Mutex
	logged strings.Builder
}

func (s *site) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logged.Write(p)
}

// complaints returns what net/http logged, and forgets it.
func (s *site) complaints() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.logged.Reset()
	return s.logged.String()
}

// serve starts a mist server: over plain http, or over TLS with HTTP/2.
func serve(t *testing.T, h2 bool, around ...mist.Middleware) *site {
	t.Helper()
	server := mist.InitHTTPServer()
	server.Use(around...)
	s := listen(t, h2, server)
	s.mist = server
	return s
}

// listen serves a handler. At the end net/http must have had nothing to complain
// about.
func listen(t *testing.T, h2 bool, handler http.Handler) *site {
	t.Helper()
	s := &site{Server: httptest.NewUnstartedServer(handler)}
	s.Config.ErrorLog = log.New(s, "", 0)
	if h2 {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	if transport, ok := s.Client().Transport.(*http.Transport); ok {
		transport.MaxIdleConnsPerHost = 100 // or most requests of a crowd dial anew
	}
	t.Cleanup(func() {
		s.Close()
		if got := s.complaints(); got != "" {
			t.Errorf("net/http complains: %s", got)
		}
	})
	return s
}

// client returns a client with cookies of its own.
func (s *site) client(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatalf("cookiejar: %v", err)
	}
	c := *s.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &c
}

// fetch returns the answer to one GET, its body read.
func (s *site) fetch(t *testing.T, c *http.Client, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: body: %v", path, err)
	}
	return resp, string(body)
}

// protocols are those of which mist's server speaks one.
var protocols = map[string]bool{"HTTP/1.1": false, "HTTP/2": true}

// managerFor returns a manager whose cookies the clients of a site keep.
func managerFor(h2 bool) (*session.Manager, *recorder) {
	return spiedWith(&memory.Store{}, &cookie.Propagator{Insecure: !h2})
}

// loginAndWho gives a site the pages /login?as=name and /who, which answers
// with whom m takes the visitor for.
func loginAndWho(s *mist.HTTPServer, m *session.Manager) {
	s.GET("/login", func(ctx *mist.Context) {
		c := ctx.Request.Context()
		made, err := m.InitSession(ctx)
		if err == nil {
			err = made.Set(c, "name", ctx.Request.URL.Query().Get("as"))
		}
		answer(ctx, "welcome", err)
	})
	s.GET("/who", func(ctx *mist.Context) {
		name, err := nameOf(ctx, m)
		answer(ctx, name, err)
	})
	s.GET("/logout", func(ctx *mist.Context) { answer(ctx, "bye", m.RemoveSession(ctx)) })
}

// answer writes a page; instead of it anonymous for ErrNotFound, and "error"
// for anything else.
func answer(ctx *mist.Context, page string, err error) {
	switch {
	case errors.Is(err, session.ErrNotFound):
		page = anonymous
	case err != nil:
		page = "error: " + err.Error()
	}
	ctx.RespData = []byte(page)
}

const anonymous = "(nobody)"

// eventually waits for a condition that something else brings about.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}
