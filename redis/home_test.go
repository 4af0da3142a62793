package redis_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// homeOf is what the ids of a user's sessions begin with, as docs/redis.md tells it.
func homeOf(user string) string {
	sum := sha256.Sum256([]byte(user))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// prefixOf is what the keys of a store begin with.
func prefixOf(st *redis.Store) string {
	if st.Prefix == "" {
		return "session:"
	}
	return st.Prefix
}

// keyOf is the name of a session's record, as docs/redis.md tells it.
func keyOf(st *redis.Store, id string) string {
	if len(id) > 16 && id[16] == '_' {
		return prefixOf(st) + "{" + id[:3] + "}" + id[3:]
	}
	return prefixOf(st) + id
}

// indexOf is the name of a user's index, revokedOf that of their last revocation.
func indexOf(st *redis.Store, user string) string {
	home := homeOf(user)
	return prefixOf(st) + "{" + home[:3] + "}" + home[3:] + ":"
}

func revokedOf(st *redis.Store, user string) string { return indexOf(st, user) + "revoked:" }

// lists checks which sessions of a user are listed.
func lists(t *testing.T, st *redis.Store, user string, want ...session.Session) {
	t.Helper()
	infos, err := st.UserSessions(t.Context(), user)
	if err != nil {
		t.Errorf("UserSessions: %v", err)
	}
	var got, ids []string
	for _, info := range infos {
		got = append(got, info.ID)
	}
	for _, s := range want {
		ids = append(ids, s.ID())
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("UserSessions: got %d sessions, want %d others", len(got), len(ids))
	}
}

// isAlive checks whether a session lives.
func isAlive(t *testing.T, st *redis.Store, s session.Session, want bool, when string) {
	t.Helper()
	_, err := st.Get(t.Context(), s.ID())
	if err == nil != want || err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: got %v, want that it lives: %t", when, err, want)
	}
}

func revokes(t *testing.T, st *redis.Store, user string, want int, except ...string) {
	t.Helper()
	if n, err := st.RemoveUserSessions(t.Context(), user, except...); n != want || err != nil {
		t.Errorf("RemoveUserSessions: got %d, %v, want %d", n, err, want)
	}
}

// TestSharedTag logs in two users whose keys are in one slot because their homes begin
// alike. They have nothing else in common.
func TestSharedTag(t *testing.T) {
	t.Parallel()
	tags := make(map[string]string)
	var ada, bob string
	for i := 0; bob == ""; i++ {
		user := fmt.Sprint("user ", i)
		tag := homeOf(user)[:3]
		if other, ok := tags[tag]; ok {
			ada, bob = other, user
		}
		tags[tag] = user
	}
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		hers, his := loggedIn(t, st, session.Login{User: ada}), loggedIn(t, st, session.Login{User: bob, MaxSessions: 1})
		if hers.ID()[:3] != his.ID()[:3] {
			t.Fatalf("got the ids %s and %s, want that they begin alike", hers.ID(), his.ID())
		}
		if _, err := st.Login(ctx, session.Token(hers), session.Login{User: bob}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("a login with the other's token: got %v, want ErrNotFound", err)
		}
		lists(t, st, ada, hers)
		lists(t, st, bob, his)
		began := time.Now().Add(-time.Second)
		revokes(t, st, ada, 1)
		isAlive(t, st, hers, false, "revoked")
		isAlive(t, st, his, true, "the other revoked")
		lists(t, st, ada)
		lists(t, st, bob, his)
		if _, err := st.Login(ctx, session.Token(his), session.Login{User: bob, Began: began, MaxSessions: 1}); err != nil {
			t.Errorf("the other revoked: %v", err)
		}
	})
}
