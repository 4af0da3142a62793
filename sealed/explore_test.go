package sealed_test

import (
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
	"github.com/mist-contrib/session/sessiontest"
)

func TestInterleavings(t *testing.T) {
	sessiontest.Explore(t, sessiontest.Explorer{
		New: func(*testing.T) session.Store {
			var ended sealed.Revocations
			return &sealed.Store{Keys: [][]byte{sealed.NewKey()}, Revoked: ended.Revoked, Revoke: ended.Revoke}
		},
		Idle: 30 * time.Minute, ByDesign: &sessiontest.Losses{}, Limit: 200,
	})
}
