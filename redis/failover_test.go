package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// A fleet is a Redis with a spare server.
type fleet struct {
	client          goredis.UniversalClient
	master, replica *redistest.Server        // of all sessions, at the start
	moved           func() bool              // whether all who are asked for the master name another
	notice          func(down time.Duration) // after how long of silence a server counts as down
}

const (
	allOnOne  = "{siege}:" // makes all keys those of one slot
	downAfter = 500 * time.Millisecond
)

// calm makes silence no failure, until a disaster strikes: a busy machine is
// silent now and then, and only one failover is to be seen.
func (f *fleet) calm() *fleet {
	f.notice(2 * patience)
	return f
}

func sentinelFleet(tb testing.TB) *fleet {
	tb.Helper()
	return fleetOf(tb, redistest.StartSentinel(tb, downAfter))
}

// hastyFleet is one whose sentinels make an old master a replica in one second
// rather than in ten, where they can be told to (Redis 7).
func hastyFleet(tb testing.TB) *fleet {
	tb.Helper()
	set := redistest.StartSentinel(tb, downAfter)
	for _, s := range set.Sentinels {
		_, _ = s.Do("SENTINEL", "DEBUG", "PUBLISH-PERIOD", 100, "INFO-PERIOD", 500)
	}
	return fleetOf(tb, set).calm()
}

func fleetOf(tb testing.TB, set *redistest.SentinelSet) *fleet {
	tb.Helper()
	return &fleet{
		client: newClient(tb, "redis+sentinel://"+strings.Join(set.Addrs(), ",")+"/"+set.Name),
		master: set.Master, replica: set.Replica,
		moved: func() bool {
			for _, s := range set.Sentinels {
				reply, err := s.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", set.Name)
				if a, ok := reply.([]any); err != nil || !ok || fmt.Sprint(a[0], ":", a[1]) == set.Master.Addr {
					return false
				}
			}
			return true
		},
		notice: func(down time.Duration) {
			for _, s := range set.Sentinels {
				s.MustDo(tb, "SENTINEL", "SET", set.Name, "down-after-milliseconds", down.Milliseconds())
			}
		},
	}
}

// restlessFleet is a cluster that takes silence for a failure from the start.
func restlessFleet(tb testing.TB) *fleet {
	tb.Helper()
	set := redistest.StartCluster(tb, downAfter)
	f := &fleet{
		client: newClient(tb, "redis+cluster://"+strings.Join(set.Addrs(), ",")),
		master: set.MasterOf(tb, allOnOne),
		notice: noticeIn(set),
	}
	f.replica = replicaOf(tb, set, f.master)
	f.moved = func() bool { return role(f.replica) == "master" }
	return f
}

func noticeIn(set *redistest.ClusterSet) func(down time.Duration) {
	return func(down time.Duration) {
		for _, node := range set.Nodes {
			_, _ = node.Do("CONFIG", "SET", "cluster-node-timeout", down.Milliseconds()) // one may be dead
		}
	}
}

func clusterFleet(tb testing.TB) *fleet {
	tb.Helper()
	return restlessFleet(tb).calm()
}

// A disaster is what happens to a fleet. It ends with a new master.
type disaster struct {
	name   string
	fleet  func(tb testing.TB) *fleet
	wait   int // WaitReplicas
	strike func(tb testing.TB, f *fleet, s *siege)
}

// kill ends the master. It comes back, empty, where writes wait for a replica.
func kill(tb testing.TB, f *fleet, s *siege) {
	tb.Helper()
	f.notice(downAfter)
	f.master.Kill()
	await(tb, "another master", f.moved)
	f.calm()
	if s.store.WaitReplicas > 0 {
		f.master.Restart(tb)
	}
}

// killAhead ends a master that has made writes which its replica never gets.
func killAhead(tb testing.TB, f *fleet, s *siege) {
	tb.Helper()
	f.replica.Pause()
	f.master.MustDo(tb, "CLIENT", "KILL", "TYPE", "replica")
	if s.store.WaitReplicas > 0 {
		time.Sleep(100 * time.Millisecond) // nothing is acknowledged
	} else {
		s.awaitMore(5)
	}
	f.master.Kill()
	f.replica.Resume()
	kill(tb, f, s)
}

// stall stops the master for so long that it is replaced. It comes back and takes
// itself for the master still, until somebody tells it.
func stall(tb testing.TB, f *fleet, _ *siege) {
	tb.Helper()
	f.notice(downAfter)
	f.master.Pause()
	time.Sleep(4 * time.Second)
	await(tb, "another master", f.moved)
	f.calm()
	f.master.Resume()
	await(tb, "the old master is a replica", func() bool {
		return role(f.master) == "slave" && f.master.Info(tb, "replication")["master_link_status"] == "up"
	})
}

// run besieges a fleet while a disaster happens, and checks what must hold always.
func (d disaster) run(tb testing.TB) damage {
	tb.Helper()
	f := d.fleet(tb)
	s := besiege(tb, &redis.Store{Client: f.client, Prefix: allOnOne, WaitReplicas: d.wait})
	await(tb, "the replica has all sessions", func() bool {
		return f.replica.MustDo(tb, "DBSIZE") == int64(len(s.writers)+len(s.readers))
	})
	s.begin()
	s.awaitMore(10)
	d.strike(tb, f, s)
	struck := time.Now()
	await(tb, "all write and read again", func() bool {
		return since(s.writers, struck) == len(s.writers) && since(s.readers, struck) == len(s.readers)
	})
	time.Sleep(200 * time.Millisecond)
	harm := s.end()
	if harm.writes == 0 || harm.logouts == 0 || len(harm.errors) == 0 {
		tb.Error("nothing happened")
	}
	if harm.foreign != 0 || harm.strangers != 0 || harm.cookies != 0 {
		tb.Errorf("somebody was taken for somebody else, or logged out: %v", harm)
	}
	if lost := harm.lost + harm.undead + harm.unborn; d.wait > 0 && lost != 0 {
		tb.Errorf("acknowledged, and lost: %v", harm)
	}
	return harm
}

// What a failover does to visitors. Without WaitReplicas it may lose what was
// acknowledged; how much is only logged.
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, d := range []disaster{
		{"sentinel/kill", hastyFleet, 0, kill},
		{"sentinel/stall", hastyFleet, 0, stall},
		{"sentinel/stall, waiting", hastyFleet, 1, stall},
		{"cluster/kill", clusterFleet, 0, kill},
		// Of these writes the replica gets none for a while.
		{"sentinel/kill ahead, waiting", hastyFleet, 1, killAhead},
		{"cluster/kill ahead, waiting", clusterFleet, 1, killAhead},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			t.Log(d.run(t))
		})
	}
}

// Without WaitReplicas a failover loses what the replica did not have, and who
// has logged out is back. So a siege sees losses where there are some.
func TestFailoverLoses(t *testing.T) {
	t.Parallel()
	harm := disaster{"", hastyFleet, 0, killAhead}.run(t)
	if harm.lost == 0 || harm.undead == 0 {
		t.Errorf("nothing is lost: %v", harm)
	}
	t.Log(harm)
}

// A client with go-redis's defaults asks a cluster for its shape once a minute;
// the store asks it after every error of the network.
func TestClusterDeadMaster(t *testing.T) {
	t.Parallel()
	set := redistest.StartCluster(t, downAfter)
	notice := noticeIn(set)
	client := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: set.Addrs()})
	t.Cleanup(func() { _ = client.Close() })
	for prefix, use := range map[string]func(st *redis.Store, s session.Session) error{
		"{writes}:": func(_ *redis.Store, s session.Session) error { return s.Set(t.Context(), "key", 2) },
		"{reads}:": func(st *redis.Store, s session.Session) error {
			_, err := st.Open(t.Context(), session.Token(s))
			return err
		},
	} {
		notice(2 * patience)
		st := &redis.Store{Client: client, Prefix: prefix}
		s := written(t, st)
		master := set.MasterOf(t, prefix)
		spare := replicaOf(t, set, master)
		await(t, "the replica has the session", func() bool {
			return spare.MustDo(t, "DBSIZE") == master.MustDo(t, "DBSIZE")
		})
		notice(downAfter)
		master.Kill()
		start, err := time.Now(), use(st, s)
		for ; err != nil && time.Since(start) < patience; err = use(st, s) {
			if errors.Is(err, session.ErrNotFound) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			t.Fatalf("%s: %v after %v", prefix, err, time.Since(start))
		}
		t.Logf("%s: works again after %v", prefix, time.Since(start))
	}
}
