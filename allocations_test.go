//go:build !race

package session_test

import (
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session/internal/webtest"
)

// TestRequestAllocations keeps what a request allocates from growing unseen. The race detector
// allocates too.
func TestRequestAllocations(t *testing.T) {
	m, r := login(t)
	w, pooled := webtest.DiscardWriter{}, make(map[string]any) // mist hands UserValues on to the next request
	empty := 0.0
	for _, u := range usages(t, m, r) {
		got := testing.AllocsPerRun(200, func() {
			clear(w)
			err := u.handler(&mist.Context{
				Request: u.request, ResponseWriter: w, Keys: make(map[string]any), UserValues: pooled,
			})
			if err != nil {
				t.Errorf("%s: %v", u.name, err)
			}
		})
		if u.allocations == 0 {
			empty = got
		}
		if got -= empty; got > u.allocations {
			t.Errorf("%s: got %v allocations, want at most %v", u.name, got, u.allocations)
		}
	}
}
