package sql_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/sql"
)

// A page is what the handler of a request does.
type page struct {
	name      string
	stranger  bool // the client has no session
	anonymous bool // the client's session has no user
	sets      bool // a cookie
	ends      bool // the token that the client has, if the call is applied
	reads     bool // and writes nothing
	handle    func(m *session.Manager, ctx *mist.Context) error
}

func pages() []page {
	login := func(m *session.Manager, ctx *mist.Context) error { _, err := m.Login(ctx, victimUser); return err }
	return []page{
		{name: "login-of-a-stranger", stranger: true, sets: true, handle: login},
		{name: "login-with-a-limit", stranger: true, sets: true, handle: func(m *session.Manager, ctx *mist.Context) error {
			_, err := m.LoginWith(ctx, session.Login{User: victimUser, MaxSessions: 10_000}) // on MySQL this is a transaction
			return err
		}},
		{name: "login", anonymous: true, sets: true, ends: true, handle: login},
		{name: "refresh", sets: true, handle: func(m *session.Manager, ctx *mist.Context) error { return m.RefreshSession(ctx) }},
		{name: "rotate", sets: true, handle: func(m *session.Manager, ctx *mist.Context) error { return m.RotateSession(ctx) }},
		{name: "logout", sets: true, ends: true, handle: func(m *session.Manager, ctx *mist.Context) error { return m.RemoveSession(ctx) }},
		{name: "step-up", sets: true, ends: true, handle: func(m *session.Manager, ctx *mist.Context) error {
			_, err := m.Reauthenticate(ctx, session.Authenticated+1)
			return err
		}},
		{name: "read", reads: true, handle: func(m *session.Manager, ctx *mist.Context) error { _, err := m.GetSession(ctx); return err }},
		{name: "write", handle: func(m *session.Manager, ctx *mist.Context) error {
			s, err := m.GetSession(ctx)
			if err != nil {
				return err
			}
			return s.Set(ctx.Request.Context(), "k2", victimValue)
		}},
	}
}

// untilGone is the limit of a client that gives up when its page is asked for.
const untilGone = "gone"

// An outageSite serves the pages with a store that faults happen to.
type outageSite struct {
	*replica // whose truth goes past the proxy

	server *sqltest.Server
	proxy  *sqltest.Proxy
	url    string
	told   chan error    // what a handler was told
	gone   chan struct{} // a client may give up
}

// newSite starts a site before a server of its own.
func newSite(t *testing.T, kind string, server *sqltest.Server) *outageSite {
	t.Helper()
	s := &outageSite{server: server, proxy: sqltest.NewProxy(t, server), told: make(chan error, 1), gone: make(chan struct{})}
	client := server.URLAt(s.proxy, server.URL())
	if kind == "postgres" {
		s.replica = postgresReplica(t, client, server.URL())
	} else {
		s.replica = mariadbReplica(t, server, client)
	}
	must(t, s.truth.Migrate(t.Context()))
	s.serve(t)
	return s
}

// serve serves the pages with a new store. After some logins a store also sweeps, which
// may fail as it likes.
func (s *outageSite) serve(t *testing.T) {
	t.Helper()
	s.st = &sql.Store{DB: s.st.DB, OpTimeout: s.st.OpTimeout}
	// The cookie has a lifetime, so that a refresh sets it.
	m := &session.Manager{Store: s.st, Propagator: &cookie.Propagator{Insecure: true, MaxAge: time.Hour}}
	router := mist.InitHTTPServer()
	router.Use(m.Middleware())
	for _, p := range pages() {
		router.GET("/"+p.name, func(ctx *mist.Context) {
			if limit, err := time.ParseDuration(ctx.Request.Header.Get("Limit")); err == nil {
				limited, cancel := context.WithTimeout(ctx.Request.Context(), limit)
				defer cancel()
				ctx.Request = ctx.Request.WithContext(limited)
			} else if ctx.Request.Header.Get("Limit") == untilGone {
				s.gone <- struct{}{}
			}
			err := p.handle(m, ctx)
			switch {
			case err == nil:
				ctx.RespStatusCode = http.StatusOK
			case errors.Is(err, session.ErrNotFound):
				ctx.RespStatusCode = http.StatusUnauthorized
			default:
				ctx.RespStatusCode = http.StatusServiceUnavailable
			}
			s.told <- err
		})
	}
	web := httptest.NewServer(router)
	t.Cleanup(web.Close)
	s.url = web.URL
}

// client returns a client of a page, with a session past all faults.
func (s *outageSite) client(t *testing.T, p *page) *victim {
	t.Helper()
	switch {
	case p.stranger:
		return &victim{}
	case p.anonymous:
		got := begun(t, s.truth)
		must(t, got.Set(t.Context(), "k", victimValue))
		return &victim{id: got.ID(), token: session.Token(got)}
	}
	return newVictim(t, s.truth, s.truth)
}

// ask asks for a page, and returns how many cookies came, and what the handler was told.
// The status is the one of that error. A client that gave up has got no answer.
func (s *outageSite) ask(ctx context.Context, t *testing.T, p *page, v *victim, limit string) (cookies int, told error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/"+p.name, http.NoBody)
	must(t, err)
	req.Header.Set("Limit", limit)
	if v.token != "" {
		req.AddCookie(&http.Cookie{Name: "session", Value: v.token})
	}
	res, err := http.DefaultClient.Do(req)
	told = <-s.told
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("%s: %v", p.name, err)
		}
		return 0, told
	}
	must(t, res.Body.Close())
	if (told == nil) != (res.StatusCode == http.StatusOK) {
		t.Errorf("%s: status %d, and the handler was told %v", p.name, res.StatusCode, told)
	}
	return len(res.Header["Set-Cookie"]), told
}

// works asks for a page without a fault.
func (s *outageSite) works(t *testing.T, name string, p *page) {
	t.Helper()
	if cookies, err := s.ask(t.Context(), t, p, s.client(t, p), ""); err != nil || (cookies == 1) != p.sets {
		t.Errorf("%s, %s: got %v and %d cookies", p.name, name, err, cookies)
	}
}

// fails asks for a page in an outage: the handler is told so, and no cookie comes.
func (s *outageSite) fails(ctx context.Context, t *testing.T, name string, p *page, v *victim, limit string) error {
	t.Helper()
	cookies, err := s.ask(ctx, t, p, v, limit)
	outage(t, p.name+", "+name, err, v)
	if cookies != 0 {
		t.Errorf("%s, %s: %d cookies came with an error", p.name, name, cookies)
	}
	return err
}

// remains checks after an outage what a client still has.
func (s *outageSite) remains(t *testing.T, name string, p *page, v *victim) {
	t.Helper()
	if p.stranger {
		return
	}
	got, err := s.truth.Open(t.Context(), v.token)
	switch {
	case p.ends && errors.Is(err, session.ErrNotFound): // it was applied
	case err != nil:
		t.Errorf("%s, %s: got %v afterwards, want the session", p.name, name, err)
	default:
		info, err := session.Describe(got)
		if value, e := got.Get(t.Context(), "k"); e != nil || err != nil || value != victimValue || (info.User == "") != p.anonymous {
			t.Errorf("%s, %s: got %v, %v, %v afterwards, want the session as it was", p.name, name, value, e, err)
		}
	}
}

// users is how many sessions the user has.
func (s *outageSite) users(t *testing.T) int {
	t.Helper()
	infos, err := s.truth.UserSessions(t.Context(), victimUser)
	must(t, err)
	return len(infos)
}

// TestCookiesInAnOutage lets the database fail under a site: no cookie comes or goes, and
// nobody is logged out.
func TestCookiesInAnOutage(t *testing.T) {
	t.Parallel()
	for kind, start := range map[string]func(tb testing.TB, config ...string) *sqltest.Server{"postgres": sqltest.StartPostgres, "mariadb": sqltest.StartMariaDB} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, kind, start(t))
			for _, p := range pages() {
				s.cut(t, &p)
			}
			s.serve(t)
			s.silent(t)
			s.each(t, "killed", s.server.Kill, func() { s.server.Restart(t) })
			s.each(t, "read-only", func() { s.refuse(t, true) }, func() { s.refuse(t, false) })
			nothingHeld(t, kind, s.st.DB, s.truth.DB)
		})
	}
}

// cut breaks the way to the server at each request of a page.
func (s *outageSite) cut(t *testing.T, p *page) {
	t.Helper()
	for _, fault := range []struct {
		name string
		set  func()
		hit  func() // when the request comes
	}{
		{"cut before it", func() {}, s.proxy.Cut},
		{"reply lost", func() { s.proxy.LoseReply(1) }, func() {}},
		{"reply cut", func() { s.proxy.CutReply(3) }, func() {}},
	} {
		s.serve(t)
		s.st.CleanUpFor(time.Minute) // on a busy machine it may take long
		first := int64(1)
		if !p.stranger && !p.reads {
			first = 2 // the first one loads the session, as in the page that only reads
		}
		for n := first; ; n++ {
			s.works(t, "before", p) // the connection has its statements
			v, before := s.client(t, p), s.users(t)
			var requests atomic.Int64
			s.proxy.Match(func([]byte) bool {
				if requests.Add(1) != n {
					return false
				}
				fault.hit()
				return true
			})
			fault.set()
			name := fmt.Sprintf("%s, request %d", fault.name, n)
			cookies, err := s.ask(t.Context(), t, p, v, "")
			hit := requests.Load() >= n
			s.proxy.Match(nil)
			s.proxy.LoseReply(0)
			s.proxy.CutReply(-1)
			if !hit {
				if err != nil || (cookies == 1) != p.sets || n == first {
					t.Errorf("%s, %s: got %v and %d cookies without a fault", p.name, name, err, cookies)
				}
				break
			}
			outage(t, p.name+", "+name, err, v)
			if cookies != 0 {
				t.Errorf("%s, %s: %d cookies came with an error", p.name, name, cookies)
			}
			left := *p
			left.ends = p.ends && fault.name != "cut before it" // which was never applied
			s.remains(t, name, &left, v)
			if after := s.users(t); after > before || after < before && !left.ends {
				t.Errorf("%s, %s: got %d sessions of the user, want %d as before", p.name, name, after, before)
			}
		}
	}
}

// silent pauses the server: calls end with their contexts.
func (s *outageSite) silent(t *testing.T) {
	t.Helper()
	for _, want := range []error{context.DeadlineExceeded, context.Canceled} {
		clients := map[string]*victim{}
		for _, p := range pages() {
			clients[p.name] = s.client(t, &p)
		}
		s.server.Pause()
		for _, p := range pages() {
			ctx, cancel := context.WithCancel(t.Context())
			limit := "20ms"
			if errors.Is(want, context.Canceled) {
				limit = untilGone
				go func() { <-s.gone; cancel() }()
			}
			err := s.fails(ctx, t, "silent", &p, clients[p.name], limit)
			cancel()
			if !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", p.name, err, want)
			}
		}
		s.server.Resume()
		nothingHeld(t, s.name, s.st.DB, s.truth.DB)
		for _, p := range pages() {
			s.remains(t, "silent", &p, clients[p.name])
			s.works(t, "after the silence", &p)
		}
	}
}

// each asks for all pages in an outage, and after it.
func (s *outageSite) each(t *testing.T, name string, begin, end func()) {
	t.Helper()
	clients := map[string]*victim{}
	for _, p := range pages() {
		clients[p.name] = s.client(t, &p)
	}
	before := s.users(t)
	begin()
	for _, p := range pages() {
		if !p.reads || name == "killed" {
			_ = s.fails(t.Context(), t, name, &p, clients[p.name], "")
		} else if cookies, err := s.ask(t.Context(), t, &p, clients[p.name], ""); err != nil || cookies != 0 {
			t.Errorf("%s, %s: got %v and %d cookies", p.name, name, err, cookies)
		}
	}
	end()
	reconnect(s.st.DB) // not with connections to the server from before
	reconnect(s.truth.DB)
	if after := s.users(t); after != before {
		t.Errorf("%s: got %d sessions of the user, want %d as before", name, after, before)
	}
	for _, p := range pages() {
		if p.ends = false; !p.stranger { // nothing can have been applied
			s.remains(t, name, &p, clients[p.name])
		}
	}
	for _, p := range pages() {
		s.works(t, "after "+name, &p)
	}
}
