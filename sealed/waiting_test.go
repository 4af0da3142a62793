package sealed_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// TestWaiting: while Revoked takes its time for one call, reads wait for nobody, and
// another write no longer than its context.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, c := keyed("a"), &client{name: "session"}
		gate := make(chan struct{})
		var slow bool
		st.Revoked = func(context.Context, session.Info) (bool, error) {
			if slow {
				slow = false
				<-gate
			}
			return false, nil
		}
		ctx := c.request(t.Context())
		s, err := st.Login(ctx, "", session.Login{User: "alice"})
		c.take(t, s, err)
		slow = true
		written := make(chan error)
		go func() { written <- s.Set(ctx, "k", "v") }()
		synctest.Wait()

		start := time.Now()
		brief, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if v, err := s.Get(brief, "k"); v != nil || err != nil || time.Since(start) != 0 {
			t.Errorf("Get: got %v, %v after %v, want nothing at once", v, err, time.Since(start))
		}
		if session.Token(s) != c.seal {
			t.Error("Token is not that of the client")
		}
		if err := s.Set(brief, "other", 1); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Set: got %v after %v, want the end of its context", err, time.Since(start))
		}
		close(gate)
		if err := <-written; err != nil {
			t.Errorf("the slow write: %v", err)
		}
		shows(t, "in the end", s, map[string]any{"k": "v"})
	})
}

// TestRevokedReads: Revoked and Revoke may read a session that they hold, also while a
// call of that session waits for their answer.
func TestRevokedReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, c := keyed("a"), &client{name: "session"}
		var (
			s    session.Session
			read int
		)
		reads := func(ctx context.Context) error {
			if s == nil {
				return nil
			}
			read++
			_, err := s.Get(ctx, "k")
			session.Token(s)
			return err
		}
		st.Revoked = func(ctx context.Context, _ session.Info) (bool, error) { return false, reads(ctx) }
		st.Revoke = func(ctx context.Context, _ sealed.Revocation) error { return reads(ctx) }
		ctx := c.request(t.Context())
		made, err := st.Login(ctx, "", session.Login{User: "alice", ID: "id"})
		s = c.take(t, made, err)
		for what, err := range map[string]error{"Set": s.Set(ctx, "k", "v"), "Refresh": st.Refresh(ctx, "id"), "Remove": st.Remove(ctx, "id")} {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
		if read != 3 {
			t.Errorf("it was read %d times, want once for each call", read)
		}
	})
}

// TestBegins: a session that begins is given to the client before it counts. If it
// cannot be, the session before goes on.
func TestBegins(t *testing.T) {
	for name, begin := range map[string]func(ctx context.Context, st *sealed.Store, seal string) (session.Session, error){
		"Generate": func(ctx context.Context, st *sealed.Store, _ string) (session.Session, error) {
			return st.Generate(ctx, "new")
		},
		"Login": func(ctx context.Context, st *sealed.Store, seal string) (session.Session, error) {
			return st.Login(ctx, seal, session.Login{User: "alice"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			st := keyed("a")
			seal := begun(t, t.Context(), st, map[string]any{"k": "v"})
			refused, given := errors.New("the client of a test takes nothing"), ""
			fails := true
			ctx := session.WithDelivery(t.Context(), &session.Delivery{
				MaxToken: 4096, Deliver: func(session.Session) error { return nil },
				Begin: func(first session.Session) error {
					if fails {
						return refused
					}
					given = session.Token(first)
					return nil
				},
			})
			before, err := st.Open(ctx, seal)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := begin(ctx, st, seal); !errors.Is(err, refused) {
				t.Errorf("got %v, want the error of Begin", err)
			}
			if err := before.Set(ctx, "k", "w"); err != nil {
				t.Errorf("the session before: %v", err)
			}
			fails = false
			s, err := begin(ctx, st, seal)
			if err != nil {
				t.Fatal(err)
			}
			if id := opened(t, st, given).ID(); id != s.ID() {
				t.Errorf("the client was given %q, want %q", id, s.ID())
			}
			unexplained(t, "a write to the session before", before.Set(ctx, "k", "x"))
		})
	}
}
