package redis_test

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"testing"

	"github.com/mist-contrib/session"
)

// faultUser is who logs in.
const faultUser = "ada"

// checkLogin checks, when the fault is lifted, who is logged in after a flow that logs
// a user in: with the new cookie the user, or nobody. The old token is dead, or opens
// what it did.
func (f *fault) checkLogin(t *testing.T, a *app, fl *flow, want verdict, token string, resp *http.Response) {
	t.Helper()
	before, after := startValues(), startValues()
	if fl.anonymous {
		after = map[string]any{"city": "Rome"}
	}
	if fl.after != nil {
		fl.after(after)
	}
	goesOn := fl.token != nil // the session is the user's already
	user := ""
	if goesOn {
		user = faultUser
	}

	s, err := a.truth.Open(t.Context(), token)
	switch {
	case want == succeeds && !fl.anonymous:
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("the old token: got %v, want ErrNotFound", err)
		}
	case errors.Is(err, session.ErrNotFound):
		// What was taken is given back, if the way to Redis is open for that.
		if fl.anonymous || !goesOn && (f.happens || !f.fails(stepRestore)) {
			t.Errorf("the old token: got %v, and nobody is logged in", err)
		}
	case err != nil:
		t.Fatalf("the old token: %v", err)
	default:
		all, err := session.All(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if info, got := described(t, s), maps.Collect(all); info.User != user || !reflect.DeepEqual(got, before) {
			t.Errorf("the old token opens a session of %q with %v, want %q and %v", info.User, got, user, before)
		}
		// What the server does late may end it yet.
		if err := s.Set(t.Context(), "name", "carol"); err != nil && (f.happens || !errors.Is(err, session.ErrNotFound)) {
			t.Errorf("a write to the session of the old token: %v", err)
		}
	}

	least, most := 0, 1 // the login may have been carried out; then nobody has its token
	if want == succeeds || goesOn {
		least = 1
	}
	if infos, err := a.truth.UserSessions(t.Context(), faultUser); err != nil || len(infos) < least || len(infos) > most {
		t.Errorf("the user has %d sessions, %v, want %d to %d", len(infos), err, least, most)
	}
	if !goesOn { // that of the old token, or of a stranger
		most++
	}
	if want == succeeds && !goesOn && !fl.anonymous {
		most--
	}
	if n := a.records(t); n < least || n > most {
		t.Errorf("there are %d sessions, want %d to %d", n, least, most)
	}

	if resp == nil || want != succeeds {
		return
	}
	for _, c := range resp.Cookies() {
		s, err := a.truth.Open(t.Context(), c.Value)
		if err != nil {
			t.Fatalf("the new cookie: %v", err)
		}
		got, err := a.values(t, c.Value)
		if info := described(t, s); err != nil || info.User != faultUser || !reflect.DeepEqual(got, after) {
			t.Errorf("the new cookie opens a session of %q with %v, %v, want %v", info.User, got, err, after)
		}
	}
}

// checkLost checks that nothing is there and nothing was made of what is lost.
func (f *fault) checkLost(t *testing.T, a *app, fl *flow, want verdict, token string) {
	t.Helper()
	if _, err := a.values(t, token); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the session: got %v, want ErrNotFound", err)
	}
	records := 0
	if want == succeeds {
		records = fl.makes
		if fl.logsIn {
			records = 1
		}
	}
	if got := a.records(t); got != records {
		t.Errorf("there are %d sessions, want %d", got, records)
	}
	if got := a.backAgain(t, token); got != http.StatusUnauthorized {
		t.Errorf("the same cookie afterwards: got status %d", got)
	}
}
