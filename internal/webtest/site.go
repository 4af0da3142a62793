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

// A Site is a mist server that listens. It keeps the log of net/http.
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

// ServerLog returns the log of net/http and clears it.
func (s *Site) ServerLog() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.logged.Reset()
	return s.logged.String()
}

// Serve starts a mist server, over plain http or, with h2, over TLS with HTTP/2.
func Serve(t *testing.T, h2 bool, around ...mist.Middleware) *Site {
	t.Helper()
	server := mist.InitHTTPServer()
	server.Use(around...)
	s := Listen(t, h2, server)
	s.Mist = server
	return s
}

// Listen serves a handler. The test fails if net/http has logged anything by its end.
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
		transport.MaxIdleConnsPerHost = 100 // otherwise most requests of a crowd open a new connection
	}
	t.Cleanup(func() {
		s.Close()
		if got := s.ServerLog(); got != "" {
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

// Fetch sends one GET and returns the response and its body.
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

// Protocols lists the protocols of a test server. The value is the argument h2 of Serve.
var Protocols = map[string]bool{"HTTP/1.1": false, "HTTP/2": true}

// ManagerFor returns a Spied manager for a site that was started with this h2.
func ManagerFor(h2 bool) (*session.Manager, *Recorder) {
	return SpiedWith(&memory.Store{}, &cookie.Propagator{Insecure: !h2})
}

// LoginAndWho adds three pages to a site: /login?as=name, /logout, and /who, which shows
// the name of the visitor.
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

// Respond writes a page. For ErrNotFound it writes Anonymous instead, and for any other
// error the text of the error.
func Respond(ctx *mist.Context, page string, err error) {
	switch {
	case errors.Is(err, session.ErrNotFound):
		page = Anonymous
	case err != nil:
		page = "error: " + err.Error()
	}
	ctx.RespData = []byte(page)
}

const Anonymous = "(nobody)" // the page of a visitor without a session

// Eventually waits until done returns true.
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

// Post sends a body and returns the status, or 0 if the server did not answer.
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
