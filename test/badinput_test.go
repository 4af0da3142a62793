package session_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
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

// Whatever is missing or absurd is an error that names it, from every flow; the
// only messages that a test of this package reads are these.
func TestBadWiring(t *testing.T) {
	good := func() *session.Manager {
		return &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	}
	store := func(st *memory.Store) *session.Manager {
		return &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
	}
	cookies := func(p *cookie.Propagator) *session.Manager {
		return &session.Manager{Store: &memory.Store{}, Propagator: p}
	}
	grace := func(d time.Duration) *session.Manager {
		m := good()
		m.RotateGrace = d
		return m
	}
	w := httptest.NewRecorder
	r := func() *http.Request { return httptest.NewRequest(http.MethodGet, "/", nil) }
	complete := func() *mist.Context { return &mist.Context{Request: r(), ResponseWriter: w()} }
	for _, test := range []struct {
		name  string
		m     *session.Manager
		ctx   *mist.Context
		field string
	}{
		{"nil Manager", nil, complete(), "Manager"},
		{"zero Manager", &session.Manager{}, complete(), "Store"},
		{"nil Store", &session.Manager{Propagator: &cookie.Propagator{}}, complete(), "Store"},
		{"nil *memory.Store", store(nil), complete(), "Store"},
		{"nil Propagator", &session.Manager{Store: &memory.Store{}}, complete(), "Propagator"},
		{"nil *cookie.Propagator", cookies(nil), complete(), "Propagator"},
		{"nil inside a wrapper", &session.Manager{Store: webtest.WrappedStore{Store: (*memory.Store)(nil)}, Propagator: &cookie.Propagator{}}, complete(), "Store"},
		{"nil *plainStore", &session.Manager{Store: (*webtest.PlainStore)(nil), Propagator: &cookie.Propagator{}}, complete(), "Store"},
		{"nil *spyPropagator", &session.Manager{Store: &memory.Store{}, Propagator: (*webtest.SpyPropagator)(nil)}, complete(), "Propagator"},
		{"nil *mist.Context", good(), nil, "Context"},
		{"no request", good(), &mist.Context{ResponseWriter: w()}, "Request"},
		{"no writer", good(), &mist.Context{Request: r()}, "ResponseWriter"},
		{"empty *mist.Context", good(), &mist.Context{}, "Request"},
		{"negative IdleTimeout", store(&memory.Store{IdleTimeout: -1}), complete(), "IdleTimeout"},
		{"tiny IdleTimeout", store(&memory.Store{IdleTimeout: 30}), complete(), "IdleTimeout"},
		{"negative AbsoluteTimeout", store(&memory.Store{AbsoluteTimeout: -time.Hour}), complete(), "AbsoluteTimeout"},
		{"tiny AbsoluteTimeout", store(&memory.Store{AbsoluteTimeout: 3600}), complete(), "AbsoluteTimeout"},
		{"huge AbsoluteTimeout", store(&memory.Store{AbsoluteTimeout: 1<<63 - 1}), complete(), "AbsoluteTimeout"},
		{"idle above absolute", store(&memory.Store{IdleTimeout: 2, AbsoluteTimeout: 1}), complete(), "AbsoluteTimeout"},
		{"idle above absolute", store(&memory.Store{IdleTimeout: 2 * time.Hour, AbsoluteTimeout: time.Hour}), complete(), "IdleTimeout"},
		{"idle above the default of absolute", store(&memory.Store{IdleTimeout: 13 * time.Hour}), complete(), "AbsoluteTimeout"},
		{"negative MaxSessions", store(&memory.Store{MaxSessions: -1}), complete(), "MaxSessions"},
		{"negative MaxAge", cookies(&cookie.Propagator{MaxAge: -1}), complete(), "MaxAge"},
		{"3600 is not an hour", cookies(&cookie.Propagator{MaxAge: 3600}), complete(), "MaxAge"},
		{"over 400 days", cookies(&cookie.Propagator{MaxAge: 401 * 24 * time.Hour}), complete(), "MaxAge"},
		{"huge MaxAge", cookies(&cookie.Propagator{MaxAge: 1<<63 - 1}), complete(), "MaxAge"},
		{"unfit Name", cookies(&cookie.Propagator{Name: "a;b"}), complete(), "Name"},
		{"prefix with Insecure", cookies(&cookie.Propagator{Name: "__Host-a", Insecure: true}), complete(), "Insecure"},
		{"prefix with Domain", cookies(&cookie.Propagator{Domain: "example.com"}), complete(), "Domain"},
		{"negative RotateGrace", grace(-1), complete(), "RotateGrace"},
		{"huge RotateGrace", grace(1<<63 - 1), complete(), "RotateGrace"},
		{"RotateGrace over a day", grace(24*time.Hour + 1), complete(), "RotateGrace"},
	} {
		checks := test.ctx != nil && test.ctx.Request != nil && test.ctx.ResponseWriter != nil
		if err := test.m.Check(); (err != nil) != checks || err != nil && !strings.Contains(err.Error(), test.field) {
			t.Errorf("%s: Check: got %v, want an error %t that names %s", test.name, err, checks, test.field)
		}
		for _, f := range webtest.Flows {
			if f.Name == "GetSession" && test.name == "no writer" {
				continue // needs none
			}
			for range 2 { // the first use, and the next
				err := f.Call(test.m, test.ctx)
				switch {
				case f.Name == "RefreshSession" && test.name == "no writer" && errors.Is(err, session.ErrNotFound):
				case err == nil || !strings.Contains(err.Error(), test.field) || errors.Is(err, session.ErrNotFound):
					t.Errorf("%s: %s: got %v, want an error that names %s", test.name, f.Name, err, test.field)
				}
			}
		}
		if test.ctx != nil && test.ctx.ResponseWriter != nil {
			if got := webtest.HeaderNames(test.ctx.ResponseWriter.Header()); got != nil {
				t.Errorf("%s: got header fields %q, want none", test.name, got)
			}
		}
	}
}

// A cookie that has to be renewed needs a writer.
func TestRefreshSessionWithoutWriter(t *testing.T) {
	m, _ := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	err := m.RefreshSession(&mist.Context{Request: b.Request(t.Context())})
	if err == nil || !strings.Contains(err.Error(), "ResponseWriter") || errors.Is(err, session.ErrNotFound) {
		t.Errorf("got %v, want an error that names ResponseWriter", err)
	}
	b.Is(t, m, "alice")
}

// Good extremes are good.
func TestGoodWiring(t *testing.T) {
	for name, m := range map[string]*session.Manager{
		"zero values":   {Store: &memory.Store{}, Propagator: &cookie.Propagator{}},
		"a day's grace": {Store: &memory.Store{}, Propagator: &cookie.Propagator{}, RotateGrace: 24 * time.Hour},
		"400 days": {
			Store:      &memory.Store{AbsoluteTimeout: 400 * 24 * time.Hour, IdleTimeout: 400 * 24 * time.Hour},
			Propagator: &cookie.Propagator{MaxAge: 400 * 24 * time.Hour},
		},
		"short": {Store: &memory.Store{AbsoluteTimeout: time.Minute}, Propagator: &cookie.Propagator{MaxAge: time.Second}},
		"plain": {Store: &webtest.PlainStore{Recorder: &webtest.Recorder{}}, Propagator: webtest.OpaquePropagator{Propagator: &cookie.Propagator{}}},
	} {
		if err := m.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		b.Is(t, m, "alice")
	}
}

// A guard and the Middleware meet the same contexts, and cannot return an error.
func TestBadContextOfMiddleware(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	for name, ctx := range map[string]*mist.Context{
		"nil": nil, "empty": {},
		"no request": {ResponseWriter: httptest.NewRecorder()},
		"no writer":  {Request: httptest.NewRequest(http.MethodGet, "/", nil)},
	} {
		t.Run("RequireSession/"+name, func(t *testing.T) {
			noPanic(t, func() {
				m.RequireSession()(func(*mist.Context) { t.Error("let through") })(ctx)
			})
		})
		t.Run("Middleware/"+name, func(t *testing.T) {
			noPanic(t, func() {
				called := false
				m.Middleware()(func(*mist.Context) { called = true })(ctx)
				if !called {
					t.Error("not let through")
				}
			})
		})
		t.Run("FromContext/"+name, func(t *testing.T) {
			noPanic(t, func() {
				if _, err := session.FromContext(ctx); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("got %v, want ErrNotFound", err)
				}
			})
		})
	}
}

func noPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if v := recover(); v != nil {
			t.Errorf("panic: %v", v)
		}
	}()
	f()
}

// hostile are values of our cookie that never came from here.
func hostile() map[string][]string {
	const secret = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	name := webtest.CookieName + "="
	cookies := map[string][]string{
		"empty":             {name},
		"no value":          {webtest.CookieName},
		"a space":           {name + "id. " + secret},
		"quoted":            {name + `"id.` + secret + `"`},
		"half quoted":       {name + `"id.` + secret},
		"no secret":         {name + "id."},
		"no id":             {name + "." + secret},
		"no separator":      {name + "id" + secret},
		"two separators":    {name + "i.d." + secret},
		"short secret":      {name + "id." + secret[1:]},
		"lower-case secret": {name + "id." + strings.ToLower(secret)},
		"long secret":       {name + "id." + strings.Repeat("A", 65)},
		"long id":           {name + strings.Repeat("a", 257) + "." + secret},
		"not ASCII":         {name + "é." + secret},
		"not UTF-8":         {name + "\xff\xfe." + secret},
		"a colon":           {name + "a:b." + secret},
		"a glob":            {name + "*." + secret},
		"a brace":           {name + "{a}." + secret},
		"a slash":           {name + "../a." + secret},
		"percent":           {name + "%69d." + secret},
		"one megabyte":      {name + strings.Repeat("a", 1<<20)},
		"a megabyte of id":  {name + strings.Repeat("a", 1<<20) + "." + secret},
		"a megabyte around": {strings.Repeat("x=y; ", 1<<18) + name + "id"},
		"twice":             {name + "id." + secret + "; " + name + "id." + secret},
		"twice, one bad":    {name + "bad; " + name + "id." + secret},
		"in two lines":      {name + "id." + secret, name + "id." + secret},
		"a hundred lines":   strings.Split(strings.Repeat(name+"x\n", 100), "\n"),
		"other case":        {strings.ToLower(name) + "id." + secret},
		"name with a tail":  {webtest.CookieName + "x=id." + secret},
		"name in a value":   {"other=" + name + "id." + secret},
	}
	for c := range byte(0x20) {
		cookies["control "+string('@'+rune(c))] = []string{name + "id" + string(rune(c)) + "." + secret}
	}
	cookies["DEL"] = []string{name + "id\x7f." + secret}
	return cookies
}

func TestHostileCookies(t *testing.T) {
	unfit := []string{ // for any store
		"empty", "no value", "a space", "quoted", "half quoted", "not ASCII", "not UTF-8", "one megabyte", "long id",
		"twice", "twice, one bad", "in two lines", "a hundred lines", "other case", "DEL", "control @", "control J", "control M",
	}
	for name, lines := range hostile() {
		for kind, setup := range map[string]func() (*session.Manager, *webtest.Recorder){"token": webtest.Spied, "plain": webtest.SpiedPlain} {
			if kind == "plain" && !slices.Contains(unfit, name) {
				continue // somebody else's id may look like that
			}
			m, rec := setup()
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header["Cookie"] = lines
			w := httptest.NewRecorder()
			ctx := &mist.Context{Request: req, ResponseWriter: w}
			for _, f := range webtest.Flows[1:] {
				if f.Name == "RotateSession" && kind == "plain" {
					continue
				}
				if err := f.Call(m, ctx); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s/%s: %s: got %v, want ErrNotFound", kind, name, f.Name, err)
				}
			}
			if got := strings.Trim(strings.ReplaceAll(rec.Take(), "extract", ""), " "); got != "" {
				t.Errorf("%s/%s: got calls %q of the store, want none", kind, name, got)
			}
			if got := webtest.HeaderNames(w.Header()); got != nil {
				t.Errorf("%s/%s: got header fields %q, want none", kind, name, got)
			}
		}
	}
}

// Any number of other cookies hides nobody.
func TestManyOtherCookies(t *testing.T) {
	m, _ := webtest.Spied()
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	others := strings.Repeat("other=x; ", 5000)
	req := b.Request(t.Context())
	req.Header.Set("Cookie", others+req.Header.Get("Cookie")+"; "+others)
	name, err := webtest.NameOf(&mist.Context{Request: req, ResponseWriter: webtest.DiscardWriter{}}, m)
	if name != "alice" || err != nil {
		t.Errorf("got %q, %v", name, err)
	}
}

func TestHostileCookiesMultiple(t *testing.T) {
	m, _ := webtest.Spied()
	for _, name := range []string{"twice", "twice, one bad", "in two lines"} {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header["Cookie"] = hostile()[name]
		_, err := m.GetSession(&mist.Context{Request: req, ResponseWriter: httptest.NewRecorder()})
		if !errors.Is(err, session.ErrMultiple) || !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrMultiple", name, err)
		}
	}
}

// What a megabyte costs is the same as what a byte costs.
func TestHostileCookiesAllocateLittle(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	for name, lines := range hostile() {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header["Cookie"] = lines
		const rounds = 20
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			_, _ = m.GetSession(&mist.Context{Request: req, ResponseWriter: webtest.DiscardWriter{}})
		}
		runtime.ReadMemStats(&after)
		if got := (after.TotalAlloc - before.TotalAlloc) / rounds; got > 8<<10 {
			t.Errorf("%s: %d bytes a request", name, got)
		}
	}
}

// The errors of hostile input hold nothing of it.
func TestErrorsAreQuiet(t *testing.T) {
	const needle = "NEEDLENEEDLENEEDLENEEDLENE"
	m, rec := webtest.Spied()
	for _, carried := range []string{needle, "id." + needle, needle + "." + needle, `"` + needle + `"`} {
		for _, broken := range []bool{false, true} {
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header.Set("Cookie", webtest.CookieName+"="+carried)
			if broken {
				rec.Fail(webtest.Fault{Op: "Open", After: false, Err: context.DeadlineExceeded})
			}
			for _, f := range webtest.Flows[1:] {
				err := f.Call(m, &mist.Context{Request: req, ResponseWriter: httptest.NewRecorder()})
				if err == nil || strings.Contains(err.Error(), "NEEDLE") {
					t.Errorf("%s: an error with what the client sent, or none", f.Name)
				}
			}
			rec.Take()
		}
	}
	m.NewID = func() string { return needle + " " }
	if _, err := m.InitSession(&mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: webtest.DiscardWriter{}}); err == nil || strings.Contains(err.Error(), "NEEDLE") {
		t.Error("InitSession: an error with the id, or none")
	}
}
