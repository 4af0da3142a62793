// These tests run in one goroutine, and the race detector makes them ten times slower.

//go:build !race

package session_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
)

// Ids are unique, over a million of those that a Manager makes by itself.
func TestSeedUniqueIDs(t *testing.T) {
	const n = 1_000_000
	st := &idStore{ids: make(map[string]bool, n)}
	m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
	for range n / 4 { // a Manager tries four ids
		ctx := &mist.Context{Request: &http.Request{}, ResponseWriter: webtest.DiscardWriter(nil)}
		if _, err := m.InitSession(ctx); !errors.Is(err, session.ErrExists) {
			t.Fatalf("got %v, want ErrExists", err)
		}
	}
	check(t, "ids", len(st.ids), n, nil)
}

// An idStore says that it has each id, so that a million sessions take no memory.
type idStore struct {
	session.Store
	ids map[string]bool
}

func (s *idStore) Generate(_ context.Context, id string) (session.Session, error) {
	s.ids[id] = true
	return nil, session.ErrExists
}
