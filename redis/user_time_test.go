package redis_test

import (
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// The timeouts of a login are exact, and those of the next one replace them.
func TestOwnTimeouts(t *testing.T) {
	t.Parallel()
	server, client := single(t)
	clock := sundial{t, server}
	st := &redis.Store{Client: client, OpTimeout: patience}
	s := loggedIn(t, st, session.Login{User: "ada", IdleTimeout: 90 * 24 * time.Hour, AbsoluteTimeout: 400 * 24 * time.Hour})
	exact := func(s session.Session, idle, absolute time.Duration) session.Info {
		t.Helper()
		info := described(t, open(t, st, session.Token(s)))
		if info.IdleDeadline != info.LastSeen.Add(idle) || info.AbsoluteDeadline != info.AuthenticatedAt.Add(absolute) {
			t.Errorf("got %+v, want an idle timeout %v, an absolute one %v", info, idle, absolute)
		}
		ends := client.PExpireTime(t.Context(), keyOf(st, s.ID())).Val()
		if got := time.UnixMilli(ends.Milliseconds()); !got.Equal(info.IdleDeadline) {
			t.Errorf("the key ends %v after the session", got.Sub(info.IdleDeadline))
		}
		return info
	}
	exact(s, 90*24*time.Hour, 400*24*time.Hour)
	for _, l := range []session.Login{{User: "ada"}, {User: "ada", IdleTimeout: 1501 * time.Millisecond, AbsoluteTimeout: 3001 * time.Millisecond}} {
		again, err := st.Login(t.Context(), session.Token(s), l)
		if err != nil {
			t.Fatal(err)
		}
		s = again
		if l.IdleTimeout == 0 {
			exact(s, 30*time.Minute, 12*time.Hour)
		}
	}
	info := exact(s, 1501*time.Millisecond, 3001*time.Millisecond)
	rotated, err := st.Rotate(t.Context(), session.Token(s), 0)
	if err != nil {
		t.Fatal(err)
	}
	s = rotated
	for clock.now().Before(info.AbsoluteDeadline.Add(-1400 * time.Millisecond)) {
		if err := st.Refresh(t.Context(), s.ID()); err != nil {
			t.Fatal(err)
		}
	}
	info = described(t, open(t, st, session.Token(s)))
	if info.IdleDeadline != info.AbsoluteDeadline {
		t.Errorf("got %+v, want that both deadlines are one", info)
	}
	if ends := client.PExpireTime(t.Context(), keyOf(st, s.ID())).Val(); ends.Milliseconds() != info.AbsoluteDeadline.UnixMilli() {
		t.Errorf("refreshed, the key ends %v before the session", time.Duration(info.AbsoluteDeadline.UnixMilli()-ends.Milliseconds())*time.Millisecond)
	}
	clock.ends("absolute", info.AbsoluteDeadline, info.AbsoluteDeadline, func() error {
		_, err := st.Open(t.Context(), session.Token(s))
		return err
	})
	lists(t, st, "ada")

	s = loggedIn(t, st, session.Login{User: "ada", IdleTimeout: 301 * time.Millisecond})
	deadline := described(t, s).IdleDeadline
	clock.ends("idle", deadline, deadline, func() error {
		_, err := st.Open(t.Context(), session.Token(s))
		return err
	})
}

// A login whose time is over at once leaves nothing.
func TestLoginOfAMillisecond(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		st := a.store(time.Hour)
		for range 300 {
			s := loggedIn(t, st, session.Login{User: "ada", IdleTimeout: time.Millisecond, AbsoluteTimeout: time.Millisecond})
			if session.Token(s) == "" {
				t.Error("no token")
			}
		}
		if _, forever, err := a.keys(st); err != nil || len(forever) > 0 {
			t.Errorf("%d keys for ever, %v", len(forever), err)
		}
		await(t, "they have ended", func() bool {
			infos, err := st.UserSessions(t.Context(), "ada")
			return err == nil && len(infos) == 0
		})
	})
}
