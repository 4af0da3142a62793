package cookie_test

import (
	"errors"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

const (
	set     = name + "=" + id + "; Path=/; HttpOnly; Secure; SameSite=Lax"
	deleted = name + "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
)

// TestLastStateWins is R17: a response has one cookie of our name.
func TestLastStateWins(t *testing.T) {
	for _, tt := range []struct{ steps, want string }{
		{"i", set},
		{"ii", set},
		{"iii", set},
		{"r", deleted},
		{"rr", deleted},
		{"ir", deleted},
		{"ri", set},
		{"iiri", set},
		{"irir", deleted},
	} {
		t.Run(tt.steps, func(t *testing.T) {
			w := httptest.NewRecorder()
			p := &cookie.Propagator{}
			for i, step := range tt.steps {
				var err error
				switch {
				case step == 'r':
					err = p.Remove(w)
				case i < len(tt.steps)-1:
					err = p.Inject("earlier", w)
				default:
					err = p.Inject(id, w)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if got := w.Header()["Set-Cookie"]; !slices.Equal(got, []string{tt.want}) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOtherCookiesStay(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"another name", "other=1; Path=/", "other=1; Path=/"},
		{"our name with more behind", name + "2=1", name + "2=1"},
		{"our name with more before", "x" + name + "=1", "x" + name + "=1"},
		{"our name in other case", strings.ToLower(name) + "=1", strings.ToLower(name) + "=1"},
		{"our name as a value", "other=" + name + "=1", "other=" + name + "=1"},
		{"our name as an attribute", "other=1; " + name + "=1", "other=1; " + name + "=1"},
		{"no name", "=" + name + "=1", "=" + name + "=1"},
		{"nothing", "", ""},
		{"ours, from somebody else", name + "=theirs; Path=/app; Domain=example.com", ""},
		{"ours with spaces", " " + name + " = theirs", ""},
		{"ours without a value", name, ""},
	} {
		for what, want := range map[string]string{"Inject": set, "Remove": deleted} {
			t.Run(tt.name+"/"+what, func(t *testing.T) {
				w := httptest.NewRecorder()
				w.Header()["Set-Cookie"] = []string{"first=1; Secure", tt.line, tt.line, "last=1"}
				p := &cookie.Propagator{}
				call := map[string]func() error{"Inject": func() error { return p.Inject(id, w) }, "Remove": func() error { return p.Remove(w) }}
				for range 2 {
					if err := call[what](); err != nil {
						t.Fatal(err)
					}
				}
				all := []string{"first=1; Secure", "last=1", want}
				if tt.want != "" || tt.line == "" {
					all = []string{"first=1; Secure", tt.want, tt.want, "last=1", want}
				}
				if got := w.Header()["Set-Cookie"]; !slices.Equal(got, all) {
					t.Errorf("got  %q\nwant %q", got, all)
				}
			})
		}
	}
}

// TestTwoPropagators share a response and leave each other's cookie alone.
func TestTwoPropagators(t *testing.T) {
	w := httptest.NewRecorder()
	a, b := &cookie.Propagator{Name: "a"}, &cookie.Propagator{Name: "b", Path: "/b"}
	if err := errors.Join(a.Inject("1", w), b.Inject("2", w), a.Remove(w), b.Inject("3", w)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		"b=3; Path=/b; HttpOnly; Secure; SameSite=Lax",
	}
	if got := w.Header()["Set-Cookie"]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCaches is R22: no cache hands the cookie to somebody else.
func TestCaches(t *testing.T) {
	for _, tt := range []struct {
		name       string
		vary, want []string
	}{
		{"none", nil, []string{"Cookie"}},
		{"another", []string{"Accept"}, []string{"Accept", "Cookie"}},
		{"ours", []string{"Cookie"}, []string{"Cookie"}},
		{"ours in other case", []string{"cOOKIE"}, []string{"cOOKIE"}},
		{"ours among others", []string{"Accept,cookie , Origin"}, []string{"Accept,cookie , Origin"}},
		{"ours in the second line", []string{"Accept", "Cookie"}, []string{"Accept", "Cookie"}},
		{"all", []string{"*"}, []string{"*"}},
		{"all among others", []string{"Accept, *"}, []string{"Accept, *"}},
		{"a longer word", []string{"Cookies, X-Cookie"}, []string{"Cookies, X-Cookie", "Cookie"}},
		{"empty", []string{""}, []string{"", "Cookie"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, control := range [][]string{nil, {"no-store"}, {"public, max-age=600"}, {"public", "max-age=600"}} {
				for _, call := range []func(p *cookie.Propagator, w http.ResponseWriter) error{
					func(p *cookie.Propagator, w http.ResponseWriter) error { return p.Inject(id, w) },
					(*cookie.Propagator).Remove,
				} {
					w := httptest.NewRecorder()
					w.Header()["Vary"], w.Header()["Cache-Control"] = slices.Clone(tt.vary), slices.Clone(control)
					p := &cookie.Propagator{}
					for range 2 {
						if err := call(p, w); err != nil {
							t.Fatal(err)
						}
						if got := w.Header()["Vary"]; !slices.Equal(got, tt.want) {
							t.Errorf("got Vary %q, want %q", got, tt.want)
						}
						if got := w.Header()["Cache-Control"]; !slices.Equal(got, []string{"no-store"}) {
							t.Errorf("got Cache-Control %q, want no-store", got)
						}
					}
				}
			}
		})
	}
}

func TestOtherHeadersStay(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header()["X-Other"] = []string{"a", "b"}
	p := &cookie.Propagator{}
	if err := errors.Join(p.Inject(id, w), p.Remove(w)); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(w.Header())); !slices.Equal(got, []string{"Cache-Control", "Set-Cookie", "Vary", "X-Other"}) {
		t.Errorf("got the headers %q", got)
	}
	if got := w.Header()["X-Other"]; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got %q", got)
	}
	if w.Code != http.StatusOK || w.Body.Len() != 0 {
		t.Errorf("got status %d and %d bytes, want nothing written", w.Code, w.Body.Len())
	}
}

// octet is cookie-octet as RFC 6265, 4.1.1 prints it.
func octet(c byte) bool {
	return c == 0x21 || 0x23 <= c && c <= 0x2b || 0x2d <= c && c <= 0x3a || 0x3c <= c && c <= 0x5b || 0x5d <= c && c <= 0x7e
}

// TestInjectHostile is R25 and T-M7: an error, and a header as it was.
func TestInjectHostile(t *testing.T) {
	const room = 4096 - len(name)
	ids := []string{
		"", " ", "a b", " a", "a ", "\t", "a;b", "a; Domain=evil.example", "a,b", `"`, `"quoted"`, `a\b`,
		"a\r\nSet-Cookie: evil=1", "a\r", "a\n", "\x00", "a\x00b", "\x7f", "é", "\u2028", "\xff",
		strings.Repeat("a", room+1), strings.Repeat("a", 5000), strings.Repeat("a", 1<<20), strings.Repeat(";", 1<<20),
	}
	for c := range 256 {
		if !octet(byte(c)) {
			b := string([]byte{byte(c)})
			ids = append(ids, b, id+b, b+id)
		}
	}
	for _, hostile := range ids {
		for _, before := range []http.Header{{}, {"Set-Cookie": {"a=1", name + "=earlier", "b=2"}, "Vary": {"Accept"}, "Cache-Control": {"public"}}} {
			w := httptest.NewRecorder()
			maps.Copy(w.Header(), before.Clone())
			err := (&cookie.Propagator{}).Inject(hostile, w)
			if !errors.Is(err, session.ErrInvalidID) || errors.Is(err, session.ErrNotFound) {
				t.Errorf("%.50q: got %v, want ErrInvalidID", hostile, err)
			}
			if !maps.EqualFunc(w.Header(), before, slices.Equal) {
				t.Errorf("%.50q: got the header %v, want %v", hostile, w.Header(), before)
			}
		}
	}
	for _, good := range []string{"a", strings.Repeat("a", room), "!#$%&'()*+-./09:<=>?@AZ[]^_`az{|}~"} {
		w := httptest.NewRecorder()
		if err := (&cookie.Propagator{}).Inject(good, w); err != nil {
			t.Errorf("%.50q: got %v, want nil", good, err)
		}
		if got, want := w.Header().Get("Set-Cookie"), strings.Replace(set, id, good, 1); got != want {
			t.Errorf("got %.80q, want %.80q", got, want)
		}
	}
}

func TestInjectFor(t *testing.T) {
	for _, c := range []struct {
		p    *cookie.Propagator
		keep time.Duration
		want int // Max-Age
	}{
		{&cookie.Propagator{}, 1, 1},
		{&cookie.Propagator{}, time.Second, 1},
		{&cookie.Propagator{}, time.Second + 1, 2},
		{&cookie.Propagator{MaxAge: time.Hour}, time.Minute, 60},
		{&cookie.Propagator{}, 400 * 24 * time.Hour, 34_560_000},
		{&cookie.Propagator{}, 401 * 24 * time.Hour, 34_560_000},
		{&cookie.Propagator{}, math.MaxInt64, 34_560_000},
	} {
		rec := httptest.NewRecorder()
		if err := c.p.InjectFor("value", c.keep, rec); err != nil {
			t.Errorf("%v: %v", c.keep, err)
		}
		set := rec.Result().Cookies()
		if len(set) != 1 || set[0].MaxAge != c.want || set[0].Value != "value" {
			t.Errorf("%v: got %v, want one cookie with Max-Age %d", c.keep, set, c.want)
		}
	}
	var none *cookie.Propagator
	for name, err := range map[string]error{
		"zero":        (&cookie.Propagator{}).InjectFor("value", 0, httptest.NewRecorder()),
		"negative":    (&cookie.Propagator{}).InjectFor("value", -1, httptest.NewRecorder()),
		"nil":         none.InjectFor("value", time.Hour, httptest.NewRecorder()),
		"no writer":   (&cookie.Propagator{}).InjectFor("value", time.Hour, nil),
		"empty value": (&cookie.Propagator{}).InjectFor("", time.Hour, httptest.NewRecorder()),
	} {
		if err == nil {
			t.Errorf("%s: got nil, want an error", name)
		}
	}
}
