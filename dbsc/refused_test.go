package dbsc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

const (
	refusedChallenge = "proof_refused: dbsc: proof refused: unknown or expired challenge"
	refusedSignature = "proof_refused: dbsc: proof refused: bad signature"
	refusedMalformed = "proof_refused: dbsc: proof refused: malformed proof"
	refusedReplay    = "proof_refused: session: challenge was answered before"
	refusedBound     = "proof_refused: session: bound to a device already"
	refusedLate      = "proof_refused: session: must authenticate again"
)

// What is no proof gets no token, and the device goes on.
func TestRefusedProof(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		d, other := bound(t, s, "ada"), bound(t, s, "grace")
		used := d.clone()
		d.prove(t).want(t, http.StatusOK, true)
		s.take()
		for _, c := range []struct {
			name, proof, event string
		}{
			{"replayed", proof(t, d.key, used.challenge), refusedReplay},
			{"the challenge of another session", proof(t, d.key, other.challenge), refusedChallenge},
			{"another key", proof(t, other.key, d.challenge), refusedSignature},
			{"another session's proof", proof(t, other.key, other.challenge), refusedSignature},
			{"no challenge", proof(t, d.key, ""), refusedChallenge},
			{"the challenge of the registration", proof(t, d.key, d.offered), refusedChallenge},
			{"another spelling of the challenge", proof(t, d.key, d.challenge+"\n"), refusedChallenge},
			{"padded", proof(t, d.key, d.challenge+"="), refusedChallenge},
			{"bits behind the challenge", proof(t, d.key, spelled(d.challenge)), refusedChallenge},
			{"with its own key", registration(t, other.key, d.challenge), refusedSignature},
			{"huge", strings.Repeat("a", 10_000), refusedMalformed},
			{"text", "proof", refusedMalformed},
			{"two of them", `"` + proof(t, d.key, d.challenge) + `", "` + proof(t, d.key, d.challenge) + `"`, refusedMalformed},
			{"half quoted", `"` + proof(t, d.key, d.challenge), refusedMalformed},
			{"empty", `""`, refusedMalformed},
		} {
			a := d.send(t, c.proof)
			a.want(t, http.StatusForbidden, false)
			if !challenged.MatchString(a.header.Get(headerChallenge)) {
				t.Errorf("%s: the answer has no challenge", c.name)
			}
			hidden(t, a)
			if got := s.told(); len(got) != 1 || got[0] != c.event {
				t.Errorf("%s: got events %q, want %q", c.name, got, c.event)
			}
		}
		a := s.ask(t, http.MethodPost, refreshOf(d.id), "", headerSession, cookieName, headerProof, proof(t, d.key, d.challenge), headerProof, "more")
		a.want(t, http.StatusForbidden, false)
		for _, id := range []string{"", "*", `"`, "a.b", strings.Repeat("a", 129), d.id + "," + d.id, d.id + ";a=b"} {
			a := s.ask(t, http.MethodPost, refreshOf(url.QueryEscape(id)), "", headerSession, cookieName, headerProof, proof(t, d.key, d.challenge))
			a.want(t, http.StatusBadRequest, false)
		}
		for _, headers := range [][]string{{headerSession, cookieName, headerSession, cookieName}, {}} {
			a := s.ask(t, http.MethodPost, refreshOf(d.id), d.token, headers...)
			a.want(t, http.StatusBadRequest, false)
		}
		unknown := d.clone()
		unknown.id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
		for _, a := range []answer{unknown.send(t, proof(t, d.key, d.challenge)), unknown.ask(t)} {
			if !stopped(a) {
				t.Errorf("unknown session: got %d", a.status)
			}
		}
		if a := unbound(t, s); !stopped(a) {
			t.Errorf("a session without a device: got %d", a.status)
		}
		d.prove(t).want(t, http.StatusOK, true)
		if who := s.who(t, d.token); who != "ada" {
			t.Errorf("the device's token opens %s", who)
		}
	})
}

// spelled returns a challenge with a bit set that decodes to nothing.
func spelled(challenge string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	end := len(challenge) - 1
	return challenge[:end] + string(alphabet[strings.IndexByte(alphabet, challenge[end])|1])
}

// unbound asks for the refresh of a session that has no device.
func unbound(t *testing.T, s *site) answer {
	t.Helper()
	d := newDevice(t, s, "mary")
	d.id = idOf(d.token)
	return d.ask(t)
}

// A registration needs the token of the session, its challenge and the key, soon after the
// login, and there is only one.
func TestRefusedRegistration(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		d, other := newDevice(t, s, "ada"), newDevice(t, s, "grace")
		p384 := key384(t)
		for _, c := range []struct {
			name, token, proof string
			status             int
			event              string
		}{
			{"nobody", "", registration(t, d.key, d.offered), http.StatusUnauthorized, ""},
			{"somebody else's cookie", d.token, registration(t, other.key, other.offered), http.StatusForbidden, refusedChallenge},
			{"the id alone", idOf(d.token), registration(t, d.key, d.offered), http.StatusUnauthorized, "malformed: session: not found: malformed identifier"},
			{"no proof", d.token, "", http.StatusBadRequest, ""},
			{"without its key", d.token, proof(t, d.key, d.offered), http.StatusForbidden, refusedMalformed},
			{"another's key", d.token, sign(t, d.key, map[string]any{"alg": "ES256", "typ": "dbsc+jwt", "jwk": jwk(other.key)}, map[string]any{"jti": d.offered}), http.StatusForbidden, refusedSignature},
			{"P-384", d.token, sign(t, p384, map[string]any{"alg": "ES256", "typ": "dbsc+jwt", "jwk": jwk(p384)}, map[string]any{"jti": d.offered}), http.StatusForbidden, "proof_refused: dbsc: proof refused: key is neither P-256 nor RSA with 2048 to 4096 bits"},
			{"no challenge", d.token, registration(t, d.key, ""), http.StatusForbidden, refusedChallenge},
		} {
			headers := []string{headerProof, c.proof}
			if c.proof == "" {
				headers = nil
			}
			a := s.ask(t, http.MethodPost, "/dbsc/register", c.token, headers...)
			if a.want(t, c.status, false); t.Failed() {
				t.Fatal(c.name)
			}
			hidden(t, a)
			if got := strings.Join(s.told(), " "); got != c.event {
				t.Errorf("%s: got events %q, want %q", c.name, got, c.event)
			}
			if described(t, s, idOf(d.token)).Bound {
				t.Fatalf("%s: the session is bound", c.name)
			}
		}
		d.register(t).want(t, http.StatusOK, true)
		s.wantEvents(t, "bound")
		for _, key := range []*device{d, other} { // the same device, and another one
			second := d.clone()
			second.key = key.key
			for _, token := range []string{second.token} {
				a := s.ask(t, http.MethodPost, "/dbsc/register", token, headerProof, registration(t, key.key, d.offered))
				a.want(t, http.StatusForbidden, false)
			}
		}
		s.take()
		d.prove(t).want(t, http.StatusOK, true)
	})
}

// Whoever has the token may not bind it to a second device, also while the first token is
// good yet.
func TestSecondRegistration(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		d, thief := newDevice(t, s, "ada"), newDevice(t, s, "mallory")
		first := d.token
		d.register(t).want(t, http.StatusOK, true)
		a := s.ask(t, http.MethodPost, "/dbsc/register", first, headerProof, registration(t, thief.key, d.offered))
		a.want(t, http.StatusForbidden, false)
		s.wantEvents(t, "bound", refusedBound)
		thief.id = d.id
		thief.ask(t).want(t, http.StatusForbidden, false)
		thief.prove(t).want(t, http.StatusForbidden, false)
		d.prove(t).want(t, http.StatusOK, true)
	})
}

func TestLateRegistration(t *testing.T) {
	for name, fresh := range stores() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(fresh(t))
				late, early := newDevice(t, s, "ada"), newDevice(t, s, "grace")
				time.Sleep(2 * time.Minute)
				early.register(t).want(t, http.StatusOK, true)
				s.take()
				time.Sleep(time.Millisecond)
				late.register(t).want(t, http.StatusForbidden, false)
				s.wantEvents(t, refusedLate)
				if who := s.who(t, late.token); who != "ada" {
					t.Errorf("the token opens %s", who)
				}
			})
		})
	}
}

// A challenge is good for five minutes, and once in them.
func TestOldChallenge(t *testing.T) {
	for name, fresh := range stores() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(fresh(t))
				d := bound(t, s, "ada")
				first := d.clone()
				d.prove(t).want(t, http.StatusOK, true)
				old := d.clone()
				s.take()
				time.Sleep(session.ChallengeLife - time.Millisecond)
				first.prove(t).want(t, http.StatusForbidden, false)
				s.wantEvents(t, refusedReplay)
				d.prove(t).want(t, http.StatusOK, true)
				s.take()
				old.clone().prove(t).want(t, http.StatusForbidden, false)
				s.wantEvents(t, refusedReplay)
				for range 12 {
					time.Sleep(time.Minute)
					d.ask(t)
					old.clone().prove(t).want(t, http.StatusForbidden, false)
					s.wantEvents(t, refusedChallenge)
					d.prove(t).want(t, http.StatusOK, true)
					s.take()
				}
			})
		})
	}
}

// A page of another site cannot make the browser register or refresh: what it can send
// has no proof, and names no session.
func TestCrossSite(t *testing.T) {
	s := serve(t, stores()["memory"](t))
	d := newDevice(t, s, "ada")
	for path, token := range map[string]string{"/dbsc/register": d.token, "/dbsc/refresh": ""} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodOptions} {
			a := s.ask(t, method, path, token, "Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site", "Access-Control-Request-Headers", headerProof)
			if a.status == http.StatusOK || len(a.cookies) > 0 {
				t.Errorf("%s %s: got %d", method, path, a.status)
			}
			for name := range a.header {
				if strings.HasPrefix(name, "Access-Control-") || strings.HasPrefix(name, "Secure-Session-") {
					t.Errorf("%s %s: the answer has %s", method, path, name)
				}
			}
		}
	}
	d.register(t).want(t, http.StatusOK, true)
}
