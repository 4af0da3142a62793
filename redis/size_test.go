package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestSizeField damages the field that holds the size of a session: no value is lost, no
// write that there is room for is refused, and a field that says too much is mended.
func TestSizeField(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ctx, st := t.Context(), &redis.Store{Client: newClient(t, unhurried(server.Addr)), OpTimeout: time.Minute}
	for i, damage := range []string{"", "x", "5", "-1 -1", "1e3 5", "1 2 3", "0 0", "1024 1", "1 2097152", strings.Repeat("9", 400) + " 1", "\x00\xff"} {
		id := fmt.Sprint("id", i)
		s, err := st.Generate(ctx, id)
		if err == nil {
			err = s.Set(ctx, "kept", "v") // 4 bytes and 2
		}
		if err != nil {
			t.Fatal(err)
		}
		server.MustDo(t, "HSET", "session:"+id, "s", damage)
		if err := errors.Join(s.Set(ctx, "a", 1), session.Update(ctx, s, "b", func(any) (any, error) { return 2, nil }), session.Delete(ctx, s, "a")); err != nil {
			t.Errorf("field s %.20q: %v", damage, err)
		}
		wantStored(t, st, id, damage, map[string]any{"kept": "v", "b": 2})
		if got := server.MustDo(t, "HGET", "session:"+id, "s"); got != "2 9" && damage != "0 0" {
			t.Errorf("field s %.20q: got %q after writes, want 2 values of 9 bytes", damage, got)
		}
	}
}
