package sqltest

import (
	"strings"
	"testing"
)

// A developer without a server is told what to do.
func TestMissing(t *testing.T) {
	t.Setenv("PATH", "")
	for _, missing := range []string{missingPostgres, missingMariaDB, missingPgbouncer} {
		_, err := find(missing, "no-such-server")
		if err == nil || err.Error() != missing || !strings.Contains(missing, "apt-get install ") {
			t.Errorf("%v, want %q", err, missing)
		}
		_, err = beside("/no/such/server", missing, "no-such-client")
		if err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "no-such-client") {
			t.Errorf("%v, want %q", err, missing)
		}
	}
}

func TestNewestPostgres(t *testing.T) {
	t.Parallel()
	if a, b := major("/usr/lib/postgresql/9/bin/postgres"), major("/usr/lib/postgresql/15/bin/postgres"); a != 9 || b != 15 {
		t.Errorf("the versions are %d and %d", a, b)
	}
}
