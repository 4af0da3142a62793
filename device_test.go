package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
)

const boundName = "__Host-session"

// binding returns a Manager that binds logins for ten minutes. told returns and forgets
// the events.
func binding() (m *session.Manager, told func() string) {
	var mu sync.Mutex
	var events []string
	m = &session.Manager{
		Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: boundName}, DeviceBound: 10 * time.Minute,
		OnEvent: func(_ context.Context, e session.Event) {
			text := string(e.Kind) + " " + e.User
			if e.Cause != nil {
				text += " " + e.Cause.Error()
			}
			mu.Lock()
			defer mu.Unlock()
			events = append(events, text)
		},
	}
	return m, func() string {
		mu.Lock()
		defer mu.Unlock()
		all := strings.Join(events, "; ")
		events = nil
		return all
	}
}

// A verified accepts every device and notes the arguments of its calls.
type verified struct {
	challenges []string
	device     string
	err        error
}

func (v *verified) bind(challenge string) (string, error) {
	v.challenges = append(v.challenges, challenge)
	return "device", v.err
}

func (v *verified) prove(device string, now time.Time) (string, error) {
	v.device = device
	v.challenges = append(v.challenges, fmt.Sprint(now.UnixNano()))
	return v.challenges[len(v.challenges)-1], v.err
}

// logIn logs a user in, and returns the header of the response.
func logIn(t *testing.T, b *webtest.Browser, m *session.Manager, l session.Login) http.Header {
	t.Helper()
	return b.Visit(t, func(ctx *mist.Context) {
		if _, err := m.LoginWith(ctx, l); err != nil {
			t.Errorf("LoginWith: %v", err)
		}
	})
}

// bindDevice binds the session of the browser.
func bindDevice(t *testing.T, b *webtest.Browser, m *session.Manager) (h http.Header, err error) {
	t.Helper()
	h = b.Visit(t, func(ctx *mist.Context) { _, err = m.BindDevice(ctx, (&verified{}).bind) })
	return h, err
}

// userOf returns the user of a request of the browser.
func userOf(t *testing.T, b *webtest.Browser, m *session.Manager) (user string, err error) {
	t.Helper()
	b.Visit(t, func(ctx *mist.Context) { user, err = m.User(ctx) })
	return user, err
}

func idOf(b *webtest.Browser) string {
	id, _, _ := strings.Cut(b.Cookies[boundName], ".")
	return id
}

func TestDeviceCheck(t *testing.T) {
	named := func(change func(p *cookie.Propagator)) *cookie.Propagator {
		p := &cookie.Propagator{Name: boundName}
		if change != nil {
			change(p)
		}
		return p
	}
	good := named(nil)
	for _, c := range []struct {
		name        string
		bound       time.Duration
		path        string
		p           session.Propagator
		st          session.Store
		ok          bool
		unsupported bool
	}{
		{"as it should be", 10 * time.Minute, "", good, nil, true, false},
		{"shortest", time.Second, "", good, nil, true, false},
		{"longest", 24 * time.Hour, "", good, nil, true, false},
		{"too short", time.Second - 1, "", good, nil, false, false},
		{"negative", -1, "", good, nil, false, false},
		{"too long", 24*time.Hour + 1, "", good, nil, false, false},
		{"the default name", time.Minute, "", &cookie.Propagator{}, nil, false, false},
		{"a prefix for servers", time.Minute, "", named(func(p *cookie.Propagator) { p.Name = "__http-x" }), nil, false, false},
		{"another prefix", time.Minute, "", named(func(p *cookie.Propagator) { p.Name = "__Secure-x" }), nil, true, false},
		{"no prefix", time.Minute, "", named(func(p *cookie.Propagator) { p.Name = "x" }), nil, true, false},
		{"partitioned", time.Minute, "", named(func(p *cookie.Propagator) { p.Partitioned = true }), nil, false, false},
		{"a path", time.Minute, "/app/dbsc", named(func(p *cookie.Propagator) { p.Name, p.Path = "x", "/app" }), nil, true, false},
		{"another path", time.Minute, "/apple", named(func(p *cookie.Propagator) { p.Name, p.Path = "x", "/app" }), nil, false, false},
		{"a header", time.Minute, "", &header.Propagator{}, nil, false, true},
		{"a chain", time.Minute, "", session.Chain{&header.Propagator{}, webtest.WrappedPropagator{Propagator: good}}, nil, true, false},
		{"a chain of headers", time.Minute, "", session.Chain{&header.Propagator{}}, nil, false, true},
		{"a chain, the first cookie", time.Minute, "", session.Chain{&cookie.Propagator{}, good}, nil, false, false},
		{"a hidden cookie", time.Minute, "", webtest.OpaquePropagator{Propagator: good}, nil, false, true},
		{"a wrapped store", time.Minute, "", good, webtest.WrappedStore{Store: &memory.Store{}}, true, false},
		{"a hidden store", time.Minute, "", good, webtest.OpaqueStore{Store: &memory.Store{}}, false, true},
		{"a plain store", time.Minute, "", good, &webtest.PlainStore{Recorder: &webtest.Recorder{}}, false, true},
		{"a sealed store", time.Minute, "", good, &sealed.Store{Keys: [][]byte{sealed.NewKey()}}, false, true},
		{"nothing bound, whatever the cookie", 0, "", &cookie.Propagator{}, &webtest.PlainStore{Recorder: &webtest.Recorder{}}, true, false},
		{"relative", time.Minute, "dbsc", good, nil, false, false},
		{"the root", time.Minute, "/", good, nil, false, false},
		{"a slash too many", time.Minute, "/dbsc/", good, nil, false, false},
		{"another host", time.Minute, "//evil.test/dbsc", good, nil, false, false},
		{"upwards", time.Minute, "/a/../dbsc", good, nil, false, false},
		{"a query", time.Minute, "/dbsc?a", good, nil, false, false},
		{"a quote", time.Minute, `/dbsc"`, good, nil, false, false},
		{"a parameter of mist's", time.Minute, "/:dbsc", good, nil, false, false},
		{"long", time.Minute, "/" + strings.Repeat("a", 256), good, nil, false, false},
		{"all that a path may have", time.Minute, "/Az09-._~/x", good, nil, true, false},
		{"a path of nothing", 0, "dbsc", good, nil, false, false},
	} {
		m := &session.Manager{Store: c.st, Propagator: c.p, DeviceBound: c.bound, DevicePath: c.path}
		if c.st == nil {
			m.Store = &memory.Store{}
		}
		err := m.Check()
		if (err == nil) != c.ok || errors.Is(err, errors.ErrUnsupported) != c.unsupported {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

var offered = regexp.MustCompile(`^\(ES256 RS256\);path="/dbsc/register";challenge="([\w-]{43})"$`)

// The offer belongs to the login whose token the cookie carries. A response has one
// offer of each Manager.
func TestDeviceOffer(t *testing.T) {
	const name = "Secure-Session-Registration"
	m, _ := binding()
	b := &webtest.Browser{}
	if h := b.Visit(t, func(ctx *mist.Context) { _, _ = m.InitSession(ctx) }); h.Get(name) != "" {
		t.Error("an anonymous session is to be bound")
	}
	v := &verified{}
	seen := map[string]bool{}
	for range 2 { // the second is of the same user
		h := logIn(t, b, m, session.Login{User: "alice"})
		found := offered.FindStringSubmatch(strings.Join(h[name], "\n"))
		if found == nil || seen[found[1]] {
			t.Fatal("the offer is malformed, or came twice")
		}
		seen[found[1]] = true
		b.Visit(t, func(ctx *mist.Context) { _, _ = m.BindDevice(ctx, v.bind) })
		if got := v.challenges[len(v.challenges)-1]; got != found[1] {
			t.Error("another challenge was offered than is asked for")
		}
	}
	other, _ := binding()
	other.DevicePath, other.Propagator = "/other", &cookie.Propagator{Name: "other"}
	h := (&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
		for _, m := range []*session.Manager{m, other, m} {
			if _, err := m.Login(ctx, "bob"); err != nil {
				t.Errorf("Login: %v", err)
			}
		}
	})
	if len(h[name]) != 2 || !strings.Contains(h[name][0], `path="/other/register"`) || !offered.MatchString(h[name][1]) {
		t.Errorf("got %d offers, want one of each manager, the last", len(h[name]))
	}

	if h := (&webtest.Browser{}).Visit(t, func(ctx *mist.Context) { _, _, _ = m.PasswordChanged(ctx, session.Login{User: "carol"}) }); !offered.MatchString(h.Get(name)) {
		t.Error("a changed password offers nothing")
	}
	quiet := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: boundName}}
	if h := logIn(t, &webtest.Browser{}, quiet, session.Login{User: "alice"}); h.Get(name) != "" {
		t.Error("nothing is to be bound, and was offered")
	}
}

// If the token travels in a header, or in another cookie than the bindable one, nothing
// is offered and nothing is bound.
func TestDeviceElsewhere(t *testing.T) {
	m, _ := binding()
	former := &cookie.Propagator{}
	m.Propagator = session.Chain{&cookie.Propagator{Name: boundName}, former, &header.Propagator{}}
	for name, carry := range map[string]func(req *http.Request, token string){
		"header": func(req *http.Request, token string) { req.Header.Set("Authorization", "Bearer "+token) },
		"another cookie": func(req *http.Request, token string) {
			req.AddCookie(&http.Cookie{Name: webtest.CookieName, Value: token})
		},
	} {
		s, err := m.Store.(session.UserStore).Login(t.Context(), "", session.Login{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		ask := func() (*mist.Context, *httptest.ResponseRecorder) {
			rec := httptest.NewRecorder()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
			carry(req, session.Token(s))
			return &mist.Context{Request: req, ResponseWriter: rec}, rec
		}
		ctx, rec := ask()
		if user, err := m.User(ctx); user != "alice" || err != nil {
			t.Fatalf("%s: got %q, %v", name, user, err)
		}
		if _, err := m.BindDevice(ctx, (&verified{}).bind); !errors.Is(err, errors.ErrUnsupported) || len(rec.Header()["Set-Cookie"]) > 0 {
			t.Errorf("%s: BindDevice: got %v", name, err)
		}
		ctx, rec = ask()
		if _, err := m.Login(ctx, "alice"); err != nil || rec.Header().Get("Secure-Session-Registration") != "" {
			t.Errorf("%s: got %v, offered: %t", name, err, rec.Header().Get("Secure-Session-Registration") != "")
		}
	}
}

// The answer to a proof sets the bindable cookie, although nothing in the request shows
// which propagator of a chain that is.
func TestProveDeviceInChain(t *testing.T) {
	m, _ := binding()
	b := &webtest.Browser{}
	logIn(t, b, m, session.Login{User: "alice"})
	if _, err := bindDevice(t, b, m); err != nil {
		t.Fatal(err)
	}
	chained := &session.Manager{Store: m.Store, Propagator: session.Chain{&header.Propagator{}, m.Propagator}, DeviceBound: m.DeviceBound}
	before := b.Cookies[boundName]
	id := idOf(b)
	delete(b.Cookies, boundName) // it has expired
	b.Visit(t, func(ctx *mist.Context) {
		if _, err := chained.ProveDevice(ctx, id, (&verified{}).prove); err != nil {
			t.Errorf("ProveDevice: %v", err)
		}
	})
	if idOf(b) != id || b.Cookies[boundName] == before {
		t.Error("the response gives no other token of the session")
	}
}

func TestBindDeviceRefused(t *testing.T) {
	m, told := binding()
	b := &webtest.Browser{}
	if _, err := bindDevice(t, b, m); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("nobody: got %v", err)
	}
	b.BeginNamed(t, m, "visitor") // which is anonymous
	if _, err := bindDevice(t, b, m); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("anonymous: got %v", err)
	}
	logIn(t, b, m, session.Login{User: "alice"})
	told()
	refused := errors.New("refused")
	b.Visit(t, func(ctx *mist.Context) {
		if s, err := m.BindDevice(ctx, (&verified{err: refused}).bind); s != nil || !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
	})
	if got := told(); got != "proof_refused alice refused" {
		t.Errorf("got %s", got)
	}
	b.Visit(t, func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if err != nil {
			t.Fatal(err)
		}
		ctx.UserValues = map[string]any{"session": webtest.Wrapped{Session: s}}
		if _, err := m.BindDevice(ctx, (&verified{}).bind); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("put there by hand: got %v", err)
		}
	})
	off := &session.Manager{Store: m.Store, Propagator: m.Propagator}
	written := mist.Middleware(func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			ctx.ResponseWriter.WriteHeader(http.StatusOK)
			next(ctx)
		}
	})
	b.Visit(t, func(ctx *mist.Context) {
		if _, err := off.BindDevice(ctx, (&verified{}).bind); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("DeviceBound zero: got %v", err)
		}
		if _, err := off.ProveDevice(ctx, idOf(b), (&verified{}).prove); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("DeviceBound zero: got %v", err)
		}
		m.Middleware()(written(func(ctx *mist.Context) {
			if _, err := m.BindDevice(ctx, (&verified{}).bind); !errors.Is(err, session.ErrHeaderWritten) {
				t.Errorf("got %v, want ErrHeaderWritten", err)
			}
			if _, err := m.ProveDevice(ctx, idOf(b), (&verified{}).prove); !errors.Is(err, session.ErrHeaderWritten) {
				t.Errorf("got %v, want ErrHeaderWritten", err)
			}
		}))(ctx)
	})
	for _, ctx := range []*mist.Context{nil, {}, {Request: httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)}} {
		if _, err := m.BindDevice(ctx, (&verified{}).bind); err == nil {
			t.Error("a context of nothing gave no error")
		}
		if _, err := m.ProveDevice(ctx, "id", (&verified{}).prove); err == nil {
			t.Error("a context of nothing gave no error")
		}
	}
	if user, err := userOf(t, b, m); user != "alice" || err != nil {
		t.Errorf("got %q, %v", user, err)
	}
}

func TestDeviceOf(t *testing.T) {
	if _, err := session.DeviceOf(&webtest.PlainSession{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	if _, err := session.DeviceOf(nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	m, _ := binding()
	b := &webtest.Browser{}
	logIn(t, b, m, session.Login{User: "alice"})
	for _, want := range []string{"", "device"} {
		b.Visit(t, func(ctx *mist.Context) {
			s, err := m.GetSession(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := session.DeviceOf(webtest.Wrapped{Session: s}); got != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
		if want == "" {
			if _, err := bindDevice(t, b, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	infos, err := m.UserSessions(t.Context(), "alice")
	if err != nil || len(infos) != 1 || !infos[0].Bound {
		t.Errorf("the devices page: got %d sessions, %v", len(infos), err)
	}
}

func TestProofCheck(t *testing.T) {
	good := session.Proof{Device: "d", Lifetime: time.Millisecond}
	for name, change := range map[string]func(p *session.Proof){
		"no device":         func(p *session.Proof) { p.Device = "" },
		"a long device":     func(p *session.Proof) { p.Device = strings.Repeat("d", 1025) },
		"short":             func(p *session.Proof) { p.Lifetime-- },
		"long":              func(p *session.Proof) { p.Lifetime = 24*time.Hour + 1 },
		"negative grace":    func(p *session.Proof) { p.Grace = -1 },
		"long grace":        func(p *session.Proof) { p.Grace = 24*time.Hour + 1 },
		"negative remember": func(p *session.Proof) { p.Remember = -1 },
		"long remember":     func(p *session.Proof) { p.Remember = 24*time.Hour + 1 },
	} {
		p := good
		if change(&p); p.Check() == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	most := session.Proof{Device: strings.Repeat("d", 1024), Lifetime: 24 * time.Hour, Grace: 24 * time.Hour, Remember: 24 * time.Hour}
	for _, p := range []session.Proof{good, most} {
		if err := p.Check(); err != nil {
			t.Error(err)
		}
	}
	if register, refresh := (&session.Manager{DevicePath: "/a"}).DevicePaths(); !slices.Equal([]string{register, refresh}, []string{"/a/register", "/a/refresh"}) {
		t.Errorf("got %s and %s", register, refresh)
	}
}
