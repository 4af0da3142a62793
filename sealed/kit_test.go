package sealed_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// namedKey returns a key for tests, the same for the same name.
func namedKey(name string) []byte {
	sum := sha256.Sum256([]byte("key of a test: " + name))
	return sum[:]
}

// keyed returns a store that has the keys of these names.
func keyed(names ...string) *sealed.Store {
	st := new(sealed.Store)
	for _, name := range names {
		st.Keys = append(st.Keys, namedKey(name))
	}
	return st
}

// revocable returns a store that knows what ended.
func revocable() *sealed.Store {
	st, ended := keyed("a"), new(sealed.Revocations)
	st.Revoked, st.Revoke = ended.Revoked, ended.Revoke
	return st
}

// A client carries a session from one request to the next.
type client struct {
	name  string
	room  int    // 0: 4096
	seal  string // what it has now
	times int    // how often it was given another one
	fail  error  // of Deliver
}

// request returns the context of a request of the client.
func (c *client) request(ctx context.Context) context.Context {
	room := c.room
	if room == 0 {
		room = 4096
	}
	return session.WithDelivery(ctx, &session.Delivery{Name: c.name, MaxToken: room, Deliver: func(after session.Session) error {
		if c.fail != nil {
			return c.fail
		}
		c.seal = session.Token(after)
		c.times++
		return nil
	}})
}

// take gives the client what a store returned.
func (c *client) take(t *testing.T, s session.Session, err error) session.Session {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	c.seal = session.Token(s)
	return s
}

// begun makes an anonymous session with values, and returns its seal.
func begun(t *testing.T, ctx context.Context, st *sealed.Store, values map[string]any) string { //nolint:revive // t comes first, as everywhere
	t.Helper()
	s, err := st.Generate(ctx, "anonymous")
	if err == nil {
		err = session.SetAll(ctx, s, values)
	}
	if err != nil {
		t.Fatal(err)
	}
	return session.Token(s)
}

// entered logs in without a session before, and returns the seal.
func entered(t *testing.T, st *sealed.Store, l session.Login) string {
	t.Helper()
	return again(t, st, "", l)
}

// again logs in and returns the seal.
func again(t *testing.T, st *sealed.Store, seal string, l session.Login) string {
	t.Helper()
	s, err := st.Login(t.Context(), seal, l)
	if err != nil {
		t.Fatal(err)
	}
	return session.Token(s)
}

// opened opens a seal.
func opened(t *testing.T, st *sealed.Store, seal string) session.Session {
	t.Helper()
	s, err := st.Open(t.Context(), seal)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open checks what Open says of a seal; nil: it opens.
func open(t *testing.T, st *sealed.Store, seal, what string, want error) {
	t.Helper()
	_, err := st.Open(t.Context(), seal)
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// unexplained checks that err is ErrNotFound and does not tell why.
func unexplained(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: got %v, want ErrNotFound", what, err)
	}
	for _, reason := range []error{session.ErrReused, session.ErrExpiredIdle, session.ErrExpiredAbsolute, session.ErrRevoked} {
		if errors.Is(err, reason) {
			t.Errorf("%s: got %v, want the plain ErrNotFound", what, err)
		}
	}
}

// infoOf describes a session.
func infoOf(t *testing.T, s session.Session) session.Info {
	t.Helper()
	info, err := session.Describe(s)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// shows checks the values of a session.
func shows(t *testing.T, what string, s session.Session, want map[string]any) {
	t.Helper()
	all, err := session.All(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := maps.Collect(all); !maps.Equal(got, want) {
		t.Errorf("%s: got %.100s, want %.100s", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}
