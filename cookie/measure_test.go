package cookie_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/cookie"
)

// TestMeasure: a value that has room makes a cookie of at most 4096 bytes, and one of
// just that if the cookie lives for 400 days.
func TestMeasure(t *testing.T) {
	for _, p := range []*cookie.Propagator{
		{}, {Insecure: true}, {Name: "sid", Path: "/app", Domain: "example.com"}, {MaxAge: time.Hour}, {Partitioned: true},
	} {
		name, room := p.Measure()
		w := httptest.NewRecorder()
		if err := p.InjectFor(strings.Repeat("x", room), 400*24*time.Hour, w); err != nil {
			t.Fatal(err)
		}
		if line := w.Header().Get("Set-Cookie"); len(line) != 4096 || !strings.HasPrefix(line, name+"=") {
			t.Errorf("%s: got %d bytes, want 4096", name, len(line))
		}
	}
	if name, room := (&cookie.Propagator{Name: "a b"}).Measure(); name != "" || room != 0 {
		t.Errorf("misconfigured: got %q, %d, want no room", name, room)
	}
}
