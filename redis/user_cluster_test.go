package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// A login is carried out while the slot of its session moves, and can be revoked
// then.
func TestLoginWhileSlotMoves(t *testing.T) {
	t.Parallel()
	set, client := cluster(t)
	ctx := t.Context()
	st := &redis.Store{Client: client, OpTimeout: patience}
	before, err := st.Generate(ctx, uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	key := "session:" + before.ID()
	slot, from, to := set.Nodes[0].MustDo(t, "CLUSTER", "KEYSLOT", key), set.MasterOf(t, key), set.Nodes[0]
	if to == from {
		to = set.Nodes[1]
	}
	to.MustDo(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.MustDo(t, "CLUSTER", "MYID"))
	from.MustDo(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.MustDo(t, "CLUSTER", "MYID"))
	expire := func() {
		t.Helper()
		for _, server := range []*redistest.Server{from, to} {
			c := closing(t, goredis.NewClient(&goredis.Options{Addr: server.Addr}))
			for _, key := range c.Keys(ctx, "*").Val() {
				pipe := c.Pipeline()
				pipe.Do(ctx, "ASKING")
				left := pipe.PTTL(ctx, key)
				if _, err := pipe.Exec(ctx); err != nil && !strings.HasPrefix(err.Error(), "ASK") || left.Val() == -1 {
					t.Errorf("%s never expires, %v", key, err)
				}
			}
		}
	}
	if s, err := st.Login(ctx, session.Token(before), session.Login{User: "ada"}); err != nil {
		t.Errorf("a session that has not moved yet: %v", err)
	} else if _, err := st.Login(ctx, session.Token(s), session.Login{User: "ada", Reauthentication: true}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	expire()
	if err := st.Remove(ctx, before.ID()); err != nil {
		t.Fatal(err)
	}
	made, err := st.Generate(ctx, before.ID()) // it has moved
	if err != nil {
		t.Fatal(err)
	}
	made, err = st.Login(ctx, session.Token(made), session.Login{User: "ada"})
	if err != nil {
		t.Fatalf("a session that has moved: %v", err)
	}
	lists(t, st, "ada", made)
	if err := client.Del(ctx, indexOf(&redis.Store{Prefix: "session:"}, "ada")).Err(); err != nil {
		t.Fatal(err)
	}
	revokes(t, st, "ada", 1)
	isAlive(t, st, made, false, "after the revocation")
	expire()
}

// A server that does not answer costs a call its time, and spares the others
// nothing: what can be ended is.
func TestRevokeWithoutAServer(t *testing.T) {
	t.Parallel()
	set, client := cluster(t)
	ctx := t.Context()
	st := &redis.Store{Client: client, OpTimeout: patience}
	index := set.MasterOf(t, indexOf(&redis.Store{Prefix: "session:"}, "ada"))
	of := make(map[*redistest.Server][]session.Session)
	for range 30 {
		s := loggedIn(t, st, session.Login{User: "ada"})
		master := set.MasterOf(t, "session:"+s.ID())
		of[master] = append(of[master], s)
	}
	var away *redistest.Server
	for master := range of {
		if master != index {
			away = master
		}
	}
	away.Pause()
	hurried := &redis.Store{Client: client, OpTimeout: 700 * time.Millisecond}
	start := time.Now()
	n, err := hurried.RemoveUserSessions(ctx, "ada")
	if err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("got %v, want a failure", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	for master, sessions := range of {
		for _, s := range sessions {
			if master != away {
				isAlive(t, st, s, false, "on another server")
			}
		}
	}
	if most := 30 - len(of[away]); n > most {
		t.Errorf("%d sessions were ended, of %d on the other servers", n, most)
	}
	away.Resume()
	await(t, "all have ended", func() bool {
		_, err := hurried.RemoveUserSessions(ctx, "ada")
		return err == nil
	})
	for _, sessions := range of {
		for _, s := range sessions {
			isAlive(t, st, s, false, "after the repetition")
		}
	}
}
