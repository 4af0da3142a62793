package redis_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// The least that the user of a store must be allowed. docs/redis.md quotes it.
const (
	aclRest    = "resetchannels ~session:* -@all"
	aclServer  = "+eval +evalsha +exists +get +hdel +hget +hgetall +hkeys +hmget +hset +hstrlen +pexpire +pexpireat +pttl +set +time +unlink +zadd +zcount +zrangebyscore +zrem +zrevrange +zrevrangebyscore +zscore"
	aclCluster = aclServer + aclMoving + " +cluster|slots"
	aclMoving  = " +asking"          // for slots that migrate
	aclSelect  = "+select"           // for a database other than 0
	aclWait    = "+wait"             // for WaitReplicas
	aclCheck   = "+info +config|get" // for CheckServer
)

func TestACLIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		" " + aclRest + " " + aclServer + "\n", " " + aclRest + " " + aclCluster + "\n",
		"`" + aclSelect + "`", "`" + aclWait + "`", "`" + aclCheck + "`",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/redis.md does not have %q", want)
		}
	}
}

// An aclCase is a way to Redis for users who may do no more than they must.
type aclCase struct {
	name     string
	servers  []*redistest.Server
	url      func(user string) string
	commands string
	replicas int
	ids      []string // of the sessions to use
	version  string   // of the servers
}

func TestACL(t *testing.T) {
	t.Parallel()
	for _, binary := range redistest.Binaries(t) {
		for name, start := range map[string]func(*testing.T, redistest.Binary) []aclCase{
			"server": aclOfServer, "sentinel": aclOfSentinel, "cluster": aclOfCluster,
		} {
			t.Run(binary.Name+" "+name, func(t *testing.T) {
				t.Parallel()
				for _, c := range start(t, binary) {
					t.Run(c.name, c.check)
				}
			})
		}
	}
}

func aclOfServer(t *testing.T, binary redistest.Binary) []aclCase {
	t.Helper()
	s := binary.Start(t)
	servers := []*redistest.Server{s}
	return []aclCase{
		{"alone", servers, aclURL("redis", s.Addr), aclServer, 0, someIDs(1), binary.Version},
		{"database", servers, aclURL("redis", s.Addr+"/1"), aclServer + " " + aclSelect, 0, someIDs(1), binary.Version},
	}
}

func aclOfSentinel(t *testing.T, binary redistest.Binary) []aclCase {
	t.Helper()
	set := binary.StartSentinel(t, 10*time.Second) // nothing fails over
	servers := []*redistest.Server{set.Master, set.Replica}
	url := aclURL("redis+sentinel", strings.Join(set.Addrs(), ",")+"/"+set.Name)
	return []aclCase{
		{"master", servers, url, aclServer, 0, someIDs(1), binary.Version},
		{"replicas", servers, url, aclServer + " " + aclWait, 1, someIDs(1), binary.Version},
	}
}

func aclOfCluster(t *testing.T, binary redistest.Binary) []aclCase {
	t.Helper()
	set := binary.StartCluster(t, nodeTimeout)
	url := aclURL("redis+cluster", strings.Join(set.Addrs(), ","))
	moving, ids := migrating(t, set)
	return []aclCase{
		{"masters", set.Nodes, url, aclCluster, 0, append(someIDs(6), moving), binary.Version},
		{"replicas", set.Nodes, url, strings.Replace(aclCluster, aclMoving, "", 1) + " " + aclWait, 1, ids, binary.Version}, // none of their slots does
	}
}

func aclURL(scheme, rest string) func(user string) string {
	return func(user string) string { return scheme + "://" + user + ":secret@" + rest }
}

func someIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = uuid.NewString()
	}
	return ids
}

// migrating returns the id of a session whose slot is on its way to another
// master, so that a new key of it is there already, and ids of other slots.
func migrating(t *testing.T, set *redistest.ClusterSet) (id string, others []string) {
	t.Helper()
	id = uuid.NewString()
	slotOf := func(id string) any { return set.Nodes[0].MustDo(t, "CLUSTER", "KEYSLOT", "session:"+id) }
	slot, from, to := slotOf(id), set.MasterOf(t, "session:"+id), set.Nodes[0]
	if to == from {
		to = set.Nodes[1]
	}
	to.MustDo(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.MustDo(t, "CLUSTER", "MYID"))
	from.MustDo(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.MustDo(t, "CLUSTER", "MYID"))
	return id, slices.DeleteFunc(someIDs(6), func(other string) bool { return slotOf(other) == slot })
}

// check shows that the commands of a case suffice, that no other key is open, and
// that each command is needed.
func (c aclCase) check(t *testing.T) {
	commands := strings.Fields(c.commands)
	st := c.store(t, "all", commands)
	if err := c.use(t, st); err != nil {
		t.Fatalf("with the whole list: %v", err)
	}
	stranger := &redis.Store{Client: st.Client, Prefix: "other:"}
	for name, call := range everyCall(t.Context(), stranger, c.ids[0]) {
		if err := call(); !goredis.IsPermissionError(err) {
			t.Errorf("%s beside the prefix: got %v, want a refusal", name, err)
		}
	}
	for i, command := range commands {
		st := c.store(t, fmt.Sprint("without", i), slices.Delete(slices.Clone(commands), i, i+1))
		// What Redis says of a command in a script is not NOPERM in all versions.
		var refusal goredis.Error
		if err := c.use(t, st); !errors.As(err, &refusal) {
			t.Errorf("without %s: got %v, want a refusal", command, err)
		}
	}
}

// use does all that a store can do, with empty servers that know no script.
func (c aclCase) use(t *testing.T, st *redis.Store) error {
	t.Helper()
	for _, s := range c.servers {
		s.MustDo(t, "SCRIPT", "FLUSH")
		if _, err := s.Do("FLUSHALL"); err != nil && !strings.HasPrefix(err.Error(), "READONLY") {
			t.Fatal(err)
		}
	}
	for _, id := range c.ids {
		if err := doEverything(t.Context(), st, id); err != nil {
			return err
		}
	}
	return nil
}

// store returns the store of a new user.
func (c aclCase) store(t *testing.T, user string, commands []string) *redis.Store {
	t.Helper()
	args := []any{"ACL", "SETUSER", user, "on", ">secret"}
	for _, rule := range append(strings.Fields(aclRest), commands...) {
		if rule == "resetchannels" && strings.HasPrefix(c.version, "6.0.") {
			continue // channels were open to all
		}
		args = append(args, rule)
	}
	for _, s := range c.servers {
		s.MustDo(t, args...)
	}
	return &redis.Store{Client: newClient(t, c.url(user)), OpTimeout: 10 * time.Second, WaitReplicas: c.replicas}
}
