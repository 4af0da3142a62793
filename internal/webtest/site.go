package webtest

import (
	"bytes"
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

// A Site is a mist server that listens, and what net/http logged about it.
type Site struct {
	*httptest.Server
	Mist *mist.HTTPServer

	mu     sync.Mutex
	logged strings.Builder
}

func (s *Site) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logged.Write(p)
}

// Complaints returns what net/http logged, and forgets it.
func (s *Site) Complaints() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.logged.Reset()
	return s.logged.String()
}

// Serve starts a mist server: over plain http, or over TLS with HTTP/2.
func Serve(t *testing.T, h2 bool, around ...mist.Middleware) *Site {
	t.Helper()
	server := mist.InitHTTPServer()
	server.Use(around...)
	s := Listen(t, h2, server)
	s.Mist = server
	return s
}

// Listen serves a handler. At the end net/http must have had nothing to complain
// about.
func Listen(t *testing.T, h2 bool, handler http.Handler) *Site {
	t.Helper()
	s := &Site{Server: httptest.NewUnstartedServer(handler)}
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
		if got := s.Complaints(); got != "" {
			t.Errorf("net/http complains: %s", got)
		}
	})
	return s
}

// Visitor returns a client with cookies of its own.
func (s *Site) Visitor(t *testing.T) *http.Client {
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

// Fetch returns the answer to one GET, its body read.
func (s *Site) Fetch(t *testing.T, c *http.Client, path string) (*http.Response, string) {
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

// Protocols lists the protocols of a test server. The value reports whether it is HTTP/2.
var Protocols = map[string]bool{"HTTP/1.1": false, "HTTP/2": true}

// ManagerFor returns a manager whose cookies the clients of a site keep.
func ManagerFor(h2 bool) (*session.Manager, *Recorder) {
	return SpiedWith(&memory.Store{}, &cookie.Propagator{Insecure: !h2})
}

// LoginAndWho gives a site the pages /login?as=name and /who, which answers
// with whom m takes the visitor for.
func LoginAndWho(s *mist.HTTPServer, m *session.Manager) {
	s.GET("/login", func(ctx *mist.Context) {
		c := ctx.Request.Context()
		made, err := m.InitSession(ctx)
		if err == nil {
			err = made.Set(c, "name", ctx.Request.URL.Query().Get("as"))
		}
		Respond(ctx, "welcome", err)
	})
	s.GET("/who", func(ctx *mist.Context) {
		name, err := NameOf(ctx, m)
		Respond(ctx, name, err)
	})
	s.GET("/logout", func(ctx *mist.Context) { Respond(ctx, "bye", m.RemoveSession(ctx)) })
}

// Respond writes a page; instead of it anonymous for ErrNotFound, and "error"
// for anything else.
func Respond(ctx *mist.Context, page string, err error) {
	switch {
	case errors.Is(err, session.ErrNotFound):
		page = Anonymous
	case err != nil:
		page = "error: " + err.Error()
	}
	ctx.RespData = []byte(page)
}

const Anonymous = "(nobody)"

// Eventually waits for a condition that something else brings about.
func Eventually(t *testing.T, what string, done func() bool) {
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

// Post sends a body and returns the status; 0 where the server gave no answer.
func (s *Site) Post(t *testing.T, c *http.Client, contentType string, body []byte) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := c.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}
