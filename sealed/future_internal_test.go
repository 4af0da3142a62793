package sealed

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
)

// TestFuture: a seal from over a minute ahead opens nothing, whichever of its times is
// from there: the clock of this server has jumped back, or that of another is wrong.
func TestFuture(t *testing.T) {
	for name, set := range map[string]func(f *facts, to int64){
		"made":          func(f *facts, to int64) { f.created = to },
		"rotated":       func(f *facts, to int64) { f.rotated = to },
		"refreshed":     func(f *facts, to int64) { f.seen = to },
		"authenticated": func(f *facts, to int64) { f.authenticated = to },
		"all":           func(f *facts, to int64) { f.created, f.rotated, f.seen, f.authenticated = to, to, to, to },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st, now := ready(t, 1), time.Now()
				made := func(ahead time.Duration) string {
					n := now.UnixNano()
					f := facts{
						id: "id", user: "alice", level: 1, created: n, rotated: n, seen: n, authenticated: n,
						idle: int64(time.Hour), absolute: int64(2 * time.Hour),
					}
					set(&f, now.Add(ahead).UnixNano())
					return st.seal(newState(f).plain, "")
				}
				for ahead, want := range map[time.Duration]error{
					time.Minute: nil, time.Minute + 1: session.ErrNotFound, time.Hour: session.ErrNotFound, 24 * time.Hour: session.ErrNotFound,
					lifetime.Max: session.ErrNotFound,
				} {
					s, err := st.Open(t.Context(), made(ahead))
					if !errors.Is(err, want) || (err == nil) != (want == nil) {
						t.Errorf("%v ahead: got %v, want %v", ahead, err, want)
					}
					if errors.Is(err, session.ErrExpiredIdle) || errors.Is(err, session.ErrExpiredAbsolute) {
						t.Errorf("%v ahead: got an error of a session that has expired", ahead)
					}
					if err == nil && s.Set(t.Context(), "k", "v") != nil {
						t.Errorf("%v ahead: opens, and takes no value", ahead)
					}
				}
				// When the clock has come near, it opens: it was never lost.
				seal := made(time.Hour)
				time.Sleep(59 * time.Minute)
				if _, err := st.Open(t.Context(), seal); err != nil {
					t.Errorf("a minute ahead: got %v", err)
				}
			})
		})
	}
}

// TestTimesGoOn: where the clock stands still or is behind the seal's, a rotation and
// a login still are after what was before.
func TestTimesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := ready(t, 1)
		ahead := time.Now().Add(30 * time.Second).UnixNano() // as another server has it
		f := facts{
			id: "id", user: "alice", level: 1, created: ahead, rotated: ahead, seen: ahead, authenticated: ahead,
			idle: int64(time.Hour), absolute: int64(2 * time.Hour),
		}
		seal := st.seal(newState(f).plain, "")
		last := at(ahead)
		for range 3 {
			s, err := st.Rotate(t.Context(), seal, 0)
			if err != nil {
				t.Fatal(err)
			}
			info, _ := session.Describe(s)
			if !info.RotatedAt.After(last) || !info.AuthenticatedAt.Equal(at(ahead)) || !info.LastSeen.Equal(at(ahead)) {
				t.Errorf("rotated: got %+v, want RotatedAt after %v", info, last)
			}
			last, seal = info.RotatedAt, session.Token(s)
		}
		s, err := st.Login(t.Context(), seal, session.Login{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		info, _ := session.Describe(s)
		if !info.RotatedAt.After(last) || !info.AuthenticatedAt.Equal(info.RotatedAt) || !info.LastSeen.Equal(info.RotatedAt) {
			t.Errorf("logged in: got %+v, want all after %v", info, last)
		}
	})
}

// TestFutureRefresh: a refresh by a server that is behind takes nothing away.
func TestFutureRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := ready(t, 1)
		ahead := time.Now().Add(30 * time.Second).UnixNano()
		f := facts{id: "id", created: ahead, rotated: ahead, seen: ahead, idle: int64(time.Hour), absolute: int64(2 * time.Hour)}
		ctx := session.WithDelivery(t.Context(), &session.Delivery{MaxToken: maxSeal, Deliver: func(session.Session) error { return nil }})
		if _, err := st.Open(ctx, st.seal(newState(f).plain, "")); err != nil {
			t.Fatal(err)
		}
		if err := st.Refresh(ctx, "id"); err != nil {
			t.Fatal(err)
		}
		s, err := st.Get(ctx, "id")
		if err != nil {
			t.Fatal(err)
		}
		if info, _ := session.Describe(s); !info.LastSeen.Equal(at(ahead)) {
			t.Errorf("LastSeen: got %v, want %v", info.LastSeen, at(ahead))
		}
	})
}
