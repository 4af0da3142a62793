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
			conforms(t, newClient(t, "redis://"+server.Addr), server)
		})
		t.Run(binary.Name+" cluster", func(t *testing.T) {
			t.Parallel()
			set := binary.StartCluster(t, time.Hour) // longer than time leaps
			conforms(t, newClient(t, "redis+cluster://"+strings.Join(set.Addrs(), ",")), set.Nodes...)
		})
	}
}

// conforms runs the suite. A wait of less than a second passes for this process too,
// because a login says when its check began by the clock here.
func conforms(t *testing.T, client goredis.UniversalClient, servers ...*redistest.Server) {
	t.Helper()
	// Long enough for the rules of many calls, and for a busy machine.
	const idle = 4900 * time.Millisecond
	h := sessiontest.Harness{Idle: idle, Absolute: 4 * idle, Slack: idle / 10}
	var now time.Time // what a rule takes it for: the time that its calls take does not add up
	var offset time.Duration
	h.Advance = func(d time.Duration) {
		if now.IsZero() {
			now = time.Now().Add(offset)
		}
		now = now.Add(d)
		left := time.Until(now) - offset
		if *realTime || d < time.Second {
			time.Sleep(left)
		} else if left > 0 {
			offset += left
			for _, server := range servers {
				server.SetClock(offset)
			}
		}
	}
	h.Goroutines = 20 // those of other tests; TestFaults… counts exactly
	h.Capabilities = sessiontest.AllCapabilities
	var stores atomic.Int64
	h.New = func(*testing.T) session.Store {
		now = time.Time{}
		return &redis.Store{
			Client: client, Prefix: fmt.Sprintf("%d:", stores.Add(1)), OpTimeout: 5 * time.Second,
			IdleTimeout: h.Idle, AbsoluteTimeout: h.Absolute,
		}
	}
	sessiontest.TestStore(t, h)
}
