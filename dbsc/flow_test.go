package dbsc_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

// A login is bound, and its device gets one cookie after the other, with a key of either
// kind, and however the browser writes its header fields.
func TestFlow(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		for _, quote := range []string{"", `"`} {
			for _, algorithm := range []string{"ES256", "RS256"} {
				d := newDevice(t, s, "ada")
				if algorithm == "RS256" {
					d.key = rsaKey()
				}
				old := d.token
				a := s.ask(t, http.MethodPost, "/dbsc/register", d.token, headerProof, quote+registration(t, d.key, d.offered)+quote)
				d.note(t, a)
				instructed(t, a, idOf(old))
				if d.token == old || idOf(d.token) != idOf(old) {
					t.Error("the bound token is no other one of the same session")
				}
				if who := s.who(t, d.token); who != "ada" {
					t.Errorf("the bound token opens %s", who)
				}
				s.wantEvents(t, "bound")
				tokens := []string{old, d.token}

				// The challenge that was handed out ahead needs one round trip.
				a = s.ask(t, http.MethodPost, refreshOf(d.id), "", headerSession, quote+cookieName+quote, headerProof, quote+proof(t, d.key, d.challenge)+quote)
				d.note(t, a)
				instructed(t, a, d.id)
				tokens = append(tokens, d.token)

				// Without one there is a round trip more.
				before := d.challenge
				a = d.ask(t)
				a.want(t, http.StatusForbidden, false)
				if d.challenge == before || a.body != "" {
					t.Errorf("a challenge came twice: %t, with a body: %t", d.challenge == before, a.body != "")
				}
				instructed(t, d.prove(t), d.id)
				tokens = append(tokens, d.token)
				s.wantEvents(t, "proved", "proved")
				for i, token := range tokens { // each is good for a while yet
					for j := range i {
						if tokens[j] == token {
							t.Error("a token was given twice")
						}
					}
					if who := s.who(t, token); who != "ada" {
						t.Errorf("token %d opens %s", i, who)
					}
				}
			}
		}
	})
}

// instructed checks an answer that gives a token.
func instructed(t *testing.T, a answer, id string) {
	t.Helper()
	token := a.set(t)
	want := `{"session_identifier":"` + cookieName + `","refresh_url":"/dbsc/refresh?session=` + id + `",` +
		`"scope":{"include_site":false,"scope_specification":[{"type":"exclude","domain":"*","path":"/static"},{"type":"exclude","domain":"*","path":"/favicon.ico"}]},` +
		`"credentials":[{"type":"cookie","name":"` + cookieName + `","attributes":"` + attributes + `"}]}`
	if a.status != http.StatusOK || a.body != want {
		t.Fatalf("got %d\n%s, want\n%s", a.status, a.body, want)
	}
	if got, want := a.header.Get("Set-Cookie"), cookieName+"=TOKEN; Path=/; Max-Age=570; HttpOnly; Secure; SameSite=Lax"; strings.Replace(got, token, "TOKEN", 1) != want {
		t.Errorf("got the cookie %s, want %s", strings.Replace(got, token, "TOKEN", 1), want)
	}
	if !challenged.MatchString(a.header.Get(headerChallenge)) {
		t.Error("there is no challenge for the next refresh")
	}
	hidden(t, a)
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type: %s", got)
	}
}

// hidden checks that no cache keeps an answer, and no other site reads it.
func hidden(t *testing.T, a answer) {
	t.Helper()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin", "X-Content-Type-Options": "nosniff",
		"Access-Control-Allow-Origin": "",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// A token that was copied is good until its end and not a moment longer, while the device
// goes on. The session lives, and its values and deadlines stay.
func TestStolen(t *testing.T) {
	for name, fresh := range stores() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(fresh(t))
				d := bound(t, s, "ada")
				before := described(t, s, d.id)
				stolen := d.token
				time.Sleep(lifetime / 2)
				d.ask(t)
				d.prove(t).want(t, http.StatusOK, true)
				time.Sleep(lifetime/2 - time.Millisecond)
				if who := s.who(t, stolen); who != "ada" {
					t.Errorf("before its end the token opens %s", who)
				}
				s.wantEvents(t, "bound", "proved")
				time.Sleep(time.Millisecond)
				a := s.ask(t, http.MethodGet, "/me", stolen)
				if a.body != "nobody" || len(a.cookies) != 0 {
					t.Errorf("after its end the token opens %s", a.body)
				}
				s.wantEvents(t, "unproved: session: not found")
				if who := s.who(t, d.token); who != "ada" {
					t.Errorf("the device's own opens %s", who)
				}
				time.Sleep(lifetime / 2)
				if who := s.who(t, d.token); who != "nobody" {
					t.Errorf("after its end the device's own opens %s", who)
				}
				d.ask(t).want(t, http.StatusForbidden, false)
				d.prove(t).want(t, http.StatusOK, true)
				if who := s.who(t, d.token); who != "ada" {
					t.Errorf("the next one opens %s", who)
				}
				after := described(t, s, d.id)
				if after.AbsoluteDeadline != before.AbsoluteDeadline || after.IdleDeadline != before.IdleDeadline || !after.Bound {
					t.Errorf("got %+v, want deadlines of %+v", after, before)
				}
			})
		})
	}
}

func described(t *testing.T, s *site, id string) session.Info {
	t.Helper()
	found, err := s.manager.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	info, err := session.Describe(found)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// The token of the login ends soon after the bound one was seen, and no earlier.
func TestFirstToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(stores()["memory"](t))
		d := newDevice(t, s, "ada")
		first := d.token
		d.register(t).want(t, http.StatusOK, true)
		time.Sleep(2 * time.Minute)
		if who := s.who(t, first); who != "ada" {
			t.Errorf("the response may have got lost, and the first token opens %s", who)
		}
		if who := s.who(t, d.token); who != "ada" {
			t.Errorf("the bound one opens %s", who)
		}
		time.Sleep(30*time.Second - time.Millisecond)
		if who := s.who(t, first); who != "ada" {
			t.Errorf("in its grace the first token opens %s", who)
		}
		time.Sleep(time.Millisecond)
		if who := s.who(t, first); who != "nobody" {
			t.Errorf("after its grace the first token opens %s", who)
		}
		s.wantEvents(t, "bound", "reused: session: not found")
	})
}

// Tabs that refresh at once each get a token, and all of them are good.
func TestTogether(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		d := bound(t, s, "ada")
		tokens := make([]string, 16)
		var tabs sync.WaitGroup
		for i := range tokens {
			tab := d.clone()
			tabs.Go(func() {
				tab.ask(t)
				if a := tab.prove(t); a.status == http.StatusOK {
					tokens[i] = tab.token
				}
			})
		}
		tabs.Wait()
		seen := map[string]bool{}
		for i, token := range tokens {
			if who := s.who(t, token); who != "ada" || seen[token] {
				t.Errorf("token %d opens %s, and was given before: %t", i, who, seen[token])
			}
			seen[token] = true
		}
	})
}

// A response that gets lost harms nobody.
func TestLost(t *testing.T) {
	t.Run("registration", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(stores()["memory"](t))
			d := newDevice(t, s, "ada")
			d.clone().register(t).want(t, http.StatusOK, true)
			d.register(t).want(t, http.StatusForbidden, false)
			time.Sleep(20 * time.Minute)
			if who := s.who(t, d.token); who != "ada" {
				t.Errorf("the first token opens %s", who)
			}
			s.wantEvents(t, "bound", refusedBound)
		})
	})
	t.Run("refresh", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(stores()["memory"](t))
			d := bound(t, s, "ada")
			d.clone().prove(t).want(t, http.StatusOK, true)
			if who := s.who(t, d.token); who != "ada" {
				t.Errorf("the token of before opens %s", who)
			}
			d.prove(t).want(t, http.StatusForbidden, false) // the browser does not know that it arrived
			d.prove(t).want(t, http.StatusOK, true)
			if who := s.who(t, d.token); who != "ada" {
				t.Errorf("the next token opens %s", who)
			}
			s.wantEvents(t, "bound", "proved", refusedReplay, "proved")
		})
	})
}

// Logout, revocation and expiry end the binding, and the browser is told so.
func TestEnd(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		for name, end := range map[string]func(d *device){
			"logout":     func(d *device) { s.ask(t, http.MethodPost, "/logout", d.token) },
			"everywhere": func(*device) { s.ask(t, http.MethodPost, "/everywhere?user=ada", "") },
			"another user logs in": func(d *device) {
				d.clone().login(t, "grace")
			},
		} {
			t.Run(name, func(t *testing.T) {
				d := bound(t, s, "ada")
				end(d)
				if who := s.who(t, d.token); who != "nobody" {
					t.Errorf("the token opens %s", who)
				}
				for _, a := range []answer{d.ask(t), d.prove(t)} {
					if !stopped(a) {
						t.Errorf("got %d %s", a.status, a.body)
					}
				}
			})
		}
	})
	t.Run("expiry", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(stores()["memory"](t))
			d := bound(t, s, "ada")
			time.Sleep(30*time.Minute - time.Millisecond)
			d.ask(t).want(t, http.StatusForbidden, false)
			time.Sleep(time.Millisecond)
			if a := d.prove(t); !stopped(a) {
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	})
}

// The next login of the session ends the binding, and begins another.
func TestLoginAgain(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		for _, path := range []string{"/login?user=ada", "/again"} {
			d := bound(t, s, "ada")
			before := d.clone()
			d.take(t, s.ask(t, http.MethodPost, path, d.token))
			if idOf(d.token) != d.id {
				t.Fatal("the session has another id")
			}
			if who := s.who(t, before.token); who != "nobody" {
				t.Errorf("%s: the token of before opens %s", path, who)
			}
			for _, a := range []answer{before.clone().ask(t), before.clone().prove(t)} {
				if !stopped(a) {
					t.Errorf("%s: a refresh of before: got %d %s", path, a.status, a.body)
				}
			}
			other := newDevice(t, s, "grace")
			d.key = other.key
			d.register(t).want(t, http.StatusOK, true)
			d.prove(t).want(t, http.StatusOK, true)
			before.prove(t).want(t, http.StatusForbidden, false)
			if fmt.Sprint(described(t, s, d.id).Bound) != "true" {
				t.Errorf("%s: it is not bound", path)
			}
		}
	})
}

// A refresh that comes with the token of another session must not throw the browser back
// into the one of before.
func TestOtherToken(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		d, other := bound(t, s, "ada"), bound(t, s, "grace")
		s.take()
		a := s.ask(t, http.MethodPost, refreshOf(d.id), other.token, headerSession, cookieName, headerProof, proof(t, d.key, d.challenge))
		a.want(t, http.StatusServiceUnavailable, false) // the binding of the other login has the same name
		if events := s.told(); len(events) != 1 || !strings.HasPrefix(events[0], "proof_refused: ") {
			t.Errorf("got events %q", events)
		}
		a = s.ask(t, http.MethodPost, refreshOf(d.id), d.token, headerSession, cookieName, headerProof, proof(t, d.key, d.challenge))
		a.want(t, http.StatusOK, true)
	})
}

// No response puts an older token in the place of a bound one.
func TestOlderToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(stores()["memory"](t))
		s.manager.RenewAfter = time.Minute
		d := newDevice(t, s, "ada")
		older := d.token
		time.Sleep(time.Minute)
		d.note(t, s.ask(t, http.MethodPost, "/rotate", older))
		if d.token == older {
			t.Fatal("the token was not rotated")
		}
		// The device answers to the token that it has, and not to that of the login.
		d.register(t).want(t, http.StatusForbidden, false)
		s.wantEvents(t, "rotated", "proof_refused: dbsc: proof refused: unknown or expired challenge")
		rotated := d.token
		a := s.ask(t, http.MethodPost, "/dbsc/register", older, headerProof, registration(t, d.key, d.offered))
		a.want(t, http.StatusOK, true)
		d.note(t, a)
		for name, token := range map[string]string{"before the rotation": older, "before the binding": rotated, "bound": d.token} {
			for _, path := range []string{"/rotate", "/prolong"} {
				if a := s.ask(t, http.MethodPost, path, token); a.status != http.StatusOK || len(a.cookies) > 0 {
					t.Errorf("%s, %s: got %d and %d cookies", path, name, a.status, len(a.cookies))
				}
			}
		}
		s.wantEvents(t, "bound")
	})
}
