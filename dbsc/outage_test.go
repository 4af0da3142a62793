package dbsc_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sessiontest"
)

// A store that fails logs nobody out: the browser is told to come again, and keeps its
// cookie.
func TestOutage(t *testing.T) {
	onAll(t, func(t *testing.T, st session.Store) {
		s := serve(t, st)
		for _, fault := range []sessiontest.Fault{sessiontest.FailBefore, sessiontest.FailAfter} {
			for _, op := range []string{"Open", "Session.Now", "Bind"} {
				d := newDevice(t, s, "ada")
				s.take()
				s.fault(op, fault)
				a := d.register(t)
				a.want(t, http.StatusServiceUnavailable, false)
				hidden(t, a)
				if e := s.take(); len(e) != 1 || e[0].Kind != session.EventFailed || !errors.Is(e[0].Cause, sessiontest.ErrFault) {
					t.Errorf("registration, %s: got %d events, want one of a failure", op, len(e))
				}
				s.faults.Reset(nil)
				if who := s.who(t, d.token); who != "ada" {
					t.Errorf("registration, %s: the token opens %s", op, who)
				}
				want := http.StatusOK
				if op == "Bind" && fault == sessiontest.FailAfter {
					want = http.StatusForbidden // it has happened
				}
				if d.register(t).want(t, want, want == http.StatusOK); t.Failed() {
					t.Fatal(op)
				}
			}
			for _, op := range []string{"Get", "Session.Now", "Prove"} {
				d := bound(t, s, "ada")
				s.take()
				s.fault(op, fault)
				asked := d.clone().ask(t)
				if op != "Prove" {
					asked.want(t, http.StatusServiceUnavailable, false)
				}
				a := d.prove(t)
				a.want(t, http.StatusServiceUnavailable, false)
				hidden(t, a)
				if e := s.take(); len(e) != 1 || e[0].Kind != session.EventFailed || !errors.Is(e[0].Cause, sessiontest.ErrFault) {
					t.Errorf("refresh, %s: got %d events, want one of a failure", op, len(e))
				}
				s.faults.Reset(nil)
				if who := s.who(t, d.token); who != "ada" {
					t.Errorf("refresh, %s: the token opens %s", op, who)
				}
				d.ask(t)
				if d.prove(t).want(t, http.StatusOK, true); t.Failed() {
					t.Fatal(op)
				}
			}
		}
	})
}

// A registration asks the store three times, so does a refresh, and a challenge takes two.
func TestCalls(t *testing.T) {
	s := serve(t, stores()["memory"](t))
	d := newDevice(t, s, "ada")
	for _, c := range []struct {
		do   func(t *testing.T) answer
		want []string
	}{
		{d.register, []string{"Open", "Session.Now", "Bind"}},
		{d.prove, []string{"Get", "Session.Now", "Prove"}},
		{d.ask, []string{"Get", "Session.Now"}},
	} {
		s.faults.Reset(nil)
		c.do(t)
		calls := s.faults.Calls()
		for i := range max(len(calls), len(c.want)) {
			if len(calls) != len(c.want) || calls[i].Op != c.want[i] {
				t.Errorf("got %v, want %v", calls, c.want)
				break
			}
		}
	}
}
