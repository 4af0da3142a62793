package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// answering are the flows that may put something into a response.
var answering = []struct {
	name string
	call func(m *session.Manager, ctx *mist.Context) error
}{
	{"init", func(m *session.Manager, ctx *mist.Context) error { _, err := m.InitSession(ctx); return err }},
	{"login", func(m *session.Manager, ctx *mist.Context) error { _, err := m.Login(ctx, "alice"); return err }},
	{"other", func(m *session.Manager, ctx *mist.Context) error { _, err := m.Login(ctx, "bob"); return err }},
	{"again", func(m *session.Manager, ctx *mist.Context) error { _, err := m.Reauthenticate(ctx, 0); return err }},
	{"rotate", func(m *session.Manager, ctx *mist.Context) error { return m.RotateSession(ctx) }},
	{"refresh", func(m *session.Manager, ctx *mist.Context) error { return m.RefreshSession(ctx) }},
	{"remove", func(m *session.Manager, ctx *mist.Context) error { return m.RemoveSession(ctx) }},
}

// R17: whatever flows one handler calls, in whatever order, there is one
// Set-Cookie at most, and it leaves the browser with the session that the request
// ended with.
func TestOneSetCookie(t *testing.T) {
	for _, sequence := range sequences(len(answering), 4) {
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{MaxAge: time.Hour}}
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "visitor")
		var names []string
		last := ""
		h := b.Visit(t, func(ctx *mist.Context) {
			for _, i := range sequence {
				names = append(names, answering[i].name)
				if err := answering[i].call(m, ctx); err != nil && !errors.Is(err, session.ErrNotFound) {
					t.Fatalf("%v: %v", names, err)
				}
			}
			if s, err := m.GetSession(ctx); err == nil {
				last = s.ID()
			}
		})
		want := 0 // while nobody is logged in nobody can authenticate again
		if slices.ContainsFunc(names, func(name string) bool { return name != "again" }) {
			want = 1
		}
		if n := len(h["Set-Cookie"]); n != want {
			t.Errorf("%v: got %d Set-Cookie, want %d", names, n, want)
		}
		next := ""
		b.Visit(t, func(ctx *mist.Context) {
			if s, err := m.GetSession(ctx); err == nil {
				next = s.ID()
			}
		})
		if next != last {
			t.Errorf("%v: the request ended with %q, the browser's next one has %q", names, last, next)
		}
	}
}

// sequences returns all sequences of 1 to length numbers below n.
func sequences(n, length int) (all [][]int) {
	if length == 0 {
		return nil
	}
	shorter := sequences(n, length-1)
	if length == 1 {
		shorter = [][]int{nil}
	} else {
		all = shorter
	}
	for _, s := range shorter {
		if len(s) == length-1 {
			for i := range n {
				all = append(all, append(slices.Clone(s), i))
			}
		}
	}
	return all
}

// A sharedCache stands between browsers and a site, as RFC 9111 has it: it keeps
// what it may, and answers with it whom it fits.
type sharedCache map[string][]stored

type stored struct {
	request http.Header
	*httptest.ResponseRecorder
}

// fits follows RFC 9111, 4.1.
func (s stored) fits(req *http.Request) bool {
	for _, vary := range s.Header().Values("Vary") {
		for name := range strings.SplitSeq(vary, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if name == "*" || !slices.Equal(s.request[name], req.Header[name]) {
				return false
			}
		}
	}
	return true
}

// answer returns the answer of the cache, or of the handler.
func (c sharedCache) answer(req *http.Request, handler mist.HandleFunc) (rec *httptest.ResponseRecorder, cached bool) {
	for _, s := range c[req.URL.Path] {
		if s.fits(req) {
			return s.ResponseRecorder, true
		}
	}
	rec = httptest.NewRecorder()
	handler(&mist.Context{Request: req, ResponseWriter: rec})
	control := rec.Header().Get("Cache-Control")
	if !strings.Contains(control, "no-store") && !strings.Contains(control, "private") {
		c[req.URL.Path] = append(c[req.URL.Path], stored{req.Header, rec})
	}
	return rec, false
}

// R22: a cache that many share never gives one visitor an answer that set or
// cleared another's cookie, though the page says that it may be kept.
func TestSharedCache(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{MaxAge: time.Hour}}
	cache := sharedCache{}
	for _, flow := range answering {
		for _, status := range []int{http.StatusOK, http.StatusPartialContent, http.StatusSeeOther, http.StatusNotModified, http.StatusNotFound} {
			path := fmt.Sprint("/", flow.name, "/", status)
			page := func(ctx *mist.Context) {
				ctx.ResponseWriter.Header().Set("Cache-Control", "public, max-age=60")
				if err := flow.call(m, ctx); err != nil && !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: %v", path, err)
				}
				ctx.ResponseWriter.WriteHeader(status)
			}
			one, another := &webtest.Browser{}, &webtest.Browser{}
			one.SignIn(t, m, "alice")
			another.SignIn(t, m, "bob")
			for _, b := range []*webtest.Browser{one, another, {}, {}} { // two are nobody
				req := b.Request(t.Context())
				req.URL.Path = path
				rec, cached := cache.answer(req, page)
				if cached && len(rec.Header()["Set-Cookie"]) > 0 {
					t.Errorf("%s: somebody else's cookie comes from the cache", path)
				}
			}
		}
	}
}
