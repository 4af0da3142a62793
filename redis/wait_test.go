package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// replicated starts a master with a replica, and returns a store on the master
// that waits for the replica.
func replicated(tb testing.TB) (st *redis.Store, master, replica *redistest.Server) {
	tb.Helper()
	set := redistest.StartSentinel(tb, time.Hour) // the sentinels have nothing to do
	st = &redis.Store{Client: newClient(tb, "redis://"+set.Master.Addr+patient), WaitReplicas: 1, OpTimeout: patience}
	return st, set.Master, set.Replica
}

// everyWrite are the ways to change a record, done to a session with the values
// a and b.
func everyWrite() []deed {
	all := deeds()
	for i := range all {
		switch all[i].name {
		case "Delete":
			all[i].do = func(ctx context.Context, _ *redis.Store, s session.Session, _ int) error {
				return session.Delete(ctx, s, "a")
			}
		case "Pop":
			all[i].do = func(ctx context.Context, _ *redis.Store, s session.Session, _ int) error {
				_, err := session.Pop(ctx, s, "a")
				return err
			}
		}
	}
	return append(all,
		deed{"Generate", func(ctx context.Context, st *redis.Store, _ session.Session, _ int) error {
			_, err := st.Generate(ctx, uuid.NewString())
			return err
		}},
		deed{"Bind", func(ctx context.Context, st *redis.Store, s session.Session, _ int) error {
			_, err := st.Bind(ctx, session.Token(s), aProof(""))
			return err
		}},
		deed{"Prove", func(ctx context.Context, st *redis.Store, s session.Session, _ int) error {
			bond := fmt.Sprint(time.Now().Add(time.Hour).UnixMilli(), theDevice) // what a Bind has stored
			if err := st.Client.(goredis.UniversalClient).HSet(ctx, keyOf(st, s.ID()), "b", bond).Err(); err != nil {
				return err
			}
			_, err := st.Prove(ctx, s.ID(), aProof("1"))
			return err
		}},
		deed{"Login", func(ctx context.Context, st *redis.Store, s session.Session, _ int) error {
			_, err := st.Login(ctx, session.Token(s), session.Login{User: "ada"})
			return err
		}},
		deed{"Login from nothing", func(ctx context.Context, st *redis.Store, _ session.Session, _ int) error {
			_, err := st.Login(ctx, "", session.Login{User: "bob"})
			return err
		}},
		deed{"RemoveUserSessions", func(ctx context.Context, st *redis.Store, _ session.Session, _ int) error {
			_, err := st.RemoveUserSessions(ctx, uuid.NewString())
			return err
		}},
		deed{"Remove", func(ctx context.Context, st *redis.Store, s session.Session, _ int) error {
			return st.Remove(ctx, s.ID())
		}},
	)
}

// written is a session with values in it.
func written(tb testing.TB, st *redis.Store) session.Session {
	tb.Helper()
	s := generate(tb, st)
	if err := session.SetAll(tb.Context(), s, map[string]any{"a": 1, "b": 2}); err != nil {
		tb.Fatal(err)
	}
	return s
}

// refused checks that no write is acknowledged, and that each says so in time.
func refused(t *testing.T, st *redis.Store, sessions []session.Session) (all []error) {
	t.Helper()
	hurried := &redis.Store{Client: st.Client, WaitReplicas: 1, OpTimeout: 200 * time.Millisecond}
	patiently, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i, d := range everyWrite() {
		s, err := hurried.Open(patiently, session.Token(sessions[i]))
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		start := time.Now()
		err = d.do(t.Context(), hurried, s, 7)
		if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrExists) || errors.Is(err, session.ErrFull) {
			t.Errorf("%s: %v, want that it is not replicated", d.name, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v", d.name, took)
		}
		all = append(all, err)
	}
	return all
}

// sessionsFor makes a session for every kind of write.
func sessionsFor(t *testing.T, st *redis.Store) (all []session.Session) {
	t.Helper()
	for range everyWrite() {
		all = append(all, written(t, st))
	}
	return all
}

func TestWaitWithoutReplica(t *testing.T) {
	t.Parallel()
	client := newClient(t, "redis://"+redistest.Start(t).Addr+patient)
	st := &redis.Store{Client: client, WaitReplicas: 1, OpTimeout: patience}
	alone := &redis.Store{Client: client, OpTimeout: patience}
	sessions := sessionsFor(t, alone)
	errs := refused(t, st, sessions)
	// The master has it all the same, unless there was no time to ask.
	for i, d := range everyWrite() {
		s, err := alone.Get(t.Context(), sessions[i].ID())
		switch {
		case errors.Is(errs[i], context.DeadlineExceeded):
		case d.name == "Set":
			if v, err := s.Get(t.Context(), "set"); v != 7 || err != nil {
				t.Errorf("Set: the master has %v, %v", v, err)
			}
		case d.name == "Remove":
			if !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Remove: %v", err)
			}
		}
	}
	// Reading waits for nobody.
	if _, err := st.Open(t.Context(), session.Token(sessions[0])); err != nil {
		t.Errorf("Open: %v", err)
	}
}

// What was acknowledged is on the replica.
func TestWaitReplicated(t *testing.T) {
	t.Parallel()
	st, master, replica := replicated(t)
	both := func(key string, what ...any) []any {
		var replies []any
		for _, server := range []*redistest.Server{master, replica} {
			replies = append(replies, fmt.Sprint(server.MustDo(t, append([]any{what[0], key}, what[1:]...)...)))
		}
		return replies
	}
	everything := func() (all [2]string) {
		for i, server := range []*redistest.Server{master, replica} {
			all[i] = fmt.Sprint(server.MustDo(t, "EVAL", `
local all = redis.call('KEYS', '*')
table.sort(all)
for i, key in ipairs(all) do
  local kind = redis.call('TYPE', key).ok
  local look = {hash = {'HGETALL', key}, zset = {'ZRANGE', key, 0, -1, 'WITHSCORES'}, string = {'GET', key}}
  all[i] = {key, redis.call(unpack(look[kind]))}
end
return all`, 0))
		}
		return all
	}
	for range 3 {
		for _, d := range everyWrite() {
			s := written(t, st)
			if err := d.do(t.Context(), st, s, 7); err != nil {
				t.Errorf("%s: %v", d.name, err)
			}
			key := "session:" + s.ID()
			if v := both(key, "HGETALL"); v[0] != v[1] {
				t.Errorf("%s: the replica has something else", d.name)
			}
			if v := both(key, "EXISTS"); v[1] != "1" && d.name != "Remove" {
				t.Errorf("%s: the replica has no such session", d.name)
			}
			if v := everything(); v[0] != v[1] {
				t.Errorf("%s: the replica has not the same keys", d.name)
			}
			if v := both(key, "PEXPIRETIME"); d.name == "Refresh" && v[0] != v[1] {
				t.Errorf("Refresh: the session ends at %v", v)
			}
		}
	}
}

// A replica that answers to nobody has no write. What it acknowledged on other
// connections does not count.
func TestWaitReplicaPaused(t *testing.T) {
	t.Parallel()
	st, master, replica := replicated(t)
	// A pool that gives them in turn.
	client := newClient(t, "redis://"+master.Addr+patient+"&pool_fifo=true&min_idle_conns=4")
	st.Client = client
	sessions := sessionsFor(t, st)
	await(t, "there are four connections", func() bool { return client.PoolStats().IdleConns >= 4 })
	replica.Pause()
	refused(t, st, sessions)
	// One deadline is for all that a call does.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := sessions[0].Set(ctx, "a", 3); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("Set: %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("Set took %v", took)
	}
	replica.Resume()
	if err := sessions[0].Set(t.Context(), "a", 4); err != nil {
		t.Errorf("Set after the pause: %v", err)
	}
}

// onCluster starts a cluster, and returns a store on it that waits for a replica.
func onCluster(t *testing.T) (*redistest.ClusterSet, *redis.Store) {
	t.Helper()
	set := redistest.StartCluster(t, nodeTimeout)
	client := newClient(t, "redis+cluster://"+strings.Join(set.Addrs(), ",")+patient)
	return set, &redis.Store{Client: client, WaitReplicas: 1, OpTimeout: patience}
}

// WAIT is for the master that has the key, on the connection of the write: any
// other answers for something else.
func TestWaitCluster(t *testing.T) {
	t.Parallel()
	set, st := onCluster(t)
	masters := set.Nodes[:3]
	of := make(map[*redistest.Server]session.Session) // one session on each
	for len(of) < len(masters) {
		s := written(t, st)
		of[set.MasterOf(t, "session:"+s.ID())] = s
	}
	for _, master := range masters {
		const writes = 30
		var used []func() redistest.Stats
		for _, node := range masters {
			used = append(used, redistest.Commands(t, node))
		}
		for n := range writes {
			if err := of[master].Set(t.Context(), "a", n); err != nil {
				t.Fatalf("Set: %v", err)
			}
		}
		for i, node := range masters {
			want := int64(0)
			if node == master {
				want = writes
			}
			if stats := used[i](); stats["wait"].Calls != want || stats["evalsha"].Calls != want {
				t.Errorf("WAIT %d times, EVALSHA %d times, want %d", stats["wait"].Calls, stats["evalsha"].Calls, want)
			}
		}
	}
	// Nobody else's acknowledgement counts.
	paused := replicaOf(t, set, masters[0])
	paused.Pause()
	defer paused.Resume()
	if err := of[masters[1]].Set(t.Context(), "a", "b"); err != nil {
		t.Errorf("beside the replica of another master: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := of[masters[0]].Set(ctx, "a", "b"); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("without its replica: %v", err)
	}
}

// A pipeline cannot repair NOSCRIPT by itself.
func TestWaitUnknownScript(t *testing.T) {
	t.Parallel()
	st, master, replica := replicated(t)
	for _, d := range everyWrite() {
		s := written(t, st)
		master.MustDo(t, "SCRIPT", "FLUSH")
		used := redistest.Commands(t, master)
		if err := d.do(t.Context(), st, s, 7); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		stats := used()
		want := int64(1)
		if d.name == "Login" || d.name == "RemoveUserSessions" {
			want = 2
		}
		if d.name != "Remove" && (stats["evalsha"].Calls != want || stats["eval"].Calls != want) {
			t.Errorf("%s: EVALSHA %d times, EVAL %d times", d.name, stats["evalsha"].Calls, stats["eval"].Calls)
		}
		key := "session:" + s.ID()
		if a, b := master.MustDo(t, "HLEN", key), replica.MustDo(t, "HLEN", key); a != b {
			t.Errorf("%s: the replica has %v fields of %v", d.name, b, a)
		}
	}
}

// A slot that has moved to another master takes writes there, once.
func TestWaitMoved(t *testing.T) {
	t.Parallel()
	set, st := onCluster(t)
	st.Prefix = "{moved}:" // one slot
	var writers, poppers []session.Session
	for range 4 {
		s := written(t, st)
		if err := s.Set(t.Context(), "n", 0); err != nil {
			t.Fatal(err)
		}
		writers, poppers = append(writers, s), append(poppers, written(t, st))
	}
	old := set.MasterOf(t, st.Prefix)
	successor := replicaOf(t, set, old)
	successor.MustDo(t, "CLUSTER", "FAILOVER")
	await(t, "the failover", func() bool {
		return role(successor) == "master" && role(old) == "slave" && old.Info(t, "replication")["master_link_status"] == "up"
	})
	// Nobody has told the client yet.
	for i, s := range writers {
		if err := session.Update(t.Context(), s, "n", func(old any) (any, error) { return old.(int) + 1, nil }); err != nil {
			t.Errorf("Update: %v", err)
		}
		if v, err := session.Pop(t.Context(), poppers[i], "a"); v != 1 || err != nil {
			t.Errorf("Pop: %v, %v", v, err)
		}
		if err := s.Set(t.Context(), "b", 3); err != nil {
			t.Errorf("Set: %v", err)
		}
	}
	if err := st.Remove(t.Context(), poppers[0].ID()); err != nil {
		t.Errorf("Remove: %v", err)
	}
	for _, s := range writers {
		now := open(t, st, session.Token(s))
		for key, want := range map[string]any{"n": 1, "b": 3} {
			if v, err := now.Get(t.Context(), key); v != want || err != nil {
				t.Errorf("%s is %v, %v, want %v", key, v, err, want)
			}
		}
	}
}

// What must not be done twice is not sent twice when its reply is lost, also
// before a WAIT.
func TestWaitSendsOnce(t *testing.T) {
	t.Parallel()
	st, master, _ := replicated(t)
	proxy := redistest.NewProxy(t, master.Addr)
	proxy.Match(redistest.Named("evalsha", "eval"))
	lossy := &redis.Store{
		Client: newClient(t, "redis://"+proxy.Addr+patient+"&max_retries=3"), WaitReplicas: 1, OpTimeout: patience,
	}
	again := []string{"Rotate", "Bind", "Prove", "Refresh", "Login", "RemoveUserSessions"} // makes no difference
	for _, d := range everyWrite() {
		if d.name == "Remove" {
			continue // no script
		}
		s := open(t, lossy, session.Token(written(t, st)))
		used := redistest.Commands(t, master)
		proxy.LoseReply(1)
		err := d.do(t.Context(), lossy, s, 7)
		if slices.Contains(again, d.name) {
			if err != nil {
				t.Errorf("%s: %v", d.name, err)
			}
			continue
		}
		if err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: %v, want that the reply is lost", d.name, err)
		}
		if d.name == "Login from nothing" {
			continue // another script ends what nobody got, see TestLostReplies
		}
		if stats := used(); stats["evalsha"].Calls != 1 || stats["eval"].Calls != 0 {
			t.Errorf("%s: sent %d times", d.name, stats["evalsha"].Calls+stats["eval"].Calls)
		}
	}
}
