package memory_test

import (
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

func TestConformance(t *testing.T) {
	for _, h := range []sessiontest.Harness{
		{Idle: 30 * time.Minute, Absolute: 12 * time.Hour},
		{Idle: 50 * time.Millisecond, Absolute: 400 * 24 * time.Hour / 10_000},
	} {
		h.New = func(*testing.T) session.Store {
			return &memory.Store{IdleTimeout: h.Idle, AbsoluteTimeout: h.Absolute}
		}
		h.Capabilities = sessiontest.AllCapabilities
		t.Run(h.Idle.String(), func(t *testing.T) { sessiontest.TestStore(t, h) })
	}
}
