package redistest_test

import (
	"os"
	"testing"

	"github.com/mist-contrib/session/internal/redistest"
)

func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
