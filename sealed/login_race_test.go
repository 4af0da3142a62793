package sealed_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// TestSameMoment: RemoveUserSessions ends a login that was made when it was called,
// where the clock stands still.
func TestSameMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := revocable()
		seal := entered(t, st, session.Login{User: "alice"})
		if _, err := st.RemoveUserSessions(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		open(t, st, seal, "a login of the same moment", session.ErrNotFound)
	})
}

// TestLoginDuringRevoke: a login whose check began before, and that Revoked lets in
// because Revoke has noted nothing yet, does not outlive RemoveUserSessions.
func TestLoginDuringRevoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, seal := revocable(), ""
		note := st.Revoke
		st.Revoke = func(ctx context.Context, r sealed.Revocation) error {
			if seal == "" {
				time.Sleep(time.Second)
				seal = entered(t, st, session.Login{User: "alice", Began: time.Now().Add(-time.Minute)})
			}
			return note(ctx, r)
		}
		if _, err := st.RemoveUserSessions(t.Context(), "alice"); err != nil {
			t.Fatal(err)
		}
		open(t, st, seal, "a login of meanwhile", session.ErrNotFound)
	})
}

// TestLogoutHolds: a logout in one request ends what a reauthentication in another
// one prolonged, for as long as that can live. Whoever keeps the revocations forgets each
// at its Until.
func TestLogoutHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var noted []sealed.Revocation
		st := timed(12*time.Hour, 12*time.Hour)
		st.Revoke = func(_ context.Context, r sealed.Revocation) error {
			noted = append(noted, r)
			return nil
		}
		st.Revoked = func(_ context.Context, info session.Info) (bool, error) {
			for _, r := range noted {
				if time.Now().Before(r.Until) && r.Ends(info) {
					return true, nil
				}
			}
			return false, nil
		}
		request := func() context.Context { return (&client{}).request(t.Context()) }
		old := entered(t, st, session.Login{User: "alice", ID: "id"})
		time.Sleep(10 * time.Hour)
		logout := request()
		if _, err := st.Open(logout, old); err != nil {
			t.Fatal(err)
		}
		s, err := st.Login(request(), old, session.Login{User: "alice"}) // ends in 12 hours
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Remove(logout, "id"); err != nil {
			t.Fatal(err)
		}
		for range 12 {
			open(t, st, session.Token(s), "after the logout", session.ErrNotFound)
			time.Sleep(time.Hour - time.Second)
		}
	})
}

// TestRefreshed: a refresh moves the idle deadline, and the client has it.
func TestRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, c := timed(time.Minute, time.Hour), &client{name: "session"}
		s, err := st.Login(c.request(t.Context()), "", session.Login{User: "alice", ID: "id"})
		c.take(t, s, err)
		for range 3 {
			time.Sleep(50 * time.Second)
			ctx := c.request(t.Context())
			if _, err := st.Open(ctx, c.seal); err != nil {
				t.Fatal(err)
			}
			if err := st.Refresh(ctx, "id"); err != nil {
				t.Fatal(err)
			}
		}
		s, err = st.Open(c.request(t.Context()), c.seal)
		if err != nil {
			t.Fatal(err)
		}
		if got, now := infoOf(t, s), time.Now().Round(0); got.LastSeen != now || got.IdleDeadline != now.Add(time.Minute) {
			t.Errorf("got a session last seen at %v that ends at %v, want now and in a minute", got.LastSeen, got.IdleDeadline)
		}
	})
}

// TestLeft: the session from before a login is nowhere in its request any more, by its
// id, its seal or its object, and the one after it is there once.
func TestLeft(t *testing.T) {
	for name, user := range map[string]string{"anonymous": "", "the same user": "alice"} {
		t.Run(name, func(t *testing.T) {
			st, c := keyed("a"), &client{name: "session"}
			first := c.request(t.Context())
			before, err := st.Generate(first, "before")
			if user != "" {
				before, err = st.Login(first, "", session.Login{User: user, ID: "before"})
			}
			c.take(t, before, err)
			old := c.seal
			ctx := c.request(t.Context())
			if before, err = st.Open(ctx, old); err != nil {
				t.Fatal(err)
			}
			s, err := st.Login(ctx, old, session.Login{User: "alice", ID: "after"})
			c.take(t, s, err)

			unexplained(t, "a write to the session before", before.Set(ctx, "k", "lost"))
			if user == "" {
				_, opened := st.Open(ctx, old)
				_, rotated := st.Rotate(ctx, old, 0)
				_, again := st.Login(ctx, old, session.Login{User: "alice"})
				for what, err := range map[string]error{
					"Open": opened, "Rotate": rotated, "Login": again, "Refresh": st.Refresh(ctx, "before"),
				} {
					unexplained(t, what+" of the session before", err)
				}
			}
			if err := s.Set(ctx, "k", "v"); err != nil {
				t.Errorf("a write to the session after: %v", err)
			}
			if err := st.Refresh(ctx, s.ID()); err != nil {
				t.Errorf("a refresh of the session after: %v", err)
			}
			if s, err = st.Open(c.request(t.Context()), c.seal); err != nil {
				t.Fatal(err)
			}
			shows(t, "what the client has", s, map[string]any{"k": "v"})
		})
	}
}

// TestOtherUser checks that a login as another user takes over nothing of the session before.
func TestOtherUser(t *testing.T) {
	for _, again := range []bool{false, true} {
		st, c := keyed("a"), &client{name: "session"}
		s, err := st.Login(c.request(t.Context()), "", session.Login{User: "alice", ID: "id", Values: map[string]any{"secret": "hers"}})
		c.take(t, s, err)
		seal := c.seal
		ctx := c.request(t.Context())
		_, err = st.Login(ctx, seal, session.Login{User: "bob", Reauthentication: again})
		unexplained(t, "a login from another user's session", err)
		if again {
			continue
		}
		s, err = st.Login(ctx, "", session.Login{User: "bob"})
		c.take(t, s, err)
		shows(t, "bob's session", s, nil)
		if s.ID() == "id" {
			t.Error("bob has the id of alice")
		}
	}
}

// TestSameID: of two sessions of one id the request has the last one alone, and a seal
// of another session is no way around that.
func TestSameID(t *testing.T) {
	st, c := keyed("a"), &client{name: "session"}
	stranger, err := st.Generate(c.request(t.Context()), "stranger")
	c.take(t, stranger, err)
	other := c.seal
	ctx := c.request(t.Context())
	first, err := st.Generate(ctx, "id")
	if c.take(t, first, err).Set(ctx, "k", "first") != nil {
		t.Fatal("the first session cannot be written")
	}
	second, err := st.Generate(ctx, "id")
	c.take(t, second, err)
	back, err := st.Open(ctx, c.seal)
	if err != nil {
		t.Fatal(err)
	}
	shows(t, "what opens", back, nil)
	if err := back.Set(ctx, "k", "second"); err != nil {
		t.Errorf("a write to what opens: %v", err)
	}
	unexplained(t, "a write to the first", first.Set(ctx, "k", "lost"))

	mine := c.seal
	if _, err := st.Open(ctx, other); err != nil {
		t.Fatal(err)
	}
	_, err = st.Rotate(ctx, other, 0)
	unexplained(t, "Rotate of a session that is not the request's", err)
	if c.seal != mine {
		t.Error("the client was given another session")
	}
}
