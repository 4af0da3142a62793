package memory_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

const day = 24 * time.Hour

// TestOwnTimeouts: a login's timeouts hold to the nanosecond, in a store of an
// hour and twelve; refreshes and rotations keep them.
func TestOwnTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name                       string
		idle, absolute             time.Duration // of the login
		wantIdle, wantAbsolute     time.Duration
		refreshesUntilItIsAbsolute int
	}{
		{"the store's", 0, 0, time.Hour, 12 * time.Hour, 12},
		{"shorter", time.Minute, 3 * time.Minute, time.Minute, 3 * time.Minute, 3},
		{"longer", 30 * day, 90 * day, 30 * day, 90 * day, 3},
		{"idle alone", 2 * time.Hour, 0, 2 * time.Hour, 12 * time.Hour, 6},
		{"absolute alone, longer", 0, 48 * time.Hour, time.Hour, 48 * time.Hour, 48},
		{"absolute alone, under the store's idle", 0, time.Minute, time.Minute, time.Minute, 1},
		{"the shortest", time.Millisecond, 2 * time.Millisecond, time.Millisecond, 2 * time.Millisecond, 2},
		{"the longest", 400 * day, 400 * day, 400 * day, 400 * day, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				st := &memory.Store{IdleTimeout: time.Hour, AbsoluteTimeout: 12 * time.Hour}
				l := session.Login{User: "alice", IdleTimeout: tt.idle, AbsoluteTimeout: tt.absolute}
				left := enter(t, st, "left", l)
				used := enter(t, st, "used", l)
				info := stored(t, st, "used")
				if got := info.IdleDeadline.Sub(info.AuthenticatedAt); got != tt.wantIdle {
					t.Errorf("idle: got %v, want %v", got, tt.wantIdle)
				}
				if got := info.AbsoluteDeadline.Sub(info.AuthenticatedAt); got != tt.wantAbsolute {
					t.Errorf("absolute: got %v, want %v", got, tt.wantAbsolute)
				}
				for n := range tt.refreshesUntilItIsAbsolute {
					time.Sleep(tt.wantIdle - 1)
					opens(t, st, used, "just before the deadline", nil)
					if n == 0 {
						opens(t, st, left, "just before the first deadline", nil)
					}
					used = rotate(t, st, used, time.Minute)
					if err := st.Refresh(ctx, "used"); err != nil {
						t.Fatalf("refresh %d: %v", n+1, err)
					}
				}
				if got := stored(t, st, "used").AbsoluteDeadline; !got.Equal(info.AbsoluteDeadline) {
					t.Errorf("a refresh moved the absolute deadline from %v to %v", info.AbsoluteDeadline, got)
				}
				time.Sleep(time.Until(info.AbsoluteDeadline) - 1)
				opens(t, st, used, "just before the absolute deadline", nil)
				time.Sleep(time.Nanosecond)
				opens(t, st, used, "at the absolute deadline", session.ErrExpiredAbsolute)
				opens(t, st, left, "after its idle deadline", session.ErrNotFound)
			})
		})
	}
}

// TestIdleDeadlineOfLogin: what nobody refreshes ends at its own idle deadline.
func TestIdleDeadlineOfLogin(t *testing.T) {
	for _, idle := range []time.Duration{time.Millisecond, time.Minute, 2 * time.Hour, 30 * day} {
		synctest.Test(t, func(t *testing.T) {
			st := &memory.Store{IdleTimeout: time.Hour}
			token := enter(t, st, "id", session.Login{User: "alice", IdleTimeout: idle, AbsoluteTimeout: 2 * idle})
			time.Sleep(idle - 1)
			opens(t, st, token, "just before the deadline", nil)
			st.Sweep()
			opens(t, st, token, "just before the deadline, swept", nil)
			time.Sleep(time.Nanosecond)
			opens(t, st, token, "at the deadline", session.ErrExpiredIdle)
		})
	}
}

// TestLoginBeginsTimeoutsAnew: only a login moves the absolute deadline, that of
// an anonymous session and its own.
func TestLoginBeginsTimeoutsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &memory.Store{IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour}
		token := generate(t, st, "id")
		for range 5 {
			time.Sleep(time.Hour - 1)
			token = login(t, st, token, session.Login{User: "alice", ID: "user"})
			if got := time.Until(stored(t, st, "user").AbsoluteDeadline); got != time.Hour {
				t.Errorf("after a login: got %v, want an hour", got)
			}
		}
		time.Sleep(time.Hour)
		_, err := st.Login(t.Context(), token, session.Login{User: "alice"})
		plain(t, "a login at the deadline", err)
	})
}

// TestOpenTellsWhy: which deadline has passed, once, to who has a good token, and
// from Open alone.
func TestOpenTellsWhy(t *testing.T) {
	for _, tt := range []struct {
		name           string
		idle, absolute time.Duration
		refresh        bool // just before the idle deadline
		want           error
	}{
		{"idle", time.Minute, time.Hour, false, session.ErrExpiredIdle},
		{"absolute", time.Minute, time.Minute + time.Second, true, session.ErrExpiredAbsolute},
		{"both at once", time.Minute, time.Minute, false, session.ErrExpiredAbsolute},
		{"idle a nanosecond before absolute", time.Minute, time.Minute + 1, false, session.ErrExpiredIdle},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// A store for each call, because every call may remove what has expired.
			after := func(f func(ctx context.Context, st *memory.Store, token string)) {
				synctest.Test(t, func(t *testing.T) {
					st := &memory.Store{IdleTimeout: tt.idle, AbsoluteTimeout: tt.absolute}
					token := generate(t, st, "id")
					rotate(t, st, token, time.Hour)
					if tt.refresh {
						time.Sleep(tt.idle - 1)
						if err := st.Refresh(t.Context(), "id"); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Hour) // the reason is the deadline that was first, not the one that is later
					f(t.Context(), st, token)
				})
			}
			after(func(ctx context.Context, st *memory.Store, token string) {
				opens(t, st, token, "Open", tt.want)
				_, err := st.Open(ctx, token)
				plain(t, "Open of what has been removed", err)
			})
			for what, call := range map[string]func(ctx context.Context, st *memory.Store, token string) error{
				"Get":     func(ctx context.Context, st *memory.Store, _ string) error { _, err := st.Get(ctx, "id"); return err },
				"Refresh": func(ctx context.Context, st *memory.Store, _ string) error { return st.Refresh(ctx, "id") },
				"Rotate": func(ctx context.Context, st *memory.Store, token string) error {
					_, err := st.Rotate(ctx, token, 0)
					return err
				},
				"Login": func(ctx context.Context, st *memory.Store, token string) error {
					_, err := st.Login(ctx, token, session.Login{User: "alice"})
					return err
				},
				"Open with another secret": func(ctx context.Context, st *memory.Store, _ string) error {
					_, err := st.Open(ctx, "id."+strings.Repeat("A", 26))
					return err
				},
			} {
				after(func(ctx context.Context, st *memory.Store, token string) { plain(t, what, call(ctx, st, token)) })
			}
		})
	}
}

// TestReused: the last seven tokens that rotations have replaced are known, and
// only those.
func TestReused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := new(memory.Store)
		tokens := []string{generate(t, st, "id")}
		reused := func(dead []string) {
			t.Helper()
			for i, token := range dead {
				_, err := st.Open(ctx, token)
				if !errors.Is(err, session.ErrNotFound) {
					t.Fatalf("old token %d of %d: got %v, want ErrNotFound", i+1, len(dead), err)
				}
				if i >= len(dead)-7 && !errors.Is(err, session.ErrReused) {
					t.Fatalf("old token %d of %d: got %v, want ErrReused", i+1, len(dead), err)
				}
				_, err = st.Rotate(ctx, token, 0)
				plain(t, "Rotate", err)
				_, err = st.Login(ctx, token, session.Login{User: "alice"})
				plain(t, "Login", err)
			}
		}
		for n := range 20 {
			tokens = append(tokens, rotate(t, st, tokens[n], 0))
			reused(tokens[:n])
			opens(t, st, tokens[n+1], "the newest token", nil) // the one before has no grace
			reused(tokens[:n+1])
		}
		if _, err := st.Open(ctx, tokens[0]); errors.Is(err, session.ErrReused) {
			t.Error("the store remembers more than it should")
		}
		other := generate(t, st, "other")
		_, err := st.Open(ctx, "id"+other[len("other"):])
		plain(t, "the secret of another session", err)

		// With a grace: not before its end.
		newest := rotate(t, st, tokens[len(tokens)-1], time.Minute)
		opens(t, st, newest, "the newest token", nil)
		time.Sleep(time.Minute - 1)
		opens(t, st, tokens[len(tokens)-1], "in the grace", nil)
		time.Sleep(time.Nanosecond)
		reused(tokens)
		opens(t, st, newest, "the newest token", nil)

		// A login forgets them.
		login(t, st, newest, session.Login{User: "alice"})
		for _, token := range append(tokens, newest) {
			_, err := st.Open(ctx, token)
			plain(t, "a token from before the login", err)
		}
	})
}

// TestReusedBesideGoodOnes: tokens that died are known also while older ones are
// good, and when so many are good that no rotation is done.
func TestReusedBesideGoodOnes(t *testing.T) {
	ctx := t.Context()
	st := new(memory.Store)
	dead := generate(t, st, "id")
	token := rotate(t, st, dead, 0)
	opens(t, st, token, "the newest token", nil)
	kept := token
	for range 100 { // more than are kept
		token = rotate(t, st, token, time.Hour)
	}
	opens(t, st, kept, "an old one", nil)
	opens(t, st, dead, "the dead one", session.ErrReused)
	if got := stored(t, st, "id").RotatedAt; got.IsZero() || got.After(time.Now()) {
		t.Errorf("RotatedAt: got %v", got)
	}
	if err := st.Remove(ctx, "id"); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{dead, kept, token} {
		_, err := st.Open(ctx, token)
		plain(t, "after Remove", err)
	}
}
