package redis_test

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/mist-contrib/session/internal/redistest"
)

// times multiplies the work of TestRace and TestRevokeRace. The default finds what is broken;
// more of it finds what seldom happens.
var times = flag.Int("times", 1, "by how much TestRace and TestRevokeRace do more")

// TestMain lets more tests run at once than there are processors: most of the
// time they wait for deadlines and failovers. Fuzzing counts its workers so.
func TestMain(m *testing.M) {
	flag.Parse()
	parallel := flag.Lookup("test.parallel").Value
	if parallel.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) && flag.Lookup("test.fuzz").Value.String() == "" {
		_ = parallel.Set("8")
	}
	os.Exit(redistest.Main(m))
}
