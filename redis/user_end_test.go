package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestRemoveAgainWaits repeats a Remove that no replica has. The session has ended on the
// master, and a failover would bring it back: that is no success the second time either.
func TestRemoveAgainWaits(t *testing.T) {
	t.Parallel()
	alone := newClient(t, "redis://"+redistest.Start(t).Addr+patient)
	paused, master, replica := replicated(t)
	sessions := func(st *redis.Store) map[string]session.Session {
		return map[string]session.Session{"anonymous": generate(t, st), "a user's": loggedIn(t, st, session.Login{User: "ada"})}
	}
	for name, c := range map[string]struct {
		st       *redis.Store
		sessions map[string]session.Session
	}{
		"no replica": {&redis.Store{Client: alone}, sessions(&redis.Store{Client: alone, OpTimeout: patience})},
		"one that is paused": {
			&redis.Store{Client: newClient(t, "redis://"+master.Addr+patient+"&pool_fifo=true&min_idle_conns=4")}, sessions(paused),
		},
	} {
		if c.st.WaitReplicas, c.st.OpTimeout = 1, 400*time.Millisecond; name != "no replica" {
			replica.Pause()
		}
		for what, s := range c.sessions {
			for i := range 3 {
				if err := c.st.Remove(t.Context(), s.ID()); err == nil {
					t.Errorf("%s, %s, Remove number %d: got nil", name, what, i+1)
				}
			}
		}
	}
	replica.Resume()
}

// TestLastMillisecond lists the sessions of a user, or logs in one more, in the very
// millisecond when a session ends, and then refreshes it. Redis has a key until that
// millisecond is over, so till then a limit counts the session, and a revocation ends it.
func TestLastMillisecond(t *testing.T) {
	t.Parallel()
	client := newClient(t, unhurried(redistest.Start(t).Addr))
	st := &redis.Store{Client: client, OpTimeout: 20 * time.Second}
	ctx := t.Context()
	for what, l := range map[string]session.Login{
		"idle":     {User: "ada", IdleTimeout: 20 * time.Millisecond, AbsoluteTimeout: time.Hour},
		"absolute": {User: "ada", IdleTimeout: 20 * time.Millisecond, AbsoluteTimeout: 20 * time.Millisecond},
	} {
		for i := range 40 {
			client.FlushAll(ctx)
			s := loggedIn(t, st, l)
			for deadline := described(t, s).IdleDeadline; time.Now().Before(deadline); { // to be there in time
			}
			var other session.Session
			var err error
			if i%2 == 0 {
				_, err = st.UserSessions(ctx, "ada")
			} else {
				other, err = st.Login(ctx, "", session.Login{User: "ada", MaxSessions: 1})
			}
			refreshed := st.Refresh(ctx, s.ID())
			if err != nil && !errors.Is(err, session.ErrUserLimit) || refreshed != nil && !errors.Is(refreshed, session.ErrNotFound) {
				t.Fatal(err, refreshed)
			}
			if other != nil {
				isAlive(t, st, s, false, what+": one more logged in")
			}
			if _, err := st.RemoveUserSessions(ctx, "ada"); err != nil {
				t.Fatal(err)
			}
			isAlive(t, st, s, false, what+": revoked")
		}
	}
}

// TestUnlistedDoesNotLiveOn refreshes a session that its index does not list, as it is
// when the clock of the server was ahead for a while.
func TestUnlistedDoesNotLiveOn(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		st := a.store(time.Hour)
		s, listed := loggedIn(t, st, session.Login{User: "ada"}), loggedIn(t, st, session.Login{User: "ada"})
		ends := a.client.PExpireTime(t.Context(), keyOf(st, s.ID())).Val()
		if n, err := a.client.ZRem(t.Context(), indexOf(st, "ada"), s.ID()[16:]).Result(); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := st.Refresh(t.Context(), s.ID()); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Refresh: got %v, want ErrNotFound", err)
		}
		if got := a.client.PExpireTime(t.Context(), keyOf(st, s.ID())).Val(); got > ends {
			t.Errorf("the session lives for %v more", got-ends)
		}
		if err := st.Refresh(t.Context(), listed.ID()); err != nil {
			t.Errorf("Refresh of one that is listed: %v", err)
		}
	})
}

// TestUnreadableShieldsNobody revokes the sessions of a user one of which is no more
// what this package has written: that is an error, and the others end.
func TestUnreadableShieldsNobody(t *testing.T) {
	t.Parallel()
	client := newClient(t, unhurried(redistest.Start(t).Addr))
	st := &redis.Store{Client: client, OpTimeout: 20 * time.Second}
	var all []session.Session
	for range 5 {
		all = append(all, loggedIn(t, st, session.Login{User: "ada"}))
	}
	if err := client.Set(t.Context(), keyOf(st, all[2].ID()), "x", time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := st.RemoveUserSessions(t.Context(), "ada"); err == nil {
		t.Error("RemoveUserSessions: got nil, want an error")
	}
	for i, s := range all {
		if _, err := st.Get(t.Context(), s.ID()); i != 2 && !errors.Is(err, session.ErrNotFound) {
			t.Errorf("session %d: got %v, want ErrNotFound", i, err)
		}
	}
}

// TestEndedIsToldAfterALostReply logs in again, with one session too many, and loses the
// reply: the client repeats the command, and the caller learns whose place it took.
func TestEndedIsToldAfterALostReply(t *testing.T) {
	t.Parallel()
	l := newLossy(t, "")
	for _, step := range []int{1, 2} {
		user := []string{"", "ada", "bob"}[step]
		oldest, mine := loggedIn(t, l.truth, session.Login{User: user}), loggedIn(t, l.truth, session.Login{User: user})
		var ended []string
		if _, err := l.lose(step, func() error {
			return errorOf(l.Login(t.Context(), session.Token(mine), session.Login{User: user, MaxSessions: 1, EndOldest: true, Ended: func(id string) { ended = append(ended, id) }}))
		}); err != nil {
			t.Fatal(err)
		}
		if len(ended) != 1 || ended[0] != oldest.ID() {
			t.Errorf("step %d: told of %d sessions, want the oldest", step, len(ended))
		}
	}
}

// What is no time, in an index, costs its user nothing.
func TestForeignMember(t *testing.T) {
	t.Parallel()
	_, client := single(t)
	st := &redis.Store{Client: client, OpTimeout: time.Minute}
	mine := loggedIn(t, st, session.Login{User: "ada"})
	for _, member := range []string{"abc", "", "-1", "1e3", strings.Repeat("9", 1000)} {
		if err := client.ZAdd(t.Context(), indexOf(st, "ada"), goredis.Z{Score: 5, Member: member}).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Login(t.Context(), "", session.Login{User: "ada"}); err != nil {
			t.Errorf("Login beside %.10q: %v", member, err)
		}
		if _, err := st.UserSessions(t.Context(), "ada"); err != nil {
			t.Errorf("UserSessions beside %.10q: %v", member, err)
		}
	}
	revokes(t, st, "ada", 6)
	isAlive(t, st, mine, false, "revoked")
}
