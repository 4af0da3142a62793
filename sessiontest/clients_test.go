package sessiontest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
	"github.com/mist-contrib/session/sessiontest"
)

const key = "key"

func clients(revokes bool) (session.UserStore, *sealed.Store) {
	st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
	if revokes {
		ended := new(sealed.Revocations)
		st.Revoked, st.Revoke = ended.Revoked, ended.Revoke
	}
	users, _ := sessiontest.Clients(st).(session.UserStore)
	return users, st
}

// must returns v, or fails the test.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func opens(t *testing.T, st session.TokenStore, s session.Session, want any) {
	t.Helper()
	l := must(st.Open(t.Context(), session.Token(s)))(t)
	if got := must(l.Get(t.Context(), key))(t); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func set(t *testing.T, s session.Session, value any) {
	t.Helper()
	if err := s.Set(t.Context(), key, value); err != nil {
		t.Fatal(err)
	}
}

// TestClientsCarryTheLast: whoever has a token sends what the last response gave.
func TestClientsCarryTheLast(t *testing.T) {
	st, _ := clients(false)
	made := must(st.Generate(t.Context(), "a"))(t)
	one := must(st.Open(t.Context(), session.Token(made)))(t)
	two := must(st.Open(t.Context(), session.Token(made)))(t)
	set(t, one, "one")
	for _, s := range []session.Session{made, one, two} {
		opens(t, st, s, "one")
	}
	set(t, two, "two")
	if err := one.Set(t.Context(), "other", 1); err != nil {
		t.Fatal(err)
	}
	for _, s := range []session.Session{made, one, two, must(st.Get(t.Context(), "a"))(t)} {
		opens(t, st, s, "one") // what two wrote is lost
	}
	before := must(session.Describe(one))(t)
	time.Sleep(time.Microsecond)
	if err := st.Refresh(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	after := must(session.Describe(must(st.Open(t.Context(), session.Token(made)))(t)))(t)
	if !after.LastSeen.After(before.LastSeen) {
		t.Error("the client does not carry what Refresh gave")
	}
}

// TestClientsKeepCopies: a token from before a rotation, a login or a logout is a copy that
// stays as it was.
func TestClientsKeepCopies(t *testing.T) {
	st, _ := clients(false)
	first := must(st.Generate(t.Context(), "a"))(t)
	set(t, first, "first")
	second := must(st.Rotate(t.Context(), session.Token(first), 0))(t)
	set(t, second, "second")
	third := must(st.Login(t.Context(), session.Token(second), session.Login{User: "ada"}))(t)
	set(t, third, "third")
	opens(t, st, first, "first")
	opens(t, st, second, "second")
	opens(t, st, third, "third")
	if err := st.Remove(t.Context(), third.ID()); err != nil {
		t.Fatal(err)
	}
	opens(t, st, third, "third")
	for _, id := range []string{"a", third.ID()} {
		if got := must(st.Get(t.Context(), id))(t); got.ID() != id {
			t.Error("Get: another session")
		}
	}
}

// TestClientsLoseLogins: a late response to a request from before a login replaces what
// the client carries.
func TestClientsLoseLogins(t *testing.T) {
	st, _ := clients(true)
	anonymous := must(st.Generate(t.Context(), "a"))(t)
	hers := must(st.Login(t.Context(), session.Token(anonymous), session.Login{User: "ada"}))(t)
	set(t, anonymous, "late")
	opens(t, st, hers, "late")
	if s := must(st.Open(t.Context(), session.Token(hers)))(t); s.ID() != "a" {
		t.Error("the client carries another session than the last response gave")
	}
	if _, err := st.Get(t.Context(), hers.ID()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Get of a session that no client carries: got %v, want ErrNotFound", err)
	}
}

// TestClientsHandOn: what the store refuses, and what it cannot know.
func TestClientsHandOn(t *testing.T) {
	st, behind := clients(true)
	hers := must(st.Login(t.Context(), "", session.Login{User: "ada"}))(t)
	elsewhere := must(behind.Login(session.WithDelivery(t.Context(), &session.Delivery{Name: "session", MaxToken: 3072}), "", session.Login{User: "ada"}))(t)
	taken := must(st.Open(t.Context(), session.Token(elsewhere)))(t) // nobody was given it by st
	set(t, taken, "taken")
	opens(t, st, elsewhere, "taken")
	if err := st.Remove(t.Context(), hers.ID()); err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for what, c := range map[string]struct {
		call func() error
		want error
	}{
		"Open of a removed session": {func() error { _, err := st.Open(t.Context(), session.Token(hers)); return err }, session.ErrNotFound},
		"Get of a removed session":  {func() error { _, err := st.Get(t.Context(), hers.ID()); return err }, session.ErrNotFound},
		"Set of a removed session":  {func() error { return hers.Set(t.Context(), key, 1) }, session.ErrNotFound},
		"Remove again":              {func() error { return st.Remove(t.Context(), hers.ID()) }, nil},
		"Get of an unknown id":      {func() error { _, err := st.Get(t.Context(), "unknown"); return err }, session.ErrNotFound},
		"Refresh of an unknown id":  {func() error { return st.Refresh(t.Context(), "unknown") }, session.ErrNotFound},
		"Open of no token":          {func() error { _, err := st.Open(t.Context(), "x"); return err }, session.ErrNotFound},
		"Remove too late":           {func() error { return st.Remove(canceled, taken.ID()) }, context.Canceled},
		"Get too late":              {func() error { _, err := st.Get(canceled, "unknown"); return err }, context.Canceled},
		"a list":                    {func() error { _, err := st.UserSessions(t.Context(), "ada"); return err }, errors.ErrUnsupported},
	} {
		if err := c.call(); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", what, err, c.want)
		}
	}
}

// TestClientsOfFew: Clients has what the store has, no more.
func TestClientsOfFew(t *testing.T) {
	st := sessiontest.Clients(struct{ session.ClientStore }{&sealed.Store{Keys: [][]byte{sealed.NewKey()}}})
	if _, ok := st.(session.UserStore); ok {
		t.Error("a store that knows no users is a UserStore")
	}
	if _, ok := st.(session.TokenStore); !ok {
		t.Error("no TokenStore")
	}
	if _, ok := st.(session.ClientStore); ok {
		t.Error("Clients is a ClientStore, so a Manager would play the clients, too")
	}
}
