package redis_test

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/internal/servertest"
	"github.com/mist-contrib/session/redis"
	"github.com/mist-contrib/session/sessiontest"
)

var realTime = flag.Bool("realtime", runtime.GOOS != "linux", "whether TestConformance waits for deadlines, and does not set clocks")

// TestConformance runs the suite on every server that is found, alone and as a
// cluster. The clocks of the servers are set, so that no rule waits long.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, binary := range redistest.Binaries(t) {
		t.Run(binary.Name, func(t *testing.T) {
			t.Parallel()
			var server *redistest.Server
			if *realTime {
				server = binary.Start(t)
			} else {
				server = binary.StartSkewed(t, 0)
			}
			conforms(t, newClient(t, "redis://"+server.Addr), server.Server)
		})
		t.Run(binary.Name+" cluster", func(t *testing.T) {
			t.Parallel()
			set := binary.StartCluster(t, 1000*time.Hour, "--repl-timeout", "1000000") // longer than time leaps
			nodes := make([]*servertest.Server, len(set.Nodes))
			for i, node := range set.Nodes {
				nodes[i] = node.Server
			}
			conforms(t, newClient(t, "redis+cluster://"+strings.Join(set.Addrs(), ",")), nodes...)
		})
	}
}

// conforms runs the suite. The slack is for the time that calls take; TestDifferentialInTime
// compares deadlines to the millisecond.
func conforms(t *testing.T, client goredis.UniversalClient, servers ...*servertest.Server) {
	t.Helper()
	var leaps servertest.Leaps
	var now time.Time // in real time, what a rule takes it for: the time that its calls take does not add up
	h := sessiontest.Harness{
		Idle: 30 * time.Minute, Absolute: 2 * time.Hour, Slack: 10 * time.Second,
		Advance: func(d time.Duration) {
			leaps.Advance(d, servers...)
		},
		Capabilities: sessiontest.AllCapabilities,
		Goroutines:   20, // those of other tests; TestFaults… counts exactly
	}
	if *realTime {
		h.Idle, h.Absolute, h.Slack = 4900*time.Millisecond, 4*4900*time.Millisecond, 490*time.Millisecond
		h.Advance = func(d time.Duration) {
			if now.IsZero() {
				now = time.Now()
			}
			now = now.Add(d)
			time.Sleep(time.Until(now))
		}
	}
	var stores atomic.Int64
	h.New = func(*testing.T) session.Store {
		now = time.Time{}
		return leaps.Store(&redis.Store{
			Client: client, Prefix: fmt.Sprintf("%d:", stores.Add(1)), OpTimeout: 5 * time.Second,
			IdleTimeout: h.Idle, AbsoluteTimeout: h.Absolute,
		})
	}
	sessiontest.TestStore(t, h)
}
