package sessiontest

import (
	"testing"

	"github.com/mist-contrib/session"
)

func TestExploreGood(t *testing.T) {
	Explore(t, Explorer{New: goodStore, Idle: zooIdle})
	_ = session.ErrNotFound
}
