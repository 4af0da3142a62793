package redistest

import (
	"testing"

	"github.com/mist-contrib/session/internal/servertest"
)

// Main runs the tests of a package and then ends the servers that were started with [Shared]:
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
func Main(m *testing.M) int { return servertest.Main(m) }

// Shared returns a stand-in for a test that lasts as long as [Main] runs. It is for servers
// that many tests share: a cluster is six servers.
//
//	var cluster = sync.OnceValue(func() *redistest.ClusterSet {
//		return redistest.StartCluster(redistest.Shared(), time.Second)
//	})
func Shared() testing.TB { return servertest.Shared() }
