package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/redis"
)

// A siege is a mist server on which visitors write, read, log in and out, while
// something happens to its Redis.
type siege struct {
	tb    testing.TB
	store *redis.Store
	site  *httptest.Server
	stop  context.CancelFunc
	all   sync.WaitGroup

	writers, readers []*visitor

	mu       sync.Mutex
	departed []*guest // those whose logout was acknowledged
	harm     damage
}

// A visitor is a user with a browser.
type visitor struct {
	name   string
	client *http.Client

	mu    sync.Mutex
	last  time.Time // of its last success
	sent  int       // the last number that it has tried to write
	acked []int     // the numbers whose writes were acknowledged
}

// A guest logs in and out. His cookie is that of the login.
type guest struct {
	*visitor

	cookie *http.Cookie
}

// An answer is what a visitor got.
type answer struct {
	status  int
	name    string // whom the server took the visitor for
	n       int    // what was stored when the request came
	kind    string // of the error
	cookies []*http.Cookie
}

// besiege starts a server over a store, and logs 16 writers and 16 readers in.
func besiege(tb testing.TB, st *redis.Store) *siege {
	tb.Helper()
	m := &session.Manager{Store: st, Propagator: &cookie.Propagator{Insecure: true}}
	server := mist.InitHTTPServer()
	for path, page := range map[string]func(ctx *mist.Context) (name string, n int, err error){
		"/login": func(ctx *mist.Context) (string, int, error) {
			name := ctx.Request.URL.Query().Get("as")
			s, err := m.InitSession(ctx)
			if err == nil {
				// A failure of this one is the application's: the cookie is out.
				_ = s.Set(ctx.Request.Context(), "name", name)
			}
			return name, 0, err
		},
		"/read": func(ctx *mist.Context) (string, int, error) {
			_, name, n, err := load(ctx, m)
			return name, n, err
		},
		"/write": func(ctx *mist.Context) (string, int, error) {
			s, name, n, err := load(ctx, m)
			if err == nil {
				var next int
				if next, err = strconv.Atoi(ctx.Request.URL.Query().Get("n")); err == nil {
					err = s.Set(ctx.Request.Context(), "n", next)
				}
			}
			return name, n, err
		},
		"/logout": func(ctx *mist.Context) (string, int, error) {
			_, name, n, err := load(ctx, m)
			if err == nil {
				err = m.RemoveSession(ctx)
			}
			return name, n, err
		},
	} {
		server.GET(path, func(ctx *mist.Context) {
			name, n, err := page(ctx)
			ctx.RespData = fmt.Appendf(nil, "%q %d\t%s", name, n, kindOf(err))
			switch {
			case errors.Is(err, session.ErrNotFound):
				ctx.RespStatusCode = http.StatusUnauthorized
			case err != nil:
				ctx.RespStatusCode = http.StatusServiceUnavailable
			}
		})
	}
	s := &siege{tb: tb, store: st, site: httptest.NewServer(server), stop: func() {}}
	tb.Cleanup(s.site.Close)
	s.harm.errors = make(map[string]int)
	s.site.Client().Transport.(*http.Transport).MaxIdleConnsPerHost = 100
	for i := range 16 {
		s.writers = append(s.writers, s.arrive(fmt.Sprintf("writer-%d", i)))
		s.readers = append(s.readers, s.arrive(fmt.Sprintf("reader-%d", i)))
	}
	for _, v := range slices.Concat(s.writers, s.readers) {
		if a := s.visit(tb.Context(), v, "/login?as="+v.name); a.status != http.StatusOK {
			tb.Fatalf("login: %d %s", a.status, a.kind)
		}
		if a := s.visit(tb.Context(), v, "/write?n=0"); a.status != http.StatusOK || a.name != v.name {
			tb.Fatalf("first write: %d %s", a.status, a.kind)
		}
	}
	return s
}

func load(ctx *mist.Context, m *session.Manager) (s session.Session, name string, n int, err error) {
	if s, err = m.GetSession(ctx); err != nil {
		return nil, "nobody", 0, err
	}
	values := make(map[string]any)
	for _, key := range []string{"name", "n"} {
		if values[key], err = s.Get(ctx.Request.Context(), key); err != nil {
			return nil, "nobody", 0, err
		}
	}
	name, _ = values["name"].(string)
	n, _ = values["n"].(int)
	return s, name, n, nil
}

// arrive returns a visitor with a browser of its own.
func (s *siege) arrive(name string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.tb.Error(err)
	}
	c := *s.site.Client()
	c.Jar = jar
	return &visitor{name: name, client: &c}
}

// visit fetches a page, and notes what is wrong with the answer.
func (s *siege) visit(ctx context.Context, v *visitor, path string) (a answer) {
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.site.URL+path, nil)
	if err != nil {
		s.tb.Error(err)
		return answer{kind: "request"}
	}
	resp, err := v.client.Do(req)
	if err == nil {
		defer resp.Body.Close()
		var body []byte
		if body, err = io.ReadAll(resp.Body); err == nil {
			a.status, a.cookies = resp.StatusCode, resp.Cookies()
			if _, err := fmt.Sscanf(string(body), "%q %d", &a.name, &a.n); err != nil {
				s.tb.Errorf("a page that is none: %d", a.status)
			}
			a.kind = string(body[bytes.LastIndexByte(body, '\t')+1:])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			s.tb.Errorf("%s: the server does not answer: %v", v.name, err)
		}
		return answer{kind: "http"}
	}
	s.harm.slowest = max(s.harm.slowest, time.Since(start))
	if a.status != http.StatusOK {
		s.harm.errors[a.kind]++
	} else if a.name != v.name && a.name != "" {
		s.harm.foreign++
	}
	page, _, _ := strings.Cut(path, "?")
	if want := a.status == http.StatusOK && (page == "/login" || page == "/logout"); (len(a.cookies) > 0) != want {
		s.harm.cookies++
	}
	return a
}

// begin lets all come until stop is called.
func (s *siege) begin() {
	ctx, cancel := context.WithCancel(s.tb.Context())
	s.stop = func() { cancel(); s.all.Wait() }
	s.tb.Cleanup(s.stop)
	start := time.Now()
	for _, v := range s.writers {
		v.last, v.acked = start, []int{0}
		s.all.Go(func() { repeat(ctx, func() { s.write(ctx, v) }) })
	}
	for _, v := range s.readers {
		v.last = start
		s.all.Go(func() { repeat(ctx, func() { s.read(ctx, v) }) })
	}
	for i := range 2 {
		n, inside := 0, []*guest(nil)
		s.all.Go(func() {
			repeat(ctx, func() {
				n++
				inside = s.passThrough(ctx, fmt.Sprintf("guest-%d-%d", i, n), inside)
			})
		})
	}
}

// awaitMore waits until so many more logouts are acknowledged, and more writes
// than that.
func (s *siege) awaitMore(n int) {
	s.tb.Helper()
	done := func() (int, int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.harm.logouts, s.harm.writes
	}
	logouts, writes := done()
	await(s.tb, "more writes and logouts", func() bool {
		l, w := done()
		return l >= logouts+n && w >= writes+2*n
	})
}

// repeat calls f until ctx ends, with a pause in between: a visitor thinks.
func repeat(ctx context.Context, f func()) {
	for ctx.Err() == nil {
		f()
		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (s *siege) write(ctx context.Context, v *visitor) {
	v.sent++
	a := s.visit(ctx, v, "/write?n="+strconv.Itoa(v.sent))
	s.mu.Lock()
	defer s.mu.Unlock()
	switch a.status {
	case http.StatusOK:
		s.harm.writes++
		s.harm.lost += v.missing(a.n)
		s.harm.writeGap = max(s.harm.writeGap, v.succeed(v.sent))
	case http.StatusUnauthorized:
		s.harm.strangers++
	}
}

func (s *siege) read(ctx context.Context, v *visitor) {
	a := s.visit(ctx, v, "/read")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch a.status {
	case http.StatusOK:
		s.harm.readGap = max(s.harm.readGap, v.succeed(0))
	case http.StatusUnauthorized:
		s.harm.strangers++
	}
}

// passThrough lets out who has been inside for long, and another guest in.
func (s *siege) passThrough(ctx context.Context, name string, inside []*guest) []*guest {
	if len(inside) == 10 {
		s.logOut(ctx, inside[0])
		inside = inside[1:]
	}
	g := &guest{visitor: s.arrive(name)}
	if in := s.visit(ctx, g.visitor, "/login?as="+name); in.status == http.StatusOK && len(in.cookies) > 0 {
		g.cookie = in.cookies[0]
		inside = append(inside, g)
	}
	return inside
}

func (s *siege) logOut(ctx context.Context, g *guest) {
	out := s.visit(ctx, g.visitor, "/logout")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch out.status {
	case http.StatusOK:
		s.harm.logouts++
		s.departed = append(s.departed, g)
	case http.StatusUnauthorized:
		s.harm.unborn++
	}
}

// missing returns how many acknowledged writes are not behind what is stored:
// nobody else writes to this session, and its numbers grow.
func (v *visitor) missing(stored int) (n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, acked := range slices.Backward(v.acked) {
		if acked <= stored {
			break
		}
		n++
	}
	return n
}

// succeed notes a success, and returns how long the visitor has waited for it.
func (v *visitor) succeed(n int) (gap time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	gap, v.last = now.Sub(v.last), now
	v.acked = append(v.acked, n)
	return gap
}

// since returns how many of the visitors have succeeded after a time.
func since(visitors []*visitor, at time.Time) (n int) {
	for _, v := range visitors {
		v.mu.Lock()
		if v.last.After(at) {
			n++
		}
		v.mu.Unlock()
	}
	return n
}

// end stops the siege, and looks what has become of everybody.
func (s *siege) end() damage {
	s.tb.Helper()
	s.stop()
	ctx, errs := s.tb.Context(), maps.Clone(s.harm.errors)
	settled := func(v *visitor) (a answer) {
		await(s.tb, "an answer", func() bool {
			a = s.visit(ctx, v, "/read")
			return a.status == http.StatusOK || a.status == http.StatusUnauthorized
		})
		return a
	}
	for _, v := range slices.Concat(s.writers, s.readers) {
		switch a := settled(v); a.status {
		case http.StatusOK:
			if slices.Contains(s.writers, v) {
				s.harm.lost += v.missing(a.n)
			}
		default:
			s.harm.strangers++
		}
	}
	for _, g := range s.departed {
		v := s.arrive(g.name)
		site, err := url.Parse(s.site.URL)
		if err != nil {
			s.tb.Fatal(err)
		}
		v.client.Jar.SetCookies(site, []*http.Cookie{{Name: g.cookie.Name, Value: g.cookie.Value}})
		if a := settled(v); a.status == http.StatusOK {
			s.harm.undead++
		}
	}
	s.harm.errors = errs
	return s.harm
}
