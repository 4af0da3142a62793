package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mist-contrib/session/memory"
)

// TestDeviceBound: with a lifetime in the environment, logins offer to be bound; without,
// nothing of that is there.
func TestDeviceBound(t *testing.T) {
	for _, c := range []struct {
		bound, name  string
		registration int
	}{
		{"", "__Host-Http-session", http.StatusNotFound},
		{"10m", "__Host-session", http.StatusBadRequest}, // there is no proof
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("SESSION_STORE", "sqlite:"+filepath.Join(t.TempDir(), "sessions.db"))
			t.Setenv("SESSION_DEVICE_BOUND", c.bound)
			m, closer, err := newManager("", true)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = closer.Close() })
			site := httptest.NewTLSServer(newHandler(equip(m)))
			t.Cleanup(site.Close)
			v := visit(t, site)
			v.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			header := v.post("/login", "user", "ada", "password", "engine").header
			if !strings.HasPrefix(header.Get("Set-Cookie"), c.name+"=") {
				t.Errorf("the cookie is not named %s", c.name)
			}
			if got := header.Get("Secure-Session-Registration") != ""; got != (c.bound != "") {
				t.Errorf("the login offers to be bound: got %t", got)
			}
			if got := v.post("/dbsc/register").status; got != c.registration {
				t.Errorf("registration without a proof: got status %d, want %d", got, c.registration)
			}
		})
	}
}

// TestSkipped: a browser that could not get a fresh cookie is not told that it is logged
// out.
func TestSkipped(t *testing.T) {
	captureLog(t)
	v := visit(t, open(t, &memory.Store{}))
	wantStranger(t, v.get("/"))
	v.header.Set("Secure-Session-Skipped", `server_error;session_identifier="x"`)
	if got := v.get("/"); got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, `id="again"`) {
		t.Errorf("got status %d, want the 503 page", got.status)
	}
	v.login("ada", "engine")
}
