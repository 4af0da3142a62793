package memory_test

import (
	"flag"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

var limit = flag.Int("limit", 5, "how many orders of a burst TestInterleavings explores, at most; 0 for all")

// TestInterleavings explores what requests do to each other. Only one of them runs at a
// time, so the race detector finds little here. make test explores all orders without it.
func TestInterleavings(t *testing.T) {
	sessiontest.Explore(t, sessiontest.Explorer{
		New: func(*testing.T) session.Store {
			return &memory.Store{IdleTimeout: 30 * time.Minute, AbsoluteTimeout: 12 * time.Hour}
		},
		Idle:  30 * time.Minute,
		Limit: *limit,
	})
}
