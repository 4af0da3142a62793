package redis_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// allFindings are those that CheckServer can have.
func allFindings() []error {
	return []error{redis.ErrUnreachable, redis.ErrTooOld, redis.ErrEvicts, redis.ErrSnapshots, redis.ErrReplica, redis.ErrUnknown}
}

// wantFindings checks that an error of CheckServer has these findings and no
// others, each once.
func wantFindings(t *testing.T, err error, want ...error) {
	t.Helper()
	for _, finding := range allFindings() {
		if got := errors.Is(err, finding); got != slices.Contains(want, finding) {
			t.Errorf("%v: got %v, of %v", finding, got, err)
		}
	}
	var got []error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		got = joined.Unwrap()
	}
	if len(got) != len(want) {
		t.Errorf("got %d findings, want %d: %v", len(got), len(want), err)
	}
}

// checkAt asks the server at the end of a URL.
func checkAt(t *testing.T, url string) error {
	t.Helper()
	return (&redis.Store{Client: newClient(t, url), OpTimeout: 10 * time.Second}).CheckServer(t.Context())
}

func TestCheckServer(t *testing.T) {
	t.Parallel()
	const evicts, saves, appends, replica = "CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET save 3600_1", "CONFIG SET appendonly yes", "REPLICAOF 127.0.0.1 1"
	for name, c := range map[string]struct {
		commands []string
		want     []error
	}{
		"clean":            {nil, nil},
		"evicts":           {[]string{evicts}, []error{redis.ErrEvicts}},
		"evicts volatile":  {[]string{"CONFIG SET maxmemory-policy volatile-ttl"}, []error{redis.ErrEvicts}},
		"snapshots":        {[]string{saves}, []error{redis.ErrSnapshots}},
		"append-only file": {[]string{appends}, nil},
		"both":             {[]string{appends, saves}, nil},
		"replica":          {[]string{replica}, []error{redis.ErrReplica}},
		"all together":     {[]string{evicts, saves, replica}, []error{redis.ErrEvicts, redis.ErrSnapshots, redis.ErrReplica}},
	} {
		for _, binary := range redistest.Binaries(t) {
			t.Run(name+" "+binary.Name, func(t *testing.T) {
				t.Parallel()
				s, want := binary.Start(t), c.want
				for _, command := range c.commands {
					var args []any
					for word := range strings.FieldsSeq(command) {
						args = append(args, strings.ReplaceAll(word, "_", " "))
					}
					s.MustDo(t, args...)
				}
				if strings.HasPrefix(binary.Version, "6.0.") {
					want = append([]error{redis.ErrTooOld}, want...)
				}
				wantFindings(t, checkAt(t, "redis://"+s.Addr), want...)
			})
		}
	}
}

func TestCheckServerSentinel(t *testing.T) {
	t.Parallel()
	set := redistest.StartSentinel(t, 10*time.Second)
	url := "redis+sentinel://" + strings.Join(set.Addrs(), ",") + "/" + set.Name
	wantFindings(t, checkAt(t, url))
	wantFindings(t, checkAt(t, "redis://"+set.Replica.Addr), redis.ErrReplica)
	set.Master.MustDo(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
	wantFindings(t, checkAt(t, url), redis.ErrEvicts)
}

func TestCheckServerCluster(t *testing.T) {
	t.Parallel()
	set := redistest.StartCluster(t, 30*time.Second) // nothing fails over
	client := newClient(t, "redis+cluster://"+strings.Join(set.Addrs(), ","))
	st := &redis.Store{Client: client, OpTimeout: 10 * time.Second}
	check := func(want ...error) error {
		t.Helper()
		err := st.CheckServer(t.Context())
		wantFindings(t, err, want...)
		return err
	}
	_ = check()

	for i := range 3 { // of the masters
		bad := set.Nodes[i]
		bad.MustDo(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
		bad.MustDo(t, "CONFIG", "SET", "save", "60 1000")
		text := check(redis.ErrEvicts, redis.ErrSnapshots).Error()
		for _, node := range set.Nodes {
			if got := strings.Count(text, node.Addr); node == bad && got != 2 || node != bad && got != 0 {
				t.Errorf("master %d is bad: %s is named %d times in %q", i, node.Addr, got, text)
			}
		}
		bad.MustDo(t, "CONFIG", "SET", "maxmemory-policy", "noeviction")
		bad.MustDo(t, "CONFIG", "SET", "save", "")
	}
	set.Nodes[4].MustDo(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru") // a replica
	_ = check()

	// A master that is gone does not hide what is wrong with another.
	set.Nodes[0].MustDo(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	set.Nodes[2].Pause()
	began := time.Now()
	_ = check(redis.ErrEvicts, redis.ErrUnreachable)
	if took := time.Since(began); took > 5*time.Second { // go-redis gives up after a second, twice
		t.Errorf("one master does not answer: took %v", took)
	}
	set.Nodes[2].Resume()
	set.Nodes[2].Kill()
	_ = check(redis.ErrEvicts, redis.ErrUnreachable)
}

// checkUser makes a user of a server and returns the URL of a client that is it.
func checkUser(t *testing.T, s *redistest.Server, commands string) (url string) {
	t.Helper()
	args := []any{"ACL", "SETUSER", secretUser, "reset", "on", ">" + secretPassword}
	for rule := range strings.FieldsSeq("~session:* -@all " + commands) {
		args = append(args, rule)
	}
	s.MustDo(t, args...)
	return "redis://" + secretUser + ":" + secretPassword + "@" + s.Addr
}

// wantNoSecret checks that an error tells neither the user nor the password.
func wantNoSecret(t *testing.T, err error) {
	t.Helper()
	if err != nil && (strings.Contains(err.Error(), secretUser) || strings.Contains(err.Error(), secretPassword)) {
		t.Errorf("a secret is in the error: %v", err)
	}
}

func TestCheckServerACL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, commands string
		config         []string
		want           []error
	}{
		{"documented", aclServer + " " + aclCheck, nil, nil},
		{"documented, bad", aclServer + " " + aclCheck, []string{"--save", "60 1"}, []error{redis.ErrSnapshots}},
		{"no CONFIG", aclServer + " +info", []string{"--save", "60 1"}, []error{redis.ErrUnknown}},
		{"no CONFIG, no snapshots", aclServer + " +info", nil, []error{redis.ErrUnknown}},
		{"no CONFIG, but an append-only file", aclServer + " +info", []string{"--appendonly", "yes"}, nil},
		{"no CONFIG, but INFO knows", aclServer + " +info", []string{"--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"}, []error{redis.ErrEvicts}},
		{"no INFO", aclServer + " +config|get", nil, []error{redis.ErrUnknown}},
		{"neither", aclServer, nil, []error{redis.ErrUnknown}},
		{"no sessions", aclCheck, nil, []error{redis.ErrUnreachable}},
		{"nothing", "", nil, []error{redis.ErrUnknown, redis.ErrUnreachable}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := checkUser(t, redistest.Start(t, c.config...), c.commands)
			err := checkAt(t, url)
			wantFindings(t, err, c.want...)
			wantNoSecret(t, err)
			if slices.Contains(c.want, redis.ErrUnknown) && !goredis.IsPermissionError(err) {
				t.Errorf("got %v, want that it matches the refusal, too", err)
			}
		})
	}
}

func TestCheckServerClusterACL(t *testing.T) {
	t.Parallel()
	set := redistest.StartCluster(t, nodeTimeout)
	for _, s := range set.Nodes {
		checkUser(t, s, aclCluster+" "+aclCheck)
	}
	url := "redis+cluster://" + secretUser + ":" + secretPassword + "@" + strings.Join(set.Addrs(), ",")
	wantFindings(t, checkAt(t, url))
	checkUser(t, set.Nodes[1], aclCluster+" +info")
	err := checkAt(t, url)
	wantFindings(t, err, redis.ErrUnknown)
	wantNoSecret(t, err)
	if !strings.Contains(err.Error(), set.Nodes[1].Addr) {
		t.Errorf("got %v, want the address of the node", err)
	}
	err = checkAt(t, "redis+cluster://"+secretUser+":wrong@"+set.Nodes[0].Addr)
	wantFindings(t, err, redis.ErrUnreachable)
	wantNoSecret(t, err)
}

// It asks no more than it must, and changes nothing, on a server and on each master
// of a cluster.
func TestCheckServerWritesNothing(t *testing.T) {
	t.Parallel()
	s, client := single(t)
	set, ofCluster := cluster(t)
	for name, c := range map[string]struct {
		client  goredis.UniversalClient
		servers []*redistest.Server
		want    map[string]int64
	}{
		"server":  {client, []*redistest.Server{s}, map[string]int64{"hgetall": 1, "config|get": 1}},
		"cluster": {ofCluster, set.Nodes, map[string]int64{"hgetall": 1, "config|get": 3, "cluster|slots": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := &redis.Store{Client: c.client, OpTimeout: 10 * time.Second}
			if err := st.CheckServer(t.Context()); err != nil { // connects
				t.Fatal(err)
			}
			state := func() (all []string) {
				for _, s := range c.servers {
					persistence, stats := s.Info(t, "persistence"), s.Info(t, "stats")
					all = append(all, persistence["rdb_changes_since_last_save"], stats["expired_keys"], s.Info(t, "keyspace")["db0"])
				}
				return all
			}
			before, count := state(), redistest.Commands(t, c.servers...)
			if err := st.CheckServer(t.Context()); err != nil {
				t.Fatal(err)
			}
			got := count()
			for name, stat := range got {
				aside := name == "replconf" || name == "ping" || name == "hello" || strings.HasPrefix(name, "client|") // replicas, and new connections
				if !aside && stat.Calls != c.want[name] {
					t.Errorf("%s: got %d calls, want %d", name, stat.Calls, c.want[name])
				}
			}
			for name := range c.want {
				if got[name].Calls == 0 {
					t.Errorf("%s: got no call", name)
				}
			}
			if after := state(); !slices.Equal(before, after) {
				t.Errorf("got %q, before it was %q", after, before)
			}
		})
	}
}
