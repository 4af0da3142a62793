package redistest

import (
	"testing"

	"github.com/mist-contrib/session/internal/servertest"
)

// Main runs the tests of a package and then ends what was started with
// [Shared]:
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
func Main(m *testing.M) int { return servertest.Main(m) }

// Shared returns what stands for a test as long as [Main] runs, for servers that
// many tests use: a cluster takes two seconds.
//
//	var cluster = sync.OnceValue(func() *redistest.ClusterSet {
//		return redistest.StartCluster(redistest.Shared(), time.Second)
//	})
func Shared() testing.TB { return servertest.Shared() }
