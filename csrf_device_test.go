package session_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// TestRequireCSRFDevices: the two requests of a browser that binds a session pass without
// a token, and no other, nor those where nothing is bound.
func TestRequireCSRFDevices(t *testing.T) {
	for _, c := range []struct {
		path  string
		bound time.Duration
		want  int
	}{
		{"/dbsc/register", 0, 403},
		{"/dbsc/register", time.Minute, 200},
		{"/dbsc/refresh", time.Minute, 200},
		{"/dbsc", time.Minute, 403},
		{"/dbsc/register/", time.Minute, 403},
		{"/x/dbsc/register", time.Minute, 403},
	} {
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: "__Host-session"}, DeviceBound: c.bound}
		b := &webtest.Browser{}
		b.Login(t, m, "ada")
		status, ran := post(t, b, m, nil, func(r *http.Request) { r.URL.Path = c.path }, nil)
		if status != c.want || ran != (c.want == 200) {
			t.Errorf("%s, bound for %v: got status %d, handler ran %t, want %d", c.path, c.bound, status, ran, c.want)
		}
	}
}
