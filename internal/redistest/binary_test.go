package redistest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/internal/servertest"
)

// script writes an executable.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBinaries(t *testing.T) {
	t.Setenv("REDIS_SERVERS", "")
	own := redistest.Binaries(t)
	if len(own) != 1 || !strings.HasSuffix(own[0].Name, " "+own[0].Version) || own[0].Version == "" {
		t.Fatalf("without further ones: %+v", own)
	}
	link := filepath.Join(t.TempDir(), "redis-server")
	if err := os.Symlink(own[0].Path, link); err != nil {
		t.Fatal(err)
	}
	valkey := script(t, `echo "Valkey server v=8.1.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1"`)
	t.Setenv("REDIS_SERVERS", strings.Join([]string{own[0].Path, valkey, "", link, valkey}, ":"))
	want := append(slices.Clone(own), redistest.Binary{Name: "valkey 8.1.1", Path: valkey, Version: "8.1.1"})
	if got := redistest.Binaries(t); !slices.Equal(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}

	t.Setenv("REDIS_SERVER", link)
	if got := redistest.Binaries(t); got[0].Path != link || len(got) != 2 {
		t.Errorf("$REDIS_SERVER does not come first: %+v", got)
	}
	got := redistest.Binaries(t)[0].Start(t)
	if version := got.Info(t, "server")["redis_version"]; version != own[0].Version {
		t.Errorf("started %s, want %s", version, own[0].Version)
	}
}

// Whoever has no Redis is told what to do, by a failure.
func TestMissing(t *testing.T) {
	if servertest.IsChild() {
		redistest.Start(t)
		return
	}
	t.Parallel()
	cmd := servertest.Child(t, "PATH=", "REDIS_SERVER=")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--- FAIL: TestMissing") {
		t.Errorf("the child did not fail: %v\n%s", err, out)
	}
	if want := "redistest: redis-server is missing: apt-get install redis-server\n"; !strings.Contains(string(out), want) {
		t.Errorf("the child does not say %q:\n%s", want, out)
	}
}

// A port may be taken between looking for one and starting on it.
func TestPortTakenInBetween(t *testing.T) {
	t.Parallel()
	own := redistest.Binaries(t)[0]
	late := script(t, `
if mkdir "$0.once" 2>/dev/null; then
	echo "bind: Address already in use"
	exit 1
fi
exec "`+own.Path+`" "$@"`)
	b := redistest.Binary{Name: "late", Path: late, Version: own.Version}
	s := b.Start(t)
	s.MustDo(t, "PING")
	if _, err := os.Stat(late + ".once"); err != nil {
		t.Errorf("nothing was in the way: %v", err)
	}
}
