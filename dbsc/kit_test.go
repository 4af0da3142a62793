package dbsc_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/dbsc"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/redis"
	"github.com/mist-contrib/session/sessiontest"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/sqlite"
)

const (
	cookieName = "__Host-session"
	lifetime   = 10 * time.Minute
	attributes = "Path=/; HttpOnly; Secure; SameSite=Lax"
)

// stores are those that the tests run on, also in a bubble of synctest.
func stores() map[string]func(t *testing.T) session.Store {
	return map[string]func(t *testing.T) session.Store{
		"memory": func(*testing.T) session.Store { return &memory.Store{} },
		"sqlite": func(t *testing.T) session.Store {
			t.Helper()
			db, err := sqlite.Open("sqlite:" + filepath.Join(t.TempDir(), "sessions.db") + "?synchronous=normal")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return &sql.Store{DB: db}
		},
	}
}

// onAll runs a test on every store, and on Redis.
func onAll(t *testing.T, test func(t *testing.T, st session.Store)) {
	t.Helper()
	all := stores()
	all["redis"] = func(t *testing.T) session.Store {
		t.Helper()
		client, err := redis.NewClient("redis://" + redistest.Start(t).Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return &redis.Store{Client: client, OpTimeout: time.Minute}
	}
	for name, fresh := range all {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// A site is an application whose logins are bound.
type site struct {
	manager *session.Manager
	faults  *sessiontest.FaultStore
	devices *dbsc.Handler
	serve   func(req *http.Request) *httptest.ResponseRecorder // without a network
	send    func(req *http.Request) (*http.Response, error)
	url     string

	mu     sync.Mutex
	events []session.Event
}

// serve starts a site in a mist server, with a certificate.
func serve(t *testing.T, st session.Store) *site {
	t.Helper()
	s := newSite(st)
	routes := mist.InitHTTPServer()
	for path, handle := range s.pages() {
		routes.POST(path, handle)
	}
	routes.GET("/me", s.me)
	s.devices.Mount(routes)
	server := httptest.NewTLSServer(routes)
	t.Cleanup(server.Close)
	s.send, s.url = server.Client().Do, server.URL
	return s
}

// newSite returns a site that is asked without a network and without a mist server, so that
// its time may be that of a bubble.
func newSite(st session.Store) *site {
	s := &site{faults: &sessiontest.FaultStore{Store: st}, url: "https://shop.test"}
	s.manager = &session.Manager{
		Store:       s.faults,
		Propagator:  &cookie.Propagator{Name: cookieName},
		DeviceBound: lifetime,
		OnEvent: func(_ context.Context, e session.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	}
	s.devices = &dbsc.Handler{Manager: s.manager, Exclude: []string{"/static", "/favicon.ico"}}
	pages := s.pages()
	pages["/me"] = s.me
	s.serve = func(req *http.Request) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		if page := pages[req.URL.Path]; page != nil {
			ctx := &mist.Context{Request: req, ResponseWriter: rec, RespStatusCode: http.StatusOK}
			page(ctx)
			rec.WriteHeader(ctx.RespStatusCode)
			_, _ = rec.Write(ctx.RespData)
		} else {
			s.devices.ServeHTTP(rec, req)
		}
		return rec
	}
	s.send = func(req *http.Request) (*http.Response, error) { return s.serve(req).Result(), nil }
	return s
}

// pages are what the site does, by path.
func (s *site) pages() map[string]mist.HandleFunc {
	m := s.manager
	pages := map[string]mist.HandleFunc{}
	for path, do := range map[string]func(ctx *mist.Context) error{
		"/login": func(ctx *mist.Context) error {
			_, err := m.Login(ctx, ctx.Request.URL.Query().Get("user"))
			return err
		},
		"/again": func(ctx *mist.Context) error {
			_, err := m.Reauthenticate(ctx, session.Authenticated)
			return err
		},
		"/logout":  m.RemoveSession,
		"/rotate":  m.RotateSession,
		"/prolong": m.RefreshSession,
		"/everywhere": func(ctx *mist.Context) error {
			_, err := m.RemoveUserSessions(ctx, ctx.Request.URL.Query().Get("user"))
			return err
		},
	} {
		pages[path] = func(ctx *mist.Context) {
			if err := do(ctx); err != nil {
				ctx.RespStatusCode = http.StatusTeapot
			}
		}
	}
	return pages
}

// me answers with the user.
func (s *site) me(ctx *mist.Context) {
	user, err := s.manager.User(ctx)
	if err != nil {
		user = "nobody"
	}
	ctx.RespData = []byte(user)
}

// told returns what OnEvent was told since the last call, without what was said of
// ordinary logins.
func (s *site) told() (kinds []string) {
	for _, e := range s.take() {
		switch e.Kind {
		case session.EventLogin, session.EventRemoved, session.EventRevoked, session.EventReauthenticated:
		default:
			kind := string(e.Kind)
			if e.Cause != nil {
				kind += ": " + e.Cause.Error()
			}
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

func (s *site) take() []session.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// wantEvents checks what OnEvent was told, in order.
func (s *site) wantEvents(t *testing.T, want ...string) {
	t.Helper()
	if got := s.told(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got events %q, want %q", got, want)
	}
}

// fault lets the calls of an operation fail, until it is called again.
func (s *site) fault(op string, f sessiontest.Fault) {
	s.faults.Reset(func(c sessiontest.Call) sessiontest.Fault {
		if c.Op == op {
			return f
		}
		return sessiontest.None
	})
}

// An answer is a response that was read.
type answer struct {
	status  int
	header  http.Header
	body    string
	cookies []*http.Cookie
}

// ask sends a request with a token in its cookie, if it is not empty. Of headers there is
// a name and a value after the other.
func (s *site) ask(t *testing.T, method, path, token string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.AddCookie(&http.Cookie{Name: cookieName, Value: token})
	}
	for ; len(headers) > 0; headers = headers[2:] {
		req.Header.Add(headers[0], headers[1])
	}
	resp, err := s.send(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body), resp.Cookies()}
}

// who returns whom the site takes a token for.
func (s *site) who(t *testing.T, token string) string {
	t.Helper()
	return s.ask(t, http.MethodGet, "/me", token).body
}

// set returns the token that an answer gives; empty: it touches no cookie.
func (a answer) set(t *testing.T) string {
	t.Helper()
	if len(a.cookies) == 0 {
		return ""
	}
	if len(a.cookies) != 1 || a.cookies[0].Name != cookieName || a.cookies[0].MaxAge < 0 {
		t.Fatalf("got %d cookies, want one with a token", len(a.cookies))
	}
	return a.cookies[0].Value
}

// want checks the status of an answer, and whether it sets the cookie.
func (a answer) want(t *testing.T, status int, sets bool) {
	t.Helper()
	if a.status != status || (len(a.cookies) > 0) != sets {
		t.Errorf("got %d and %d cookies, want %d, and a cookie: %t", a.status, len(a.cookies), status, sets)
	}
}

// idOf returns the public half of a token.
func idOf(token string) string {
	id, _, _ := strings.Cut(token, ".")
	return id
}
