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

// TestSizeBeyondLimit: a record of an earlier build may exceed the limit. It may shrink and
// stay as large as it is, but not grow, and a login keeps its values.
func TestSizeBeyondLimit(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	ctx, st := t.Context(), &redis.Store{Client: newClient(t, unhurried(server.Addr)), OpTimeout: time.Minute}
	text := strings.Repeat("v", session.MaxValueSize-1)
	beyond := func(id string) session.Session {
		t.Helper()
		s, err := st.Generate(ctx, id)
		if err := errors.Join(err, s.Set(ctx, "a", text)); err != nil {
			t.Fatal(err)
		}
		key := "session:" + id
		stored := server.MustDo(t, "HGET", key, ":a").(string)
		server.MustDo(t, "HSET", key, ":b", stored, ":c", stored)
		server.MustDo(t, "HDEL", key, "s")
		return s
	}
	s := beyond("one")
	for _, write := range []struct {
		name, key string
		value     any
		want      error
	}{
		{"a further value", "d", "", session.ErrTooLarge},
		{"a value as large as before", "c", "w" + text[1:], nil},
		{"a smaller value", "c", text[1:], nil},
		{"a larger value", "c", text, session.ErrTooLarge},
		{"much less", "c", "v", nil},
		{"a further value above the limit", "d", "", session.ErrTooLarge},
		{"a value below the limit", "b", "v", nil},
		{"a further value below the limit", "d", "", nil},
	} {
		if err := s.Set(ctx, write.key, write.value); !errors.Is(err, write.want) || (err == nil) != (write.want == nil) {
			t.Errorf("Set of %s: got %v, want %v", write.name, err, write.want)
		}
	}
	wantStored(t, st, "one", "shrunk", map[string]any{"a": text, "b": "v", "c": "v", "d": ""})

	s = beyond("two")
	if _, err := st.Login(ctx, session.Token(s), session.Login{User: "ada", Values: map[string]any{"d": ""}}); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("Login with a further value: got %v, want ErrTooLarge", err)
	}
	in, err := st.Login(ctx, session.Token(s), session.Login{User: "ada", Values: map[string]any{"c": "v"}})
	if err != nil {
		t.Fatalf("Login with a smaller value: %v", err)
	}
	wantStored(t, st, in.ID(), "logged in", map[string]any{"a": text, "b": text, "c": "v"})
}
