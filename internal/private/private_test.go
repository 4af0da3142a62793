package private_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/mist-contrib/session/internal/private"
)

// The three headers share one array. A line that is added to one of them later must not
// appear in another.
func TestSetThenAdd(t *testing.T) {
	names := []string{"Set-Cookie", "Cache-Control", "Vary"}
	for _, first := range names {
		h := make(http.Header)
		private.Set(h, "Set-Cookie", nil, "a=1", "Cookie")
		want := http.Header{"Set-Cookie": {"a=1"}, "Cache-Control": {"no-store"}, "Vary": {"Cookie"}}
		for _, name := range append([]string{first}, names...) {
			h.Add(name, "more")
			want[name] = append(want[name], "more")
		}
		if !maps.EqualFunc(h, want, slices.Equal) {
			t.Errorf("%s first: got %q, want %q", first, h, want)
		}
	}
}
