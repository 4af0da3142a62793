package memory_test

import (
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// TestInterleavings explores what requests do to each other. Only one of them
// runs at a time, so the race detector has little to find, and makes it slow: with
// it long bursts are cut short.
func TestInterleavings(t *testing.T) {
	e := sessiontest.Explorer{
		New: func(*testing.T) session.Store {
			return &memory.Store{IdleTimeout: 30 * time.Minute, AbsoluteTimeout: 12 * time.Hour}
		},
		Idle: 30 * time.Minute,
	}
	if raceDetector {
		e.Limit = 25 // one step at a time, so the detector learns little here
	}
	sessiontest.Explore(t, e)
}
