package sealed_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/sealed"
)

// TestRoom: a value that does not fit is refused by every write, and the session stays
// what it was, here and at the client. What the client has room for, it gets.
func TestRoom(t *testing.T) {
	cookieName, cookieRoom := new(cookie.Propagator).Limit()
	for _, tt := range []struct {
		name string
		c    *client // nil: the store is used alone
		room int     // that there shall be
	}{
		{"alone", nil, 4096},
		{"a whole cookie", &client{name: "session", room: 4096}, 4096},
		{"the default cookie", &client{name: cookieName, room: cookieRoom}, cookieRoom},
		{"little", &client{name: "session", room: 300}, 300},
		{"more than a seal may have", &client{name: "session", room: 8000}, 4096},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st, ctx := keyed("a"), t.Context()
			if tt.c != nil {
				ctx = tt.c.request(ctx)
			}
			s, err := st.Login(ctx, "", session.Login{User: "alice", ID: "id", Values: map[string]any{"k": "v"}})
			if err != nil {
				t.Fatal(err)
			}
			n := fill(t, ctx, s, tt.room)
			want := map[string]any{"k": "v", "filler": strings.Repeat("x", n)}
			seal, times := session.Token(s), 0
			if tt.c != nil {
				times = tt.c.times
			}
			tooLong := strings.Repeat("y", n+1)
			asked := false
			for what, write := range map[string]func() error{
				"Set":    func() error { return s.Set(ctx, "filler", tooLong) },
				"SetAll": func() error { return session.SetAll(ctx, s, map[string]any{"filler": tooLong, "k": "v"}) },
				"Update": func() error {
					return session.Update(ctx, s, "filler", func(any) (any, error) { asked = true; return tooLong, nil })
				},
				"Set of another key": func() error { return s.Set(ctx, "l", "v") },
				"Login": func() error {
					_, err := st.Login(ctx, session.Token(s), session.Login{User: "alice", Values: map[string]any{"l": "v"}})
					return err
				},
				"Login, of a new session": func() error {
					_, err := st.Login(ctx, "", session.Login{User: "alice", Values: map[string]any{"l": strings.Repeat("v", 5000)}})
					return err
				},
			} {
				err := write()
				if !errors.Is(err, session.ErrTooLarge) {
					t.Errorf("%s: got %v, want ErrTooLarge", what, err)
				}
				if session.Token(s) != seal {
					t.Errorf("%s: the token has changed", what)
				}
				shows(t, what, s, want)
			}
			if !asked {
				t.Error("Update asked for no value")
			}
			if tt.c != nil && (tt.c.times != times || tt.c.seal != seal) {
				t.Errorf("the client was given %d seals more, and has what it had: %t", tt.c.times-times, tt.c.seal == seal)
			}
			back, err := st.Open(next(t, tt.c), seal)
			if err != nil {
				t.Fatal(err)
			}
			shows(t, "what the client has", back, want)

			// What goes makes room for what comes.
			if err := session.Delete(ctx, s, "k"); err != nil {
				t.Errorf("Delete: %v", err)
			}
			if err := s.Set(ctx, "l", "v"); err != nil {
				t.Errorf("Set after it: %v", err)
			}
			if err := session.Clear(ctx, s); err != nil {
				t.Errorf("Clear: %v", err)
			}
			if got := fill(t, ctx, s, tt.room); got < n {
				t.Errorf("an empty session has room for %d bytes, one with a value had for %d", got, n)
			}
		})
	}
}

// next returns the context of another request of a client; nil: of none.
func next(t *testing.T, c *client) context.Context {
	t.Helper()
	if c == nil {
		return t.Context()
	}
	return (&client{name: c.name, room: c.room}).request(t.Context())
}

// fill stores the longest value that a session takes, and returns its length.
func fill(t *testing.T, ctx context.Context, s session.Session, room int) int { //nolint:revive // t comes first, as everywhere
	t.Helper()
	n := 0
	for step := 1024; step > 0; step /= 2 {
		for {
			err := s.Set(ctx, "filler", strings.Repeat("x", n+step))
			if errors.Is(err, session.ErrTooLarge) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			n += step
		}
	}
	// What a refresh, and the login of a visitor, need is left free.
	if got := len(session.Token(s)); got > room || got < room-140 {
		t.Errorf("the seal of %d bytes is of %d, want %d or just below", n, got, room)
	}
	return n
}

// TestRoomToGoOn: a session that just fits can be refreshed and rotated, at any time,
// and its visitor can log in.
func TestRoomToGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = 399 * 24 * time.Hour
		st := &sealed.Store{Keys: [][]byte{namedKey("a")}, IdleTimeout: long, AbsoluteTimeout: long}
		c := &client{name: "session", room: 700}
		s, err := st.Generate(c.request(t.Context()), uuid.NewString())
		if err != nil {
			t.Fatal(err)
		}
		for round, user := range []string{"", strings.Repeat("u", 64)} {
			ctx := c.request(t.Context())
			if user != "" {
				s, err = st.Login(ctx, c.seal, session.Login{User: user, IdleTimeout: time.Hour + 1, AbsoluteTimeout: long + 1})
			} else {
				s, err = st.Open(ctx, session.Token(s))
			}
			if err != nil {
				t.Fatalf("%d: %v", round, err)
			}
			fill(t, ctx, s, c.room)
			for _, wait := range []time.Duration{1, time.Millisecond, time.Hour - 1, time.Hour} {
				time.Sleep(wait)
				if err := st.Refresh(ctx, s.ID()); err != nil {
					t.Errorf("%q: Refresh after %v: %v", user, wait, err)
				}
				if s, err = st.Rotate(ctx, session.Token(s), 0); err != nil {
					t.Fatalf("%q: Rotate after %v: %v", user, wait, err)
				}
			}
			c.seal = session.Token(s)
		}
	})
}

// TestNoRoom: a client without room is given no session at all.
func TestNoRoom(t *testing.T) {
	st := keyed("a")
	for _, room := range []int{-1, 0, 40, 59} {
		ctx := session.WithDelivery(t.Context(), &session.Delivery{MaxToken: room, Deliver: func(session.Session) error { return nil }})
		if s, err := st.Generate(ctx, "id"); s != nil || !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("Generate in %d bytes: got %v, want ErrTooLarge", room, err)
		}
		if s, err := st.Login(ctx, "", session.Login{User: "alice"}); s != nil || !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("Login in %d bytes: got %v, want ErrTooLarge", room, err)
		}
	}
}

// TestLimits: the limits of every store hold here as well, and nothing changes.
func TestLimits(t *testing.T) {
	st := keyed("a")
	s := opened(t, st, begun(t, t.Context(), st, map[string]any{"k": "v"}))
	seal := session.Token(s)
	type unknown struct{ F func() }
	for what, tt := range map[string]struct {
		err, want error
	}{
		"a long key":       {s.Set(t.Context(), strings.Repeat("k", 257), 1), session.ErrTooLarge},
		"a value of 2 MiB": {s.Set(t.Context(), "k", make([]byte, 2<<20)), session.ErrTooLarge},
		"a strange type":   {s.Set(t.Context(), "k", unknown{}), session.ErrValue},
		"nil":              {s.Set(t.Context(), "k", nil), session.ErrValue},
		"one of many":      {session.SetAll(t.Context(), s, map[string]any{"a": 1, "b": nil}), session.ErrValue},
		"of a login":       {login(t, st, seal, map[string]any{"b": nil}), session.ErrValue},
		"a long key there": {login(t, st, seal, map[string]any{strings.Repeat("k", 257): 1}), session.ErrTooLarge},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: got %v, want %v", what, tt.err, tt.want)
		}
	}
	shows(t, "after all", s, map[string]any{"k": "v"})
	if session.Token(s) != seal {
		t.Error("the token has changed")
	}
}

func login(t *testing.T, st *sealed.Store, seal string, values map[string]any) error {
	t.Helper()
	s, err := st.Login(t.Context(), seal, session.Login{User: "alice", Values: values})
	if s != nil {
		t.Error("a session and an error")
	}
	return err
}

// TestCarryFails: a write that the client cannot be given has not happened.
func TestCarryFails(t *testing.T) {
	st, c := keyed("a"), new(client)
	seal := begun(t, c.request(t.Context()), st, map[string]any{"k": "v"})
	ctx := c.request(t.Context())
	s, err := st.Open(ctx, seal)
	if err != nil {
		t.Fatal(err)
	}
	c.fail = session.ErrHeaderWritten
	all := writes(s)
	all["Rotate"] = func(ctx context.Context) error {
		_, err := st.Rotate(ctx, seal, 0)
		return err
	}
	all["Refresh"] = func(ctx context.Context) error { return st.Refresh(ctx, s.ID()) }
	before := infoOf(t, s)
	for what, write := range all {
		if err := write(ctx); !errors.Is(err, session.ErrHeaderWritten) {
			t.Errorf("%s: got %v, want ErrHeaderWritten", what, err)
		}
		shows(t, what, s, map[string]any{"k": "v"})
		if session.Token(s) != seal {
			t.Errorf("%s: the token has changed", what)
		}
		current, err := st.Get(ctx, s.ID())
		if err != nil || infoOf(t, current) != before {
			t.Errorf("%s: got %+v, %v, want %+v", what, current, err, before)
		}
	}
	// What changes nothing need not be given to anybody.
	if err := s.Set(ctx, "k", "v"); err != nil {
		t.Errorf("the same value again: got %v", err)
	}
	if v, err := session.Pop(ctx, s, "absent"); v != nil || err != nil {
		t.Errorf("Pop of an absent key: got %v, %v", v, err)
	}
	c.fail = nil
	for what, write := range writes(s) {
		c.times = 0
		if err := s.Set(ctx, "k", "v"); err != nil {
			t.Fatal(err)
		}
		c.times = 0
		if err := write(ctx); err != nil || c.times != 1 {
			t.Errorf("%s: got %v, the client was given %d seals, want 1", what, err, c.times)
		}
		if c.seal != session.Token(s) {
			t.Errorf("%s: the client has another seal than the session", what)
		}
	}
}
