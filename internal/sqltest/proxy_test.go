package sqltest_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/sqltest"
)

// The server has done what it was asked, and the client does not hear of it.
func TestProxyLosesReplies(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := k.start(t)
			s.SQL(t, "CREATE TABLE t (n int); INSERT INTO t VALUES (0);")
			p := sqltest.NewProxy(t, s)
			p.Match(func(request []byte) bool { return bytes.Contains(request, []byte("UPDATE")) })
			for n, lose := range []func(){
				func() { p.LoseReply(1) }, func() { p.CutReply(0) }, func() { p.CutReply(3) },
			} {
				url := s.URLAt(p, s.URL())
				if !strings.Contains(url, p.Addr) {
					t.Fatalf("the URL is %s", url)
				}
				c := openURL(t, url)
				c.number(t, "SELECT 1;")
				lose()
				c.number(t, "SELECT 2;") // is not meant
				if !c.ends("UPDATE t SET n = n + 1;") {
					t.Error("the client hears of it")
				}
				if got := open(t, s).number(t, "SELECT n FROM t;"); got != float64(n+1) {
					t.Errorf("the row is %v, want %d: the server did not get it", got, n+1)
				}
			}
			if got := openURL(t, s.URLAt(p, s.URL())).number(t, "SELECT 3;"); got != 3 {
				t.Errorf("afterwards: %v", got)
			}
		})
	}
}

func TestProxyCutsAndStalls(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			s := k.shared(t)
			p := sqltest.NewProxy(t, s)
			c := openURL(t, s.URLAt(p, s.URL()))
			c.number(t, "SELECT 1;")
			p.Stall(true)
			start := time.Now()
			const stall = 100 * time.Millisecond
			time.AfterFunc(stall, func() { p.Stall(false) })
			if got := c.number(t, "SELECT 2;"); got != 2 || time.Since(start) < stall {
				t.Errorf("stalled: %v after %v", got, time.Since(start))
			}
			p.Cut()
			if !c.ends("SELECT 3;") {
				t.Error("a connection that was cut works")
			}
		})
	}
}
