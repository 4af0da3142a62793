package dbsc_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/dbsc"
	"github.com/mist-contrib/session/memory"
)

// managed returns a Manager whose logins are bound.
func managed() *session.Manager {
	return &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: cookieName}, DeviceBound: lifetime}
}

func TestCheck(t *testing.T) {
	wrong := managed()
	wrong.Propagator = &cookie.Propagator{}
	off := managed()
	off.DeviceBound = 0
	for name, h := range map[string]*dbsc.Handler{
		"nil":                  nil,
		"no manager":           {},
		"DeviceBound zero":     {Manager: off},
		"the name of a cookie": {Manager: wrong},
		"a manager of nothing": {Manager: &session.Manager{DeviceBound: lifetime}},
		"exclude, no path":     {Manager: managed(), Exclude: []string{"/a", "static"}},
		"exclude, empty":       {Manager: managed(), Exclude: []string{""}},
		"exclude, a quote":     {Manager: managed(), Exclude: []string{`/a"b`}},
		"exclude, a query":     {Manager: managed(), Exclude: []string{"/a?b"}},
	} {
		if h.Check() == nil {
			t.Errorf("%s: Check gave no error", name)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: Mount did not panic", name)
				}
			}()
			h.Mount(mist.InitHTTPServer())
		}()
		for _, path := range []string{"/dbsc/register", "/dbsc/refresh"} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil))
			if rec.Code != http.StatusInternalServerError && rec.Code != http.StatusNotFound {
				t.Errorf("%s: got %d", name, rec.Code)
			}
		}
		rec := httptest.NewRecorder()
		ctx := &mist.Context{Request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil), ResponseWriter: rec}
		h.Register(ctx)
		if ctx.RespStatusCode != http.StatusInternalServerError {
			t.Errorf("%s: Register: got %d", name, ctx.RespStatusCode)
		}
	}
	h := &dbsc.Handler{Manager: managed(), Exclude: []string{"/a", "/b/c.d~e_f-g/"}}
	if err := h.Check(); err != nil {
		t.Error(err)
	}
	for _, ctx := range []*mist.Context{nil, {}, {Request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)}, {ResponseWriter: httptest.NewRecorder()}} {
		h.Register(ctx)
		h.Refresh(ctx)
	}
}

func TestServeHTTP(t *testing.T) {
	m := managed()
	m.DevicePath = "/app/device"
	h := &dbsc.Handler{Manager: m}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodPost, "/app/device/register", http.StatusBadRequest},
		{http.MethodPost, "/app/device/refresh", http.StatusBadRequest},
		{http.MethodGet, "/app/device/refresh", http.StatusMethodNotAllowed},
		{http.MethodHead, "/app/device/register", http.StatusMethodNotAllowed},
		{http.MethodPost, "/app/device", http.StatusNotFound},
		{http.MethodPost, "/app/device/register/", http.StatusNotFound},
		{http.MethodPost, "/dbsc/register", http.StatusNotFound},
		{http.MethodPost, "", http.StatusNotFound},
	} {
		req := httptest.NewRequestWithContext(t.Context(), c.method, "/", nil)
		req.URL.Path = c.path
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != c.want || (rec.Header().Get("Allow") == http.MethodPost) != (c.want == http.StatusMethodNotAllowed) {
			t.Errorf("%s %s: got %d, want %d", c.method, c.path, rec.Code, c.want)
		}
	}
}

// The server writes each header once, with the Middleware and without, and a handler behind
// the answer changes nothing.
func TestMiddleware(t *testing.T) {
	for _, around := range []bool{false, true} {
		m := managed()
		server := mist.InitHTTPServer()
		if around {
			server.Use(m.Middleware())
		}
		server.POST("/login", func(ctx *mist.Context) {
			if _, err := m.Login(ctx, "ada"); err != nil {
				t.Error(err)
			}
		})
		(&dbsc.Handler{Manager: m}).Mount(server)
		counted := &counter{handler: server}
		s := &site{manager: m, url: "https://shop.test", send: func(req *http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			counted.ServeHTTP(rec, req)
			return rec.Result(), nil
		}}
		d := newDevice(t, s, "ada")
		d.register(t).want(t, http.StatusOK, true)
		d.prove(t).want(t, http.StatusOK, true)
		d.ask(t).want(t, http.StatusForbidden, false)
		if counted.again > 0 {
			t.Errorf("Middleware %t: %d headers were written twice", around, counted.again)
		}
	}
}

// A counter counts headers that are written again.
type counter struct {
	http.ResponseWriter
	handler http.Handler
	wrote   bool
	again   int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c.ResponseWriter, c.wrote = w, false
	c.handler.ServeHTTP(c, req)
}

func (c *counter) WriteHeader(code int) {
	if c.wrote {
		c.again++
	}
	c.wrote = true
	c.ResponseWriter.WriteHeader(code)
}

// A propagator that puts something else than the token into its cookie gives the browser
// nothing to refresh, so it gets no cookie that ends.
func TestForeignPropagator(t *testing.T) {
	s := newSite(&memory.Store{})
	s.manager.Propagator = &foreign{&cookie.Propagator{Name: cookieName}}
	d := newDevice(t, s, "ada")
	d.offered = "" // which is not that of the token
	rec := httptest.NewRecorder()
	ctx := &mist.Context{Request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil), ResponseWriter: rec}
	ctx.Request.AddCookie(&http.Cookie{Name: cookieName, Value: d.token})
	bound, err := s.manager.BindDevice(ctx, func(challenge string) (string, error) {
		d.offered = challenge
		return "", dbsc.ErrProof
	})
	if bound != nil || !errors.Is(err, dbsc.ErrProof) {
		t.Fatalf("got %v", err)
	}
	d.register(t).want(t, http.StatusInternalServerError, false)
	if who := s.who(t, d.token); who != "ada" {
		t.Errorf("the token opens %s", who)
	}
}

// A foreign propagator adds a letter to its identifiers.
type foreign struct{ *cookie.Propagator }

func (f *foreign) Inject(id string, w http.ResponseWriter) error {
	return f.Propagator.Inject("x"+id, w)
}

func (f *foreign) InjectFor(id string, keep time.Duration, w http.ResponseWriter) error {
	return f.Propagator.InjectFor("x"+id, keep, w)
}

func (f *foreign) Extract(req *http.Request) (string, error) {
	id, err := f.Propagator.Extract(req)
	return strings.TrimPrefix(id, "x"), err
}

// No event, error or answer has a token, a key or a challenge in it, but where it belongs.
func TestQuiet(t *testing.T) {
	s := newSite(&memory.Store{})
	d := newDevice(t, s, "ada")
	var said []string
	say := func(a answer) {
		a.header.Del(headerChallenge)
		a.header.Del("Set-Cookie")
		said = append(said, a.body, fmt.Sprint(a.header))
	}
	secrets := []string{d.token, d.offered}
	note := func() { secrets = append(secrets, d.token, d.challenge) }
	forged := d.clone()
	forged.offered = strings.Repeat("A", 43)
	say(forged.register(t))
	say(d.register(t))
	note()
	say(d.clone().register(t))
	say(d.prove(t))
	note()
	used := d.clone()
	say(d.prove(t))
	note()
	say(used.prove(t))
	say(d.send(t, "x"+proof(t, d.key, d.challenge)))
	say(d.send(t, proof(t, rsaKey(), d.challenge)))
	say(d.ask(t))
	note()
	stored, err := s.manager.Get(t.Context(), d.id)
	if err != nil {
		t.Fatal(err)
	}
	device, err := session.DeviceOf(stored)
	if err != nil || device == "" {
		t.Fatalf("got a device: %t, %v", device != "", err)
	}
	secrets = append(secrets, device[:20], device[len(device)-20:], fmt.Sprintf("%d", []byte(device[:8])))
	for _, e := range s.take() {
		said = append(said, fmt.Sprintf("%v %+v", e, e))
		for err := e.Cause; err != nil; err = errors.Unwrap(err) {
			said = append(said, fmt.Sprintf("%v %+v %q", err, err, err))
		}
		hook := &strings.Builder{}
		session.LogEvents(slog.New(slog.NewTextHandler(io.Writer(hook), nil)))(t.Context(), e)
		said = append(said, hook.String())
	}
	info, err := session.Describe(stored)
	if err != nil {
		t.Fatal(err)
	}
	said = append(said, fmt.Sprintf("%v %+v %#v %s", stored, stored, info, stored), fmt.Sprintf("%+v", s.devices.Exclude))
	all := strings.Join(said, "\n")
	for i, secret := range secrets {
		if half, _, _ := strings.Cut(secret, "."); half != secret {
			secret = secret[len(half)+1:] // the id is public
		}
		if secret != "" && strings.Contains(all, secret) {
			t.Errorf("secret %d was said", i)
		}
	}
	if found := regexp.MustCompile(`[A-Z2-7]{26}|[\w-]{43}`).FindAllString(all, -1); len(found) > 0 {
		t.Errorf("%d texts look like secrets", len(found))
	}
}
