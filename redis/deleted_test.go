package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// TestDeletedByHand deletes keys of a user, as operators do. docs/redis.md says what that
// costs.
func TestDeletedByHand(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	_, client := single(t)
	st := &redis.Store{Client: client, OpTimeout: time.Minute}
	began := time.Now().Add(-time.Minute)
	login := func(clientToken string, l session.Login) session.Session {
		t.Helper()
		l.User = "ada"
		s, err := st.Login(ctx, clientToken, l)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	full := session.Login{User: "ada", MaxSessions: 2}

	first, second := login("", session.Login{}), login("", session.Login{})
	client.Del(ctx, keyOf(st, first.ID()))
	isAlive(t, st, first, false, "its record deleted")
	lists(t, st, "ada", second)
	if _, err := st.Login(ctx, "", full); !errors.Is(err, session.ErrUserLimit) {
		t.Errorf("a record deleted: got %v, want that it counts", err)
	}
	full.EndOldest = true
	third := login("", full)
	isAlive(t, st, second, true, "in place of the one that was deleted")

	client.Del(ctx, indexOf(st, "ada"))
	isAlive(t, st, second, true, "the index deleted")
	lists(t, st, "ada")
	revokes(t, st, "ada", 0)
	isAlive(t, st, third, true, "the index deleted, and the sessions revoked")
	if err := st.Refresh(ctx, second.ID()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Refresh of a session that no index lists: got %v, want ErrNotFound", err)
	}
	isAlive(t, st, second, false, "after that Refresh")
	if _, err := st.Login(ctx, session.Token(third), session.Login{User: "ada"}); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Login from a session that no index lists: got %v, want ErrNotFound", err)
	}
	isAlive(t, st, third, false, "after that Login")
	full.EndOldest = false
	fourth := login("", full)
	lists(t, st, "ada", fourth)

	revokes(t, st, "ada", 1)
	l := session.Login{User: "ada", Began: began}
	if _, err := st.Login(ctx, "", l); !errors.Is(err, session.ErrRevoked) {
		t.Errorf("got %v, want ErrRevoked", err)
	}
	client.Del(ctx, revokedOf(st, "ada"))
	login("", l)
}
