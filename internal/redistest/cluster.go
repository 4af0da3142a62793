package redistest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/servertest"
)

const (
	slots          = 16384
	clusterMasters = 3
)

// A ClusterSet is a cluster of three masters with one replica each.
type ClusterSet struct {
	Nodes []*Server // at the start, 0 to 2 are the masters and 3 to 5 their replicas
}

// StartCluster starts a cluster and returns when it can survive the loss of a master. A node
// counts as failed after nodeTimeout without an answer.
func StartCluster(tb testing.TB, nodeTimeout time.Duration, config ...string) *ClusterSet {
	tb.Helper()
	return theBinary(tb).StartCluster(tb, nodeTimeout, config...)
}

// StartCluster starts a cluster of this binary, like the function StartCluster.
func (b Binary) StartCluster(tb testing.TB, nodeTimeout time.Duration, config ...string) *ClusterSet {
	tb.Helper()
	args := append([]string{
		"--cluster-enabled", "yes",
		"--cluster-config-file", "nodes.conf",
		"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
		"--cluster-replica-validity-factor", "0",
		"--cluster-announce-ip", "127.0.0.1",
		"--cluster-require-full-coverage", "no",
	}, config...)
	c := &ClusterSet{}
	for range 2 * clusterMasters {
		c.Nodes = append(c.Nodes, b.mustStart(tb, plan{args: args, clock: servertest.CanSetClock()}))
	}
	c.form(tb)
	return c
}

// Addrs returns the addresses of all nodes.
func (c *ClusterSet) Addrs() []string { return addrs(c.Nodes) }

func addrs(servers []*Server) []string {
	var all []string
	for _, s := range servers {
		all = append(all, s.Addr)
	}
	return all
}

// form joins the nodes to a cluster.
func (c *ClusterSet) form(tb testing.TB) {
	tb.Helper()
	masters, replicas := c.Nodes[:clusterMasters], c.Nodes[clusterMasters:]
	for i, s := range masters {
		add := []any{"CLUSTER", "ADDSLOTS"}
		for slot := i * slots / clusterMasters; slot < (i+1)*slots/clusterMasters; slot++ {
			add = append(add, slot)
		}
		s.MustDo(tb, add...)
		s.MustDo(tb, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	if servertest.CanSetClock() {
		skipDelay(tb, masters)
	}
	c.meet(tb, c.Nodes) // gossip alone would take seconds
	for _, s := range c.Nodes {
		eventually(tb, s.knows(len(c.Nodes)))
	}
	for i, s := range replicas {
		s.MustDo(tb, "CLUSTER", "REPLICATE", masters[i].MustDo(tb, "CLUSTER", "MYID"))
	}
	c.meet(tb, replicas) // again: each now says whose replica it is
	for _, s := range c.Nodes {
		eventually(tb, s.covered)
	}
	for _, s := range replicas {
		eventually(tb, s.linked)
	}
	for _, s := range masters {
		eventually(tb, s.replicated)
	}
	// Until every node sees every replica, a failover may have no candidate. Without a link to its
	// master, a replica refuses CLUSTER FAILOVER.
	for _, s := range c.Nodes {
		eventually(tb, s.sees(clusterMasters))
	}
}

// meet makes some nodes say hello to all others.
func (c *ClusterSet) meet(tb testing.TB, nodes []*Server) {
	tb.Helper()
	for _, s := range nodes {
		for _, other := range c.Nodes {
			if other != s {
				host, port := other.hostPort()
				s.MustDo(tb, "CLUSTER", "MEET", host, port)
			}
		}
	}
}

// skipDelay lets masters with slots accept writes at once, which Redis refuses for two seconds
// after a start. It sets their clocks for a moment, before they know any other node.
func skipDelay(tb testing.TB, masters []*Server) {
	tb.Helper()
	for _, s := range masters {
		s.SetClock(2 * time.Second)
	}
	for _, s := range masters {
		eventually(tb, s.clusterOK)
		s.SetClock(0)
	}
}

// knows returns a check that the node has completed the handshake with all n nodes.
func (s *Server) knows(n int) func() error {
	return func() error {
		nodes, err := s.clusterNodes(callTimeout)
		if err != nil {
			return err
		}
		if len(nodes) != n || slices.ContainsFunc(nodes, clusterNode.shaking) {
			return fmt.Errorf("%s knows %d of %d nodes", s.Addr, len(nodes), n)
		}
		return nil
	}
}

// sees returns a check that the node knows n masters with one replica each, and reaches them.
func (s *Server) sees(n int) func() error {
	return func() error {
		nodes, err := s.clusterNodes(callTimeout)
		if err != nil {
			return err
		}
		count := make(map[string]int)
		for _, node := range nodes {
			count[node.master]++
			if !node.linked {
				return fmt.Errorf("%s has no link to a node", s.Addr)
			}
		}
		if len(count) != n+1 || count["-"] != n {
			return fmt.Errorf("%s does not see the replicas yet", s.Addr)
		}
		return nil
	}
}

func (s *Server) clusterOK() error { return s.clusterInfo(map[string]string{"cluster_state": "ok"}) }

// covered checks that the node knows a master of each slot. It would answer CLUSTERDOWN for
// the others.
func (s *Server) covered() error {
	return s.clusterInfo(map[string]string{"cluster_state": "ok", "cluster_slots_ok": strconv.Itoa(slots)})
}

// clusterInfo checks fields of CLUSTER INFO.
func (s *Server) clusterInfo(want map[string]string) error {
	reply, err := s.Do("CLUSTER", "INFO")
	if err != nil {
		return err
	}
	info, _ := reply.(string)
	got := parseInfo(info)
	for field, value := range want {
		if got[field] != value {
			return fmt.Errorf("%s: got %s:%s, want %s", s.Addr, field, got[field], value)
		}
	}
	return nil
}

// MasterOf returns the node that is now the master of a key's slot. If several nodes claim
// the slot, it returns the one elected last. While no node claims it, because the master was
// killed or paused, MasterOf waits for the next master.
func (c *ClusterSet) MasterOf(tb testing.TB, key string) *Server {
	tb.Helper()
	var master *Server
	eventually(tb, func() (err error) {
		master, err = c.masterOf(key)
		return err
	})
	return master
}

func (c *ClusterSet) masterOf(key string) (*Server, error) {
	const timeout = 500 * time.Millisecond // some node may be paused
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		master *Server
		epoch  = -1
	)
	for _, s := range c.Nodes {
		wg.Go(func() {
			slot, err := s.doIn(timeout, "CLUSTER", "KEYSLOT", key)
			if err != nil {
				return
			}
			nodes, err := s.clusterNodes(timeout)
			if err != nil {
				return
			}
			for _, node := range nodes {
				mu.Lock()
				if node.is("myself") && node.is("master") && node.epoch > epoch && node.has(slot) {
					master, epoch = s, node.epoch
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if master == nil {
		return nil, errors.New("no node is the master of the key's slot")
	}
	return master, nil
}

// A clusterNode is a line of CLUSTER NODES.
type clusterNode struct {
	flags  []string
	master string // the master's id, "-" for a master
	epoch  int
	linked bool     // whether the bus of the cluster reaches it
	slots  []string // 5, 7-9
}

func (s *Server) clusterNodes(timeout time.Duration) ([]clusterNode, error) {
	reply, err := s.doIn(timeout, "CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	text, _ := reply.(string)
	var nodes []clusterNode
	for line := range strings.Lines(text) {
		// id addr flags master ping-sent pong-received epoch link slot...
		f := strings.Fields(line)
		if len(f) < 8 {
			return nil, fmt.Errorf("CLUSTER NODES: %q", line)
		}
		epoch, err := strconv.Atoi(f[6])
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, clusterNode{strings.Split(f[2], ","), f[3], epoch, f[7] == "connected", f[8:]})
	}
	return nodes, nil
}

func (n clusterNode) is(flag string) bool { return slices.Contains(n.flags, flag) }

func (n clusterNode) shaking() bool { return n.is("handshake") }

func (n clusterNode) has(slot any) bool {
	want, _ := slot.(int64)
	return slices.ContainsFunc(n.slots, func(s string) bool {
		first, last, ranged := strings.Cut(s, "-")
		if !ranged {
			last = first
		}
		from, err1 := strconv.ParseInt(first, 10, 64)
		to, err2 := strconv.ParseInt(last, 10, 64)
		return err1 == nil && err2 == nil && from <= want && want <= to
	})
}
