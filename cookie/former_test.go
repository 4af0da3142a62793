package cookie_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

// TestFormer: a browser that has cookies of earlier deploys has none of them left when the
// cookie is set or removed, or when the propagator forgets them.
func TestFormer(t *testing.T) {
	const host, top = "www.example.com", "www.example.com"
	now := &cookie.Propagator{Name: "__Secure-sid", Former: []cookie.Former{{Path: "/app"}, {Domain: "example.com"}, {Path: "/app", Domain: ".example.com"}}}
	deploys := []*cookie.Propagator{
		{Name: "__Secure-sid", Path: "/app"},
		{Name: "__Secure-sid", Domain: "example.com"},
		{Name: "__Secure-sid", Path: "/app", Domain: "example.com"},
		{Name: "__Secure-sid"}, // the cookie as it is now
	}
	for _, tt := range []struct {
		name string
		call func(w http.ResponseWriter) error
		want string // that the browser sends afterwards
	}{
		{"Inject", func(w http.ResponseWriter) error { return now.Inject("new", w) }, "new"},
		{"InjectFor", func(w http.ResponseWriter) error { return now.InjectFor("new", day, w) }, "new"},
		{"Remove", now.Remove, ""},
		{"Forget", now.Forget, id},
		{"Forget twice", func(w http.ResponseWriter) error { return errors.Join(now.Forget(w), now.Forget(w)) }, id},
		{"Forget after Inject", func(w http.ResponseWriter) error { return errors.Join(now.Inject("new", w), now.Forget(w)) }, "new"},
		{"Inject after Forget", func(w http.ResponseWriter) error { return errors.Join(now.Forget(w), now.Inject("new", w)) }, "new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := jar{}
			for _, p := range deploys {
				w := httptest.NewRecorder()
				if err := p.Inject(id, w); err != nil {
					t.Fatal(err)
				}
				j.take(t, w.Header(), host, top, true)
			}
			if _, err := now.Extract(j.request(host, "/app/", top)); len(j) != len(deploys) || !errors.Is(err, session.ErrMultiple) {
				t.Fatalf("the browser has %d cookies: %v", len(j), err)
			}
			w := httptest.NewRecorder()
			w.Header()["Set-Cookie"] = []string{"other=1"}
			if err := tt.call(w); err != nil {
				t.Fatal(err)
			}
			lines := w.Header()["Set-Cookie"]
			if sorted := slices.Sorted(slices.Values(lines)); len(slices.Compact(sorted)) != len(lines) || len(lines) > 5 || lines[0] != "other=1" {
				t.Errorf("got %q", lines)
			}
			if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("Vary") != "Cookie" {
				t.Errorf("a cache may keep it: %v", h)
			}
			j.take(t, w.Header(), host, top, true)
			got, err := now.Extract(j.request(host, "/app/", top))
			if got != tt.want || (err != nil) != (tt.want == "") || errors.Is(err, session.ErrMultiple) {
				t.Errorf("the browser sends %q: %v, want %q", got, err, tt.want)
			}
		})
	}
}

// TestMultipleNamesFormer: the operator who reads the error in the log learns what to set.
func TestMultipleNamesFormer(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Cookie", "session=a; session=b")
	if _, err := (&cookie.Propagator{Insecure: true}).Extract(r); err == nil || !strings.Contains(err.Error(), "cookie.Propagator.Former") {
		t.Errorf("got %v, want an error that names Former", err)
	}
}

// TestForgetNothing: without Former no response changes.
func TestForgetNothing(t *testing.T) {
	w := httptest.NewRecorder()
	if err := (&cookie.Propagator{}).Forget(w); err != nil || len(w.Header()) != 0 {
		t.Errorf("got %v, %v", w.Header(), err)
	}
}
