package redistest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/servertest"
)

const (
	sentinelName = "redistest"
	sentinels    = 3
	quorum       = 2
)

// A SentinelSet is a master, a replica, and three sentinels that watch them.
type SentinelSet struct {
	Name      string    // the name by which clients ask for the master
	Master    *Server   // the master at the start
	Replica   *Server   // its replica at the start
	Sentinels []*Server // two of them must agree
}

// StartSentinel starts a master, a replica and sentinels, and returns when they can survive
// the loss of the master. A server counts as down after downAfter without an answer. config
// is for the master and the replica. The start takes 200 ms.
func StartSentinel(tb testing.TB, downAfter time.Duration, config ...string) *SentinelSet {
	tb.Helper()
	return theBinary(tb).StartSentinel(tb, downAfter, config...)
}

// StartSentinel starts servers of this binary, like the function StartSentinel.
func (b Binary) StartSentinel(tb testing.TB, downAfter time.Duration, config ...string) *SentinelSet {
	tb.Helper()
	set := &SentinelSet{
		Name:    sentinelName,
		Master:  b.Start(tb, config...),
		Replica: b.Start(tb, config...),
	}
	// A command, not an argument: after a Restart, an argument would make the server a replica
	// of the first master again, against the decision of the sentinels.
	host, port := set.Master.hostPort()
	set.Replica.MustDo(tb, "REPLICAOF", host, port)
	set.Replica.MustDo(tb, "CONFIG", "REWRITE")
	eventually(tb, set.Replica.linked)
	eventually(tb, set.Master.replicated)
	for attempt := 1; set.Sentinels == nil; attempt++ {
		err := set.startSentinels(tb, b, downAfter)
		if err != nil && (!errors.Is(err, servertest.ErrPortTaken) || attempt == startAttempts) {
			tb.Fatal(err)
		}
	}
	// The first sentinel started before the others and would look for them again after a
	// second. Before Redis 7.0 this period is fixed.
	period := func(ms int) {
		for _, s := range set.Sentinels {
			_, _ = s.Do("SENTINEL", "DEBUG", "PING-PERIOD", ms)
		}
	}
	period(50)
	for _, s := range set.Sentinels {
		eventually(tb, s.watching)
	}
	period(1000)
	return set
}

// Addrs returns the addresses of the sentinels.
func (s *SentinelSet) Addrs() []string { return addrs(s.Sentinels) }

// startSentinels starts sentinels that know each other and the replica. Otherwise they need
// two seconds to find each other, and cannot agree on a failover before.
func (s *SentinelSet) startSentinels(tb testing.TB, b Binary, downAfter time.Duration) error {
	tb.Helper()
	var (
		ports    [sentinels]int
		ids      [sentinels]string
		releases [sentinels]func()
		started  []*Server
	)
	for i := range sentinels {
		port, release, err := servertest.TakePort()
		if err != nil {
			return err
		}
		tb.Cleanup(release)
		ports[i], releases[i] = port, release
		id := make([]byte, 20)
		_, _ = rand.Read(id) // never fails
		ids[i] = hex.EncodeToString(id)
	}
	for i := range sentinels {
		conf := &strings.Builder{}
		line := func(format string, args ...any) { fmt.Fprintf(conf, "sentinel "+format+"\n", args...) }
		masterHost, masterPort := s.Master.hostPort()
		replicaHost, replicaPort := s.Replica.hostPort()
		line("myid %s", ids[i])
		line("monitor %s %s %s %d", s.Name, masterHost, masterPort, quorum)
		line("down-after-milliseconds %s %d", s.Name, downAfter.Milliseconds())
		// Sentinels retry a failover after twice this time.
		line("failover-timeout %s %d", s.Name, max(4*downAfter, 2*time.Second).Milliseconds())
		if s.Master.password != "" {
			line("auth-pass %s %s", s.Name, s.Master.password)
		}
		line("known-replica %s %s %s", s.Name, replicaHost, replicaPort)
		for j := range sentinels {
			if j != i {
				line("known-sentinel %s 127.0.0.1 %d %s", s.Name, ports[j], ids[j])
			}
		}
		server, err := b.startOn(tb, ports[i], plan{args: []string{"--sentinel"}, conf: conf.String()})
		if err != nil {
			for _, s := range started {
				s.Kill()
			}
			for _, release := range releases {
				release()
			}
			return err
		}
		tb.Cleanup(server.Kill)
		started = append(started, server)
	}
	s.Sentinels = started
	return nil
}

// watching checks that a sentinel sees the other sentinels, and the replica with a link to
// its master.
func (s *Server) watching() error {
	replicas, err := s.sentinelFields("REPLICAS")
	if err != nil {
		return err
	}
	if len(replicas) != 1 || replicas[0]["flags"] != "slave" || replicas[0]["master-link-status"] != "ok" {
		return fmt.Errorf("sentinel %s does not see the replica yet", s.Addr)
	}
	others, err := s.sentinelFields("SENTINELS")
	if err != nil {
		return err
	}
	for _, other := range others {
		if other["flags"] != "sentinel" {
			return fmt.Errorf("sentinel %s: another is %s", s.Addr, other["flags"])
		}
	}
	if len(others) != sentinels-1 {
		return fmt.Errorf("sentinel %s sees %d others", s.Addr, len(others))
	}
	return nil
}

// sentinelFields asks a sentinel for its REPLICAS or SENTINELS.
func (s *Server) sentinelFields(of string) ([]map[string]string, error) {
	reply, err := s.Do("SENTINEL", of, sentinelName)
	if err != nil {
		return nil, err
	}
	list, _ := reply.([]any)
	all := make([]map[string]string, len(list))
	for i, item := range list {
		all[i] = make(map[string]string)
		pairs, _ := item.([]any)
		for k := 0; k+1 < len(pairs); k += 2 {
			key, _ := pairs[k].(string)
			all[i][key], _ = pairs[k+1].(string)
		}
	}
	return all, nil
}
