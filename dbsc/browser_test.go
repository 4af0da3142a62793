package dbsc_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

// An anonymous session that began while the cookie was missing, or an identifier that
// somebody planted, is nobody: the device goes on.
func TestNobodysToken(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		d := bound(t, s, "ada")
		anonymous, err := s.manager.Store.Generate(t.Context(), "anonymous")
		if err != nil {
			t.Fatal(err)
		}
		for _, carried := range []string{session.Token(anonymous), "x." + strings.Repeat("A", 26), "x.y"} {
			s.ask(t, http.MethodPost, refreshOf(d.id), carried, headerSession, cookieName).want(t, http.StatusForbidden, false)
			a := s.ask(t, http.MethodPost, refreshOf(d.id), carried, headerSession, cookieName, headerProof, proof(t, d.key, d.challenge))
			a.want(t, http.StatusOK, true)
			d.note(t, a)
		}
	})
}

// The challenge that a browser has from the last answer is good when it refreshes: in the
// last two minutes of a cookie that it keeps for 570 seconds.
func TestChallengeAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(stores()["memory"](t))
		d := bound(t, s, "ada")
		s.take()
		for range 3 {
			time.Sleep(lifetime - 30*time.Second - time.Second)
			d.prove(t).want(t, http.StatusOK, true)
			s.wantEvents(t, "proved")
		}
	})
}

// A script of the page can set the header of a proof, but its requests say what they are.
func TestScriptRegistersNothing(t *testing.T) {
	s := serve(t, stores()["memory"](t))
	d := newDevice(t, s, "ada")
	for _, mode := range []string{"cors", "same-origin", "navigate"} {
		a := s.ask(t, http.MethodPost, "/dbsc/register", d.token, headerProof, registration(t, d.key, d.offered), "Sec-Fetch-Mode", mode)
		a.want(t, http.StatusForbidden, false)
	}
	a := s.ask(t, http.MethodPost, "/dbsc/register", d.token, headerProof, registration(t, d.key, d.offered), "Sec-Fetch-Mode", "no-cors")
	a.want(t, http.StatusOK, true)
}

// Where the answer of a registration got lost, the browser goes on with the cookie of the
// login, which a refresh sets anew.
func TestLostRegistrationLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(stores()["memory"](t))
		s.manager.Propagator = &cookie.Propagator{Name: cookieName, MaxAge: 20 * time.Minute}
		d := newDevice(t, s, "ada")
		first := d.token
		s.ask(t, http.MethodPost, "/dbsc/register", first, headerProof, registration(t, d.key, d.offered)) // lost
		for _, c := range []struct {
			after time.Duration
			set   bool
		}{{2 * time.Minute, false}, {time.Minute, true}, {10 * time.Minute, true}} {
			time.Sleep(c.after)
			if got := s.ask(t, http.MethodPost, "/prolong", first).set(t); got != "" != c.set || c.set && got != first {
				t.Errorf("%v later the cookie was set anew: %t, want %t", c.after, got != "", c.set)
			}
		}
	})
}
