package sqltest_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/sqltest"
)

func TestNamedBinary(t *testing.T) {
	for variable, start := range map[string]func(testing.TB, ...string) *sqltest.Server{
		"POSTGRES": sqltest.StartPostgres, "MARIADBD": sqltest.StartMariaDB,
	} {
		nowhere := filepath.Join(t.TempDir(), "nothing")
		t.Setenv(variable, nowhere)
		f := &failure{TB: t}
		f.run(func() { start(f) })
		if !strings.Contains(f.text, "$"+variable) || !strings.Contains(f.text, nowhere) {
			t.Errorf("$%s names nothing: %q", variable, f.text)
		}
	}
	paths, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(paths) == 0 {
		return // a machine that keeps it elsewhere
	}
	t.Setenv("POSTGRES", paths[0])
	want(t, sqltest.StartPostgres(t), "SELECT 1;", "1")
}
