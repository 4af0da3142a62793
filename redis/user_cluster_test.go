package redis_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestLoginWhileSlotMoves moves the home of a user to another server. What needs keys
// of which some have moved waits until all have; everything else goes on.
func TestLoginWhileSlotMoves(t *testing.T) {
	t.Parallel()
	set, client := cluster(t)
	ctx, st := t.Context(), &redis.Store{Client: client, OpTimeout: patience}
	first, second := loggedIn(t, st, session.Login{User: "ada"}), loggedIn(t, st, session.Login{User: "ada"})
	index := indexOf(st, "ada")
	slot, from, to := set.Nodes[0].MustDo(t, "CLUSTER", "KEYSLOT", index), set.MasterOf(t, index), set.Nodes[0]
	if to == from {
		to = set.Nodes[1]
	}
	fromID, toID := from.MustDo(t, "CLUSTER", "MYID"), to.MustDo(t, "CLUSTER", "MYID")
	to.MustDo(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.MustDo(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	migrate := func(key string) {
		t.Helper()
		host, port, err := net.SplitHostPort(to.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if reply := from.MustDo(t, "MIGRATE", host, port, key, 0, 5000); reply != "OK" {
			t.Fatalf("MIGRATE: %v", reply)
		}
	}
	migrate(keyOf(st, first.ID())) // the index has not moved
	open(t, st, session.Token(first))
	if err := first.Set(ctx, "k", 1); err != nil {
		t.Errorf("Set: %v", err)
	}
	done := make(chan error, 5)
	anonymous := session.Token(generate(t, st))
	var third, fourth session.Session
	go func() {
		var err error
		third, err = st.Login(ctx, "", session.Login{User: "ada"})
		done <- err
	}()
	go func() {
		var err error
		fourth, err = st.Login(ctx, anonymous, session.Login{User: "ada", Values: map[string]any{"k": 2}})
		done <- err
	}()
	go func() { done <- st.Refresh(ctx, first.ID()) }()
	go func() { done <- errorOf(st.UserSessions(ctx, "ada")) }()
	hurried := &redis.Store{Client: client, OpTimeout: 300 * time.Millisecond}
	if err := hurried.Refresh(ctx, first.ID()); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("Refresh in a hurry: got %v, want a failure", err)
	}
	if _, err := hurried.Login(ctx, "", session.Login{User: "ada"}); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("Login in a hurry: got %v, want a failure", err)
	}
	for _, key := range from.MustDo(t, "CLUSTER", "GETKEYSINSLOT", slot, 100).([]any) {
		migrate(key.(string))
	}
	for _, server := range []*redistest.Server{to, from} {
		server.MustDo(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Errorf("a call that began while the slot moved: %v", err)
		}
	}
	lists(t, st, "ada", first, second, third, fourth)
	revokes(t, st, "ada", 4)
}

// TestRevokeWithoutAServer: a server that does not answer costs a call its time, and
// nobody but the users who live there.
func TestRevokeWithoutAServer(t *testing.T) {
	t.Parallel()
	set, client := cluster(t)
	ctx, st := t.Context(), &redis.Store{Client: client, OpTimeout: patience}
	mine := loggedIn(t, st, session.Login{User: "ada"})
	away := set.MasterOf(t, indexOf(st, "ada"))
	other := "bob"
	for set.MasterOf(t, indexOf(st, other)) == away {
		other += "b"
	}
	loggedIn(t, st, session.Login{User: other})
	away.Pause()
	hurried := &redis.Store{Client: client, OpTimeout: 700 * time.Millisecond}
	start := time.Now()
	if n, err := hurried.RemoveUserSessions(ctx, "ada"); n != 0 || err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("got %d, %v, want a failure", n, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	revokes(t, hurried, other, 1)
	away.Resume()
	await(t, "the user can be revoked", func() bool {
		_, err := hurried.RemoveUserSessions(ctx, "ada")
		return err == nil
	})
	isAlive(t, st, mine, false, "after the repetition")
}
