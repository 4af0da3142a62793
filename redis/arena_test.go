package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// An arena is a Redis, alone or a cluster, on which much happens at once. Tests share the
// servers: nobody may stop one, or use keys outside the prefix of a store.
type arena struct {
	client  goredis.UniversalClient
	servers []*redistest.Server // the masters
}

// everywhere runs a test on one server and on a Cluster.
func everywhere(t *testing.T, run func(t *testing.T, a *arena)) {
	t.Helper()
	t.Run("standalone", func(t *testing.T) {
		t.Parallel()
		server := sharedServer()
		run(t, &arena{newClient(t, "redis://"+server.Addr+patient), []*redistest.Server{server}})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		set := sharedCluster()
		run(t, &arena{newClient(t, "redis+cluster://"+strings.Join(set.Addrs(), ",")+patient), set.Nodes[:3]})
	})
}

var (
	sharedServer  = sync.OnceValue(func() *redistest.Server { return redistest.Start(redistest.Shared()) })
	sharedCluster = sync.OnceValue(func() *redistest.ClusterSet {
		return redistest.StartCluster(redistest.Shared(), time.Hour) // nothing fails over
	})

	// arenaStores gives each store a prefix of its own.
	arenaStores atomic.Int64
)

// A crowd waits for connections and for a busy machine, it does not give up.
const (
	patience = 30 * time.Second
	patient  = "?pool_size=64&pool_timeout=30s&dial_timeout=30s&read_timeout=30s&write_timeout=30s"
)

// store returns an empty store on the arena.
func (a *arena) store(idle time.Duration) *redis.Store {
	return &redis.Store{
		Client: a.client, Prefix: fmt.Sprintf("race%d:", arenaStores.Add(1)),
		IdleTimeout: idle, OpTimeout: patience,
	}
}

// keys returns how many keys a store has, and which of them would stay for ever.
// Each server looks in one step.
func (a *arena) keys(st *redis.Store) (n int, forever []any, err error) {
	const look = `
		local forever = {}
		local keys = redis.call('KEYS', ARGV[1])
		for _, key in ipairs(keys) do
			if redis.call('PTTL', key) == -1 then forever[#forever + 1] = key end
		end
		return {#keys, forever}`
	for _, server := range a.servers {
		reply, err := server.Do("EVAL", look, 0, st.Prefix+"*")
		if err != nil {
			return 0, nil, err
		}
		found := reply.([]any)
		n += int(found[0].(int64))
		forever = append(forever, found[1].([]any)...)
	}
	return n, forever, nil
}

func generate(tb testing.TB, st *redis.Store) session.Session {
	tb.Helper()
	s, err := st.Generate(tb.Context(), uuid.NewString())
	if err != nil {
		tb.Fatalf("Generate: %v", err)
	}
	return s
}

// open loads a session as another request does.
func open(tb testing.TB, st *redis.Store, token string) session.Session {
	tb.Helper()
	s, err := st.Open(tb.Context(), token)
	if err != nil {
		tb.Fatalf("Open: %v", err)
	}
	return s
}

// atOnce calls f n times at once.
func atOnce(n int, f func(i int)) {
	var ready, all sync.WaitGroup
	ready.Add(n)
	for i := range n {
		all.Go(func() {
			ready.Done()
			ready.Wait()
			f(i)
		})
	}
	all.Wait()
}

// role returns what a server is: master, slave, sentinel; nothing if it does not
// answer.
func role(server *redistest.Server) string {
	reply, err := server.Do("ROLE")
	if err != nil {
		return ""
	}
	return fmt.Sprint(reply.([]any)[0])
}

// await waits for something that the servers do.
func await(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("never: %s", what)
		}
	}
}

// replicaOf returns the replica of a master that has not failed over yet.
func replicaOf(tb testing.TB, set *redistest.ClusterSet, master *redistest.Server) *redistest.Server {
	tb.Helper()
	i := slices.Index(set.Nodes, master)
	if i < 0 || i > 2 {
		tb.Fatal("not a master of the start")
	}
	return set.Nodes[i+3]
}
