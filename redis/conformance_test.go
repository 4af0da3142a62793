package redis_test

import (
	"fmt"
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

// TestConformance runs the suite on every server that is found, alone and as a
// cluster. Time is real here, so they run beside each other.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, binary := range redistest.Binaries(t) {
		t.Run(binary.Name, func(t *testing.T) {
			t.Parallel()
			server := binary.Start(t)
			conforms(t, newClient(t, "redis://"+server.Addr))
		})
		t.Run(binary.Name+" cluster", func(t *testing.T) {
			t.Parallel()
			set := binary.StartCluster(t, nodeTimeout)
			conforms(t, newClient(t, "redis+cluster://"+strings.Join(set.Addrs(), ",")))
		})
	}
}

func conforms(t *testing.T, client goredis.UniversalClient) {
	t.Helper()
	const idle = 4 * time.Second
	// Long enough for the rules of many calls, and for a busy machine.
	h := sessiontest.Harness{Idle: idle, Absolute: 4 * idle, Slack: idle / 10}
	var now time.Time // what a rule takes it for: the time that its calls take does not add up
	h.Advance = func(d time.Duration) {
		if now.IsZero() {
			now = time.Now()
		}
		now = now.Add(d)
		time.Sleep(time.Until(now))
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
