package cookie_test

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

const (
	day  = 24 * time.Hour
	name = "__Host-Http-session"
	id   = "6ba7b810-9dad-41d1-80b4-00c04fd430c8.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

// TestHeader has every field in the header that sets the cookie and in the one
// that deletes it: what differs between the two leaves a cookie behind.
func TestHeader(t *testing.T) {
	for _, tt := range []struct {
		name        string
		p           *cookie.Propagator
		set, remove string
	}{
		{
			"defaults", &cookie.Propagator{},
			"__Host-Http-session=ID; Path=/; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"insecure", &cookie.Propagator{Insecure: true},
			"session=ID; Path=/; HttpOnly; SameSite=Lax",
			"session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
		},
		{
			"insecure with all it may have", &cookie.Propagator{
				Insecure: true, Name: "dev", Path: "/a", Domain: "example.com", SameSite: http.SameSiteStrictMode, MaxAge: time.Hour,
			},
			"dev=ID; Path=/a; Domain=example.com; Max-Age=3600; HttpOnly; SameSite=Strict",
			"dev=; Path=/a; Domain=example.com; Max-Age=0; HttpOnly; SameSite=Strict",
		},
		{
			"name", &cookie.Propagator{Name: "sid"},
			"sid=ID; Path=/; HttpOnly; Secure; SameSite=Lax",
			"sid=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"prefix __Host-", &cookie.Propagator{Name: "__Host-sid", Path: "/"},
			"__Host-sid=ID; Path=/; HttpOnly; Secure; SameSite=Lax",
			"__Host-sid=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"prefix __Secure-, for a domain", &cookie.Propagator{Name: "__Secure-sid", Domain: ".example.com"},
			"__Secure-sid=ID; Path=/; Domain=example.com; HttpOnly; Secure; SameSite=Lax",
			"__Secure-sid=; Path=/; Domain=example.com; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"prefix __Http-, for a path", &cookie.Propagator{Name: "__Http-sid", Path: "/app"},
			"__Http-sid=ID; Path=/app; HttpOnly; Secure; SameSite=Lax",
			"__Http-sid=; Path=/app; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"Lax in words", &cookie.Propagator{SameSite: http.SameSiteLaxMode},
			"__Host-Http-session=ID; Path=/; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"Strict", &cookie.Propagator{SameSite: http.SameSiteStrictMode},
			"__Host-Http-session=ID; Path=/; HttpOnly; Secure; SameSite=Strict",
			"__Host-Http-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict",
		},
		{
			"None and partitioned", &cookie.Propagator{SameSite: http.SameSiteNoneMode, Partitioned: true},
			"__Host-Http-session=ID; Path=/; HttpOnly; Secure; SameSite=None; Partitioned",
			"__Host-Http-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=None; Partitioned",
		},
		{
			"a second", &cookie.Propagator{MaxAge: time.Second},
			"__Host-Http-session=ID; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"a second and a half", &cookie.Propagator{MaxAge: 1500 * time.Millisecond},
			"__Host-Http-session=ID; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
		{
			"400 days", &cookie.Propagator{MaxAge: 400 * day},
			"__Host-Http-session=ID; Path=/; Max-Age=34560000; HttpOnly; Secure; SameSite=Lax",
			"__Host-Http-session=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			for what, want := range map[string]string{
				"Inject": strings.Replace(tt.set, "ID", id, 1),
				"Remove": tt.remove,
			} {
				call := map[string]func() error{
					"Inject": func() error { return tt.p.Inject(id, w) },
					"Remove": func() error { return tt.p.Remove(w) },
				}[what]
				if err := call(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if got := w.Header()["Set-Cookie"]; !slices.Equal(got, []string{want}) {
					t.Errorf("%s: got  %q\nwant %q", what, got, want)
				}
				if got := w.Header()["Cache-Control"]; !slices.Equal(got, []string{"no-store"}) {
					t.Errorf("%s: got Cache-Control %q, want no-store", what, got)
				}
				if got := w.Header()["Vary"]; !slices.Equal(got, []string{"Cookie"}) {
					t.Errorf("%s: got Vary %q, want Cookie", what, got)
				}
			}
			if got, want := tt.p.Lifetime(), tt.p.MaxAge; got != want {
				t.Errorf("Lifetime: got %v, want %v", got, want)
			}
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header.Set("Cookie", tt.set[:strings.Index(tt.set, "=")+1]+id)
			if got, err := tt.p.Extract(req); err != nil || got != id {
				t.Errorf("Extract: got %q, %v, want %q", got, err, id)
			}
		})
	}
}

// unusable proves that a propagator that has an error does nothing else.
func unusable(t *testing.T, p *cookie.Propagator) {
	t.Helper()
	w, req := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Cookie", "session=x; sid=x; "+name+"=x; "+p.Name+"=x")
	_, err := p.Extract(req)
	for what, err := range map[string]error{"Check": p.Check(), "Inject": p.Inject(id, w), "Remove": p.Remove(w), "Extract": err} {
		if err == nil {
			t.Errorf("%s: got no error", what)
		}
		for _, sentinel := range []error{session.ErrNotFound, session.ErrInvalidID, http.ErrNoCookie} {
			if errors.Is(err, sentinel) {
				t.Errorf("%s: got %v, which matches %v", what, err, sentinel)
			}
		}
	}
	if len(w.Header()) != 0 {
		t.Errorf("got the header %v, want none", w.Header())
	}
}

// TestCheck names the field that is wrong.
func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		field string
		p     *cookie.Propagator
	}{
		{"MaxAge", &cookie.Propagator{MaxAge: 3600}}, // 3.6 µs, meant as an hour
		{"MaxAge", &cookie.Propagator{MaxAge: 1}},
		{"MaxAge", &cookie.Propagator{MaxAge: time.Second - 1}},
		{"MaxAge", &cookie.Propagator{MaxAge: -1}},
		{"MaxAge", &cookie.Propagator{MaxAge: -time.Hour}},
		{"MaxAge", &cookie.Propagator{MaxAge: -1 << 63}},
		{"MaxAge", &cookie.Propagator{MaxAge: 400*day + 1}},
		{"MaxAge", &cookie.Propagator{MaxAge: 400*day + time.Second}},
		{"MaxAge", &cookie.Propagator{MaxAge: 1<<63 - 1}},
		{"SameSite", &cookie.Propagator{SameSite: http.SameSiteDefaultMode}},
		{"SameSite", &cookie.Propagator{SameSite: -1}},
		{"SameSite", &cookie.Propagator{SameSite: 5}},
		{"Former", &cookie.Propagator{Former: []cookie.Former{{Path: "/app"}}}},
		{"Former", &cookie.Propagator{Name: "sid", Former: []cookie.Former{{}}}},
		{"Former", &cookie.Propagator{Name: "sid", Path: "/app", Former: []cookie.Former{{}, {Path: "/app"}}}},
		{"Former", &cookie.Propagator{Name: "sid", Domain: "example.com", Former: []cookie.Former{{Path: "/", Domain: ".Example.com"}}}},
		{"Former", &cookie.Propagator{Name: "sid", Former: []cookie.Former{{Path: "app"}}}},
		{"Former", &cookie.Propagator{Name: "sid", Former: []cookie.Former{{Path: "/" + strings.Repeat("x", 1024)}}}},
		{"Former", &cookie.Propagator{Name: "sid", Former: []cookie.Former{{Domain: strings.Repeat("x", 1025)}}}},
		{"Former", &cookie.Propagator{Name: "sid", Former: []cookie.Former{{Domain: "a; Secure"}}}},
		{"Insecure", &cookie.Propagator{Insecure: true, SameSite: http.SameSiteNoneMode}},
		{"Insecure", &cookie.Propagator{Insecure: true, Partitioned: true}},
		{"Insecure", &cookie.Propagator{Insecure: true, Name: name}},
		{"Insecure", &cookie.Propagator{Insecure: true, Name: "__SECURE-sid"}},
		{"Insecure", &cookie.Propagator{Insecure: true, Name: "__http-sid"}},
		{"Insecure", &cookie.Propagator{Insecure: true, Name: "__hOST-sid"}},
		{"Domain", &cookie.Propagator{Domain: "example.com"}},
		{"Domain", &cookie.Propagator{Name: "__host-sid", Domain: "example.com"}},
		{"Domain", &cookie.Propagator{Name: "sid", Domain: "exa mple.com"}},
		{"Domain", &cookie.Propagator{Name: "sid", Domain: "example.com; Secure"}},
		{"Domain", &cookie.Propagator{Name: "sid", Domain: "a\r\nb"}},
		{"Domain", &cookie.Propagator{Name: "sid", Domain: "é.example"}},
		{"Domain", &cookie.Propagator{Name: "sid", Domain: "::1"}},
		{"Domain", &cookie.Propagator{Name: "sid", Domain: strings.Repeat("a.", 513) + "example"}},
		{"Path", &cookie.Propagator{Path: "/app"}},
		{"Path", &cookie.Propagator{Name: "__HOST-Http-sid", Path: "/app"}},
		{"Path", &cookie.Propagator{Name: "sid", Path: "app"}},
		{"Path", &cookie.Propagator{Name: "sid", Path: "/a; Domain=example.com"}},
		{"Path", &cookie.Propagator{Name: "sid", Path: "/a\r\nX: y"}},
		{"Path", &cookie.Propagator{Name: "sid", Path: "/é"}},
		{"Path", &cookie.Propagator{Name: "sid", Path: "/" + strings.Repeat("a", 1024)}},
		{"Name", &cookie.Propagator{Name: "a b"}},
		{"Name", &cookie.Propagator{Name: "a=b"}},
		{"Name", &cookie.Propagator{Name: "a;b"}},
		{"Name", &cookie.Propagator{Name: " sid"}},
		{"Name", &cookie.Propagator{Name: "sid\r\n"}},
		{"Name", &cookie.Propagator{Name: "é"}},
		{"Name", &cookie.Propagator{Name: "\u2000__Host-sid"}},
		{"Name", &cookie.Propagator{Name: strings.Repeat("n", 2049)}},
	} {
		t.Run(tt.field, func(t *testing.T) {
			unusable(t, tt.p)
			if err := tt.p.Check(); err != nil && !strings.Contains(err.Error(), tt.field) {
				t.Errorf("got %q, which does not name %s", err, tt.field)
			}
		})
	}
	for _, p := range []*cookie.Propagator{
		{Name: "sid", Path: "/" + strings.Repeat("a", 1023)},
		{Name: strings.Repeat("n", 2048)},
		{Name: "__Hostsid", Domain: "example.com", Path: "/app", Insecure: true},
		{Name: "!#$%&'*+-.^_`|~09azAZ"},
		{Name: "sid", Domain: "127.0.0.1"},
	} {
		if err := p.Check(); err != nil {
			t.Errorf("%.50v: got %v, want nil", p.Name, err)
		}
	}
}

// kept is what rfc6265bis makes a browser do with a Set-Cookie line over https:
// whether it keeps the cookie.
func kept(line string) bool {
	head, _, _ := strings.Cut(line, "=")
	lower := strings.ToLower(head)
	attributes := map[string]string{}
	for _, a := range strings.Split(line, ";")[1:] {
		k, v, _ := strings.Cut(strings.TrimSpace(a), "=")
		attributes[strings.ToLower(k)] = v
	}
	has := func(k string) bool { _, ok := attributes[k]; return ok }
	host := has("secure") && attributes["path"] == "/" && !has("domain")
	switch {
	case strings.HasPrefix(lower, "__host-http-") && (!host || !has("httponly")),
		strings.HasPrefix(lower, "__host-") && !host,
		strings.HasPrefix(lower, "__http-") && (!has("secure") || !has("httponly")),
		strings.HasPrefix(lower, "__secure-") && !has("secure"),
		attributes["samesite"] == "None" && !has("secure"),
		has("partitioned") && !has("secure"):
		return false
	}
	return true
}

// TestMatrix tries all combinations (R12): what the browser model would drop,
// or keep otherwise than it was meant, is an error, and nothing else is.
func TestMatrix(t *testing.T) {
	legal, illegal := 0, 0
	each := func(p *cookie.Propagator) {
		naive := http.Cookie{
			Name: p.Name, Value: id, Path: p.Path, Domain: p.Domain, SameSite: p.SameSite,
			MaxAge: int(p.MaxAge / time.Second), Partitioned: p.Partitioned, Secure: !p.Insecure, HttpOnly: true,
		}
		if p.Name == "" {
			naive.Name = map[bool]string{true: "session", false: name}[p.Insecure]
		}
		if p.Path == "" {
			naive.Path = "/"
		}
		meant := p.SameSite != http.SameSiteDefaultMode && naive.Path[0] == '/'
		if meant && kept(naive.String()) {
			legal++
			w := httptest.NewRecorder()
			if err := p.Inject(id, w); err != nil || !kept(w.Header().Get("Set-Cookie")) {
				t.Errorf("%s: got %q, %v, want it set", naive.String(), w.Header(), err)
			}
			if err := p.Remove(w); err != nil || !kept(w.Header().Get("Set-Cookie")) {
				t.Errorf("%s: got %q, %v, want it deleted", naive.String(), w.Header(), err)
			}
			if got := w.Header().Get("Set-Cookie"); !strings.Contains(got, "; SameSite=") || !strings.Contains(got, "; HttpOnly") {
				t.Errorf("got %q, want SameSite and HttpOnly", got)
			}
			return
		}
		illegal++
		unusable(t, p)
	}
	for _, n := range []string{"", "sid", "__Host-a", "__host-a", "__Host-Http-a", "__HOST-hTTP-a", "__Secure-a", "__SECURE-a", "__Http-a", "__http-a"} {
		for _, path := range []string{"", "/", "/app", "app"} {
			for _, domain := range []string{"", "example.com", ".example.com"} {
				for site := http.SameSite(0); site <= http.SameSiteNoneMode; site++ {
					for i := range 8 {
						each(&cookie.Propagator{
							Name: n, Path: path, Domain: domain, SameSite: site,
							Insecure: i&1 != 0, Partitioned: i&2 != 0, MaxAge: time.Duration(i/4) * time.Hour,
						})
					}
				}
			}
		}
	}
	if legal < 500 || illegal < 500 {
		t.Errorf("got %d legal and %d illegal combinations, want many of both", legal, illegal)
	}
}

func TestNil(t *testing.T) {
	var p *cookie.Propagator
	w := httptest.NewRecorder()
	_, err := p.Extract(httptest.NewRequest(http.MethodGet, "/", nil))
	_, noRequest := (&cookie.Propagator{}).Extract(nil)
	for what, err := range map[string]error{
		"Propagator: Check":      p.Check(),
		"Propagator: Inject":     p.Inject(id, w),
		"Propagator: Remove":     p.Remove(w),
		"Propagator: Extract":    err,
		"request: Extract":       noRequest,
		"response writer: Set":   (&cookie.Propagator{}).Inject(id, nil),
		"response writer: Clear": (&cookie.Propagator{}).Remove(nil),
	} {
		field, _, _ := strings.Cut(what, ":")
		if err == nil || errors.Is(err, session.ErrNotFound) || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names what is nil", what, err)
		}
	}
	if got := p.Lifetime(); got != 0 {
		t.Errorf("Lifetime: got %v, want 0", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	p := &cookie.Propagator{}
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 100 {
				w := httptest.NewRecorder()
				if err := p.Inject(id, w); err != nil {
					t.Error(err)
				}
				header := maps.Clone(w.Header())
				c := w.Result().Cookies()
				req := httptest.NewRequest(http.MethodGet, "/", nil)
				req.AddCookie(c[0])
				if got, err := p.Extract(req); err != nil || got != id {
					t.Errorf("got %q, %v from %v", got, err, header)
				}
				if err := errors.Join(p.Check(), p.Remove(w)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}
