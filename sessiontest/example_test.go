package sessiontest_test

import (
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// The conformance test of a store, in a test of its own package.
func ExampleTestStore() {
	_ = func(t *testing.T) { // func TestConformance(t *testing.T)
		sessiontest.TestStore(t, sessiontest.Harness{
			New: func(*testing.T) session.Store {
				return &memory.Store{IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour}
			},
			Idle:         time.Minute,
			Absolute:     time.Hour,
			Capabilities: sessiontest.AllCapabilities,
		})
	}
	// Output:
}

// What an application does when its store fails at the second call.
func ExampleFaultStore() {
	_ = session.Manager{
		Store: &sessiontest.FaultStore{
			Store: &memory.Store{},
			Plan: func(c sessiontest.Call) sessiontest.Fault {
				if c.N == 2 {
					return sessiontest.FailAfter // done, but the answer is lost
				}
				return sessiontest.None
			},
		},
	}
	// Output:
}
