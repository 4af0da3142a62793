package cookie_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/cookie"
)

// TestLimit: the longest value makes a cookie of at most 4096 bytes, and one of
// just that if the cookie lives for 400 days.
func TestLimit(t *testing.T) {
	for _, p := range []*cookie.Propagator{
		{}, {Insecure: true}, {Name: "sid", Path: "/app", Domain: "example.com"}, {MaxAge: time.Hour}, {Partitioned: true},
	} {
		name, limit := p.Limit()
		w := httptest.NewRecorder()
		if err := p.InjectFor(strings.Repeat("x", limit), 400*24*time.Hour, w); err != nil {
			t.Fatal(err)
		}
		if line := w.Header().Get("Set-Cookie"); len(line) != 4096 || !strings.HasPrefix(line, name+"=") {
			t.Errorf("%s: got %d bytes, want 4096", name, len(line))
		}
	}
	if name, limit := (&cookie.Propagator{Name: "a b"}).Limit(); name != "" || limit != 0 {
		t.Errorf("misconfigured: got %q, %d, want no name and 0", name, limit)
	}
}
