package redistest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/internal/servertest"
)

func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, time.Second)
	if got := c.Addrs(); len(got) != 6 || got[5] != c.Nodes[5].Addr {
		t.Errorf("Addrs %v", got)
	}
	masters := make(map[*redistest.Server]bool)
	for i := range 20 {
		key := fmt.Sprint("key", i)
		s := c.MasterOf(t, key)
		masters[s] = true
		s.MustDo(t, "SET", key, i) // or it is MOVED
	}
	if len(masters) != 3 {
		t.Errorf("the keys are on %d nodes, want 3", len(masters))
	}

	old := c.MasterOf(t, "key")
	at := slices.Index(c.Nodes, old)
	old.Kill()
	heir := c.MasterOf(t, "key")
	if heir != c.Nodes[(at+3)%6] {
		t.Errorf("node %d took over from %d", slices.Index(c.Nodes, heir), at)
	}
	servertest.Until(t, "the new master accepts writes", func() bool {
		_, err := heir.Do("SET", "key", 1)
		return err == nil
	})
	old.Restart(t)
	servertest.Until(t, "the old master is a replica", func() bool { return old.Info(t, "replication")["role"] == "slave" })
	if got := c.MasterOf(t, "key"); got != heir {
		t.Errorf("node %d is the master now", slices.Index(c.Nodes, got))
	}
}

func TestMasterOfAPausedMaster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, time.Second)
	old := c.MasterOf(t, "key")
	old.Pause()
	heir := c.MasterOf(t, "key")
	if heir == old {
		t.Fatal("a paused node is the master")
	}
	old.Resume() // and believes to be the master, for a moment
	if got := c.MasterOf(t, "key"); got != heir {
		t.Error("the old master is believed")
	}
}

// A master that has not heard of its successor still claims its slots.
func TestMasterOfTwo(t *testing.T) {
	t.Parallel()
	var c redistest.ClusterSet
	for epoch := range 3 {
		s := redistest.Start(t, "--cluster-enabled", "yes")
		s.MustDo(t, "CLUSTER", "SET-CONFIG-EPOCH", 1+(epoch+1)%3) // 2, 3, 1
		s.MustDo(t, "CLUSTER", "ADDSLOTS", s.MustDo(t, "CLUSTER", "KEYSLOT", "key"))
		c.Nodes = append(c.Nodes, s)
	}
	for range 20 {
		if got := c.MasterOf(t, "key"); got != c.Nodes[1] {
			t.Fatalf("node %d is the master, and node 1 was elected last", slices.Index(c.Nodes, got))
		}
	}
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	set := redistest.StartSentinel(t, 500*time.Millisecond)
	if got := set.Addrs(); len(got) != 3 || got[2] != set.Sentinels[2].Addr {
		t.Errorf("Addrs %v", got)
	}
	master := func(s *redistest.Server) string {
		list, _ := s.MustDo(t, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", set.Name).([]any)
		return fmt.Sprintf("%v:%v", list...)
	}
	for _, s := range set.Sentinels {
		if got := master(s); got != set.Master.Addr {
			t.Errorf("the master is %s, want %s", got, set.Master.Addr)
		}
		s.MustDo(t, "SENTINEL", "CKQUORUM", set.Name)
		for _, of := range []string{"REPLICAS", "SENTINELS"} {
			if got := fmt.Sprint(s.MustDo(t, "SENTINEL", of, set.Name)); strings.Contains(got, "disconnected") {
				t.Errorf("a sentinel does not reach all %s: %s", of, got)
			}
		}
	}
	set.Replica.Restart(t)
	if got := set.Replica.Info(t, "replication")["role"]; got != "slave" {
		t.Errorf("restarted, the replica is a %s", got)
	}
	set.Master.MustDo(t, "SET", "k", 1)
	servertest.Until(t, "the replica has the write", func() bool { return set.Replica.MustDo(t, "GET", "k") == "1" })
	set.Master.Kill()
	for _, s := range set.Sentinels {
		servertest.Until(t, "the replica is the master", func() bool { return master(s) == set.Replica.Addr })
	}
	if got := set.Replica.MustDo(t, "GET", "k"); got != "1" {
		t.Errorf("k is %v", got)
	}
	set.Replica.MustDo(t, "SET", "k", 2) // a master takes it
	set.Replica.Restart(t)
	if got := set.Replica.Info(t, "replication")["role"]; got != "master" {
		t.Errorf("restarted, the new master is a %s", got)
	}
}
