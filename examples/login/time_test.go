package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session/memory"
)

// A traveller visits a site in a bubble, in which time passes at once.
type traveller struct {
	visitor

	handler http.Handler
	token   *http.Cookie // as the site has set it last
	set     bool         // the last response has set it
}

// travel calls f in a bubble. mist keeps a goroutine of its own, so the site is
// built outside of it, and asked without a network.
func travel(t *testing.T, f func(*testing.T, *traveller)) {
	t.Helper()
	handler := newHandler(managerOf(&memory.Store{}, false))
	synctest.Test(t, func(t *testing.T) { f(t, &traveller{visitor: visitor{t: t}, handler: handler}) })
}

// ask sends a form, or with no method gets a page.
func (v *traveller) ask(method, path string, fields ...string) response {
	req := httptest.NewRequestWithContext(v.t.Context(), method, path, strings.NewReader(v.form(fields...)))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if v.token != nil {
		req.AddCookie(v.token)
	}
	rec := httptest.NewRecorder()
	v.handler.ServeHTTP(rec, req)
	cookies := rec.Result().Cookies()
	if v.set = len(cookies) > 0; v.set {
		v.token = cookies[0]
	}
	got := response{rec.Code, rec.Result().Header, rec.Body.String()}
	if csrf := got.csrf(); csrf != "" {
		v.csrf.Store(&csrf)
	}
	return got
}

// want fails the test unless a page, or where it sends to, is what is wanted.
func (v *traveller) want(page string, got response, status int, location string) {
	v.t.Helper()
	if got.status != status || got.header.Get("Location") != location {
		v.t.Fatalf("%s: got status %d, location %q, want %d, %q", page, got.status, got.header.Get("Location"), status, location)
	}
}

func (v *traveller) login(fields ...string) {
	v.t.Helper()
	v.want("login", v.ask("POST", "/login", append(fields, "user", "ada", "password", "engine")...), 303, "/")
	v.want("home", v.ask("GET", "/"), 200, "")
}

func TestActiveUsersStayLoggedIn(t *testing.T) {
	travel(t, func(_ *testing.T, v *traveller) {
		v.login()
		for range 6 { // two hours, four times the idle timeout
			time.Sleep(20 * time.Minute)
			v.want("after another 20 minutes", v.ask("GET", "/"), 200, "")
		}
		time.Sleep(30 * time.Minute)
		v.want("after 30 minutes of nothing", v.ask("GET", "/"), 401, "")
	})
}

func TestTokensAreRenewed(t *testing.T) {
	travel(t, func(t *testing.T, v *traveller) {
		v.login()
		for _, step := range []struct {
			pass    time.Duration
			renewed bool
		}{
			{15*time.Minute - 1, false}, {1, true}, {1, false}, {15 * time.Minute, true},
		} {
			time.Sleep(step.pass)
			v.want("home", v.ask("GET", "/"), 200, "")
			if v.set != step.renewed {
				t.Errorf("after %v more: got a new token %t, want %t", step.pass, v.set, step.renewed)
			}
		}
	})
}

func TestRemembered(t *testing.T) {
	days := func(v *traveller) float64 { return float64(v.token.MaxAge) / (24 * 60 * 60) }
	travel(t, func(t *testing.T, v *traveller) {
		v.login()
		if v.token.MaxAge != 0 {
			t.Errorf("not remembered: got Max-Age %d, want none", v.token.MaxAge)
		}
	})
	travel(t, func(t *testing.T, v *traveller) {
		v.login("remember", "yes")
		if got := days(v); got != 90 {
			t.Errorf("login: got a cookie for %v days, want 90", got)
		}
		for n := 1; n <= 6; n++ {
			time.Sleep(14*day - time.Millisecond) // not quite the idle timeout
			v.want("after 14 more days", v.ask("GET", "/"), 200, "")
			if got, want := days(v), float64(90-14*n); got < want || got > want+0.001 {
				t.Errorf("after %d days: got a cookie for %v days, want the %v that remain", 14*n, got, want)
			}
		}
		time.Sleep(6*day + 6*time.Millisecond - time.Nanosecond)
		v.want("just before", v.ask("GET", "/login"), 200, "") // which does not prolong
		time.Sleep(time.Nanosecond)
		v.want("after 90 days", v.ask("GET", "/"), 401, "")
	})
	travel(t, func(_ *testing.T, v *traveller) {
		v.login("remember", "yes")
		time.Sleep(14 * day)
		v.want("after 14 days of nothing", v.ask("GET", "/"), 401, "")
	})
}

func TestFreshLogin(t *testing.T) {
	travel(t, func(t *testing.T, v *traveller) {
		v.login()
		time.Sleep(5*time.Minute - time.Nanosecond)
		v.want("just fresh", v.ask("GET", "/password"), 200, "")
		v.want("renewal", v.ask("POST", "/renew"), 303, "/")
		time.Sleep(time.Nanosecond)
		for _, c := range []struct{ method, path, back string }{
			{"GET", "/password", "/password"}, {"POST", "/password", "/password"}, {"POST", "/devices", "/devices"},
		} {
			v.want("stale", v.ask(c.method, c.path, "id", "others", "new", "difference engine", "again", "difference engine"),
				303, "/confirm?back="+strings.ReplaceAll(c.back, "/", "%2F"))
		}
		v.want("devices can be looked at", v.ask("GET", "/devices"), 200, "")

		form := v.ask("GET", "/confirm?back=%2Fpassword")
		if !strings.Contains(form.body, `name="back" value="/password"`) {
			t.Error("the form does not say where it goes on")
		}
		for _, wrong := range []string{"", "compiler", "difference engine"} {
			if got := v.ask("POST", "/confirm", "password", wrong, "back", "/password"); got.status != 401 || got.element("problem") == "" || v.set {
				t.Errorf("wrong password: got status %d, problem %q, new token %t, want 401 and a problem alone", got.status, got.element("problem"), v.set)
			}
		}
		v.want("still stale", v.ask("GET", "/password"), 303, "/confirm?back=%2Fpassword")
		old := v.token
		v.want("confirmed", v.ask("POST", "/confirm", "password", "engine", "back", "/password"), 303, "/password")
		if !v.set || v.token.Value == old.Value {
			t.Error("confirmed: the token is as before, want another")
		}
		v.want("fresh again", v.ask("GET", "/password"), 200, "")
		time.Sleep(5 * time.Minute)
		v.want("stale again", v.ask("GET", "/password"), 303, "/confirm?back=%2Fpassword")
		v.token = old
		v.want("with the token from before", v.ask("GET", "/"), 401, "")
	})
}

// A link to the confirmation does not say where its reader ends up.
func TestConfirmLeadsHome(t *testing.T) {
	travel(t, func(t *testing.T, v *traveller) {
		v.login()
		for _, back := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "/password/../login", "/logout", ""} {
			if got := v.ask("GET", "/confirm?back="+back); !strings.Contains(got.body, `name="back" value="/"`) {
				t.Errorf("form with back=%s: does not lead home", back)
			}
			v.want(back, v.ask("POST", "/confirm", "password", "engine", "back", back), 303, "/")
			v.want("home", v.ask("GET", "/"), 200, "")
		}
	})
}
