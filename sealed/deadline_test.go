package sealed_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// timed returns a store of a key with these timeouts.
func timed(idle, absolute time.Duration) *sealed.Store {
	st := keyed("a")
	st.IdleTimeout, st.AbsoluteTimeout = idle, absolute
	return st
}

// TestDeadlines: a session ends at its deadline and not a nanosecond before, and Open
// says which of the two it was.
func TestDeadlines(t *testing.T) {
	const ms, hour, day = time.Millisecond, time.Hour, 24 * time.Hour
	for _, tt := range []struct {
		name           string
		store          func() *sealed.Store
		login          session.Login // no User: the session is anonymous
		idle, absolute time.Duration // of the session
	}{
		{"the defaults", func() *sealed.Store { return timed(0, 0) }, session.Login{}, 30 * time.Minute, 12 * hour},
		{"of the store", func() *sealed.Store { return timed(time.Minute, 3*time.Minute) }, session.Login{}, time.Minute, 3 * time.Minute},
		{"absolute alone", func() *sealed.Store { return timed(0, time.Minute) }, session.Login{}, time.Minute, time.Minute},
		{"the same", func() *sealed.Store { return timed(hour, hour) }, session.Login{}, hour, hour},
		{"a user's", func() *sealed.Store { return timed(hour, 0) }, session.Login{User: "alice"}, hour, 12 * hour},
		{
			"remember me", func() *sealed.Store { return timed(0, 0) },
			session.Login{User: "alice", IdleTimeout: 30 * day, AbsoluteTimeout: 90 * day},
			30 * day, 90 * day,
		},
		{
			"the shortest", func() *sealed.Store { return timed(0, 0) },
			session.Login{User: "alice", IdleTimeout: ms, AbsoluteTimeout: 2 * ms},
			ms, 2 * ms,
		},
		{"the longest", func() *sealed.Store { return timed(400*day, 400*day) }, session.Login{}, 400 * day, 400 * day},
	} {
		begin := func(t *testing.T, st *sealed.Store, c *client) session.Info {
			ctx, l := c.request(t.Context()), tt.login
			if l.User == "" {
				s, err := st.Generate(ctx, "id")
				return infoOf(t, c.take(t, s, err))
			}
			l.ID = "id"
			s, err := st.Login(ctx, "", l)
			return infoOf(t, c.take(t, s, err))
		}
		t.Run(tt.name+", unused", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, c, start := tt.store(), new(client), time.Now()
				info := begin(t, st, c)
				if !info.IdleDeadline.Equal(start.Add(tt.idle)) || !info.AbsoluteDeadline.Equal(start.Add(tt.absolute)) {
					t.Errorf("got %+v, want %v and %v", info, tt.idle, tt.absolute)
				}
				want := session.ErrExpiredIdle
				if tt.idle == tt.absolute {
					want = session.ErrExpiredAbsolute
				}
				ends(t, st, c.seal, info.IdleDeadline, want)
			})
		})
		t.Run(tt.name+", used", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, c := tt.store(), new(client)
				first := begin(t, st, c)
				deadline := first.IdleDeadline
				for !deadline.Equal(first.AbsoluteDeadline) {
					time.Sleep(time.Until(deadline) - 1)
					ctx := c.request(t.Context())
					if _, err := st.Open(ctx, c.seal); err != nil {
						t.Fatal(err)
					}
					if err := st.Refresh(ctx, "id"); err != nil {
						t.Fatal(err)
					}
					next := infoOf(t, opened(t, st, c.seal)).IdleDeadline
					if want := earlier(time.Now().Add(tt.idle), first.AbsoluteDeadline); !next.Equal(want) {
						t.Fatalf("after a refresh: got %v, want %v", next, want)
					}
					deadline = next
				}
				ends(t, st, c.seal, deadline, session.ErrExpiredAbsolute)
			})
		})
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// ends checks that a seal opens until the deadline, and not from then on.
func ends(t *testing.T, st *sealed.Store, seal string, deadline time.Time, why error) {
	t.Helper()
	time.Sleep(time.Until(deadline) - 1)
	open(t, st, seal, "just before the deadline", nil)
	time.Sleep(time.Nanosecond)
	open(t, st, seal, "at the deadline", why)
}

// TestEndedSession: a session that has expired within a request takes no write, and
// nothing but Open says why.
func TestEndedSession(t *testing.T) {
	for name, alone := range map[string]bool{"in a request": false, "alone": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, c := timed(time.Minute, time.Hour), new(client)
				ctx := t.Context()
				if !alone {
					ctx = c.request(ctx)
				}
				values := map[string]any{"k": "v"}
				s, err := st.Login(ctx, "", session.Login{User: "alice", ID: "id", Values: values})
				c.take(t, s, err)
				seal := c.seal
				time.Sleep(time.Minute)
				for what, write := range writes(s) {
					unexplained(t, what, write(ctx))
				}
				if !alone {
					unexplained(t, "Refresh", st.Refresh(ctx, "id"))
					_, err = st.Get(ctx, "id")
					unexplained(t, "Get", err)
				}
				_, err = st.Rotate(ctx, seal, 0)
				unexplained(t, "Rotate", err)
				_, err = st.Login(ctx, seal, session.Login{User: "alice"})
				unexplained(t, "Login", err)
				open(t, st, seal, "Open", session.ErrExpiredIdle)
				if c.times != 0 {
					t.Errorf("the client was given %d seals", c.times)
				}
				shows(t, "as it was loaded", s, values)
				if err := st.Remove(c.request(t.Context()), "x"); err == nil {
					t.Error("Remove of a stranger's session: got no error, and no Revoke")
				}
			})
		})
	}
}

// writes returns all ways to write to a session.
func writes(s session.Session) map[string]func(ctx context.Context) error {
	return map[string]func(ctx context.Context) error{
		"Set":    func(ctx context.Context) error { return s.Set(ctx, "k", "other") },
		"SetAll": func(ctx context.Context) error { return session.SetAll(ctx, s, map[string]any{"k": "other"}) },
		"Delete": func(ctx context.Context) error { return session.Delete(ctx, s, "k") },
		"Clear":  func(ctx context.Context) error { return session.Clear(ctx, s) },
		"Pop": func(ctx context.Context) error {
			_, err := session.Pop(ctx, s, "k")
			return err
		},
		"Update": func(ctx context.Context) error {
			return session.Update(ctx, s, "k", func(any) (any, error) { return "other", nil })
		},
	}
}

// TestTimeoutsChanged: other timeouts are for sessions to come; those that are keep theirs.
func TestTimeoutsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long, short := timed(time.Hour, 3*time.Hour), timed(time.Minute, 2*time.Minute)
		for _, tt := range []struct {
			made, used     *sealed.Store
			idle, absolute time.Duration
		}{{long, short, time.Hour, 3 * time.Hour}, {short, long, time.Minute, 2 * time.Minute}} {
			c, start := new(client), time.Now().Round(0)
			s, err := tt.made.Generate(c.request(t.Context()), "id")
			c.take(t, s, err)
			time.Sleep(time.Second)
			ctx := c.request(t.Context())
			if _, err := tt.used.Open(ctx, c.seal); err != nil {
				t.Fatal(err)
			}
			if err := tt.used.Refresh(ctx, "id"); err != nil {
				t.Fatal(err)
			}
			if _, err = tt.used.Rotate(ctx, c.seal, 0); err != nil {
				t.Fatal(err)
			}
			info := infoOf(t, opened(t, tt.used, c.seal))
			if !info.IdleDeadline.Equal(start.Add(time.Second+tt.idle)) || !info.AbsoluteDeadline.Equal(start.Add(tt.absolute)) {
				t.Errorf("after a refresh and a rotation: got %+v, want %v and %v", info, tt.idle, tt.absolute)
			}
			ends(t, tt.used, c.seal, info.IdleDeadline, session.ErrExpiredIdle)
		}
	})
}

// TestClockOf: a session tells the time that its deadlines are of.
func TestClockOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, keyed("a"), begun(t, t.Context(), keyed("a"), nil))
		time.Sleep(time.Second)
		clock, ok := s.(session.Clock)
		if !ok {
			t.Fatal("the session is no Clock")
		}
		if got, err := clock.Now(t.Context()); err != nil || !got.Equal(time.Now()) || got != got.Round(0) {
			t.Errorf("got %v, %v, want %v", got, err, time.Now().Round(0))
		}
	})
}
