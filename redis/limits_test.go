package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/program"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/internal/values"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/redis"
)

// onBoth runs a test on both stores: a limit is the same everywhere.
func onBoth(t *testing.T, test func(t *testing.T, store session.TokenStore)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(t, &memory.Store{})
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, &redis.Store{Client: newClient(t, unhurried(redistest.Start(t).Addr)), OpTimeout: time.Minute})
	})
}

// wantStored checks what is stored in the session of an id, whatever an object shows.
func wantStored(t *testing.T, store session.Store, id, after string, want map[string]any) {
	t.Helper()
	s, err := store.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("%s: %v", after, err)
	}
	wantShown(t, s, after, want)
}

func wantShown(t *testing.T, s session.Session, after string, want map[string]any) {
	t.Helper()
	if got, err := program.Shown(t.Context(), s); err != nil || !program.Equal(got, want) {
		t.Errorf("%s: got %d values, %v, want %d others", after, len(got), err, len(want))
	}
}

// TestCountLimit fills sessions to the last value, by every route, from an
// object that knows what is there and from one that was loaded before it was.
func TestCountLimit(t *testing.T) {
	t.Parallel()
	// Names of our own fields, and more of them than we have.
	content := numbered(values.MaxCount - 16)
	for _, key := range []string{"n", "h", "o", "c", "t", "i", "a", ":n", ":h", ":o", ":c", ":t", ":i", ":a", ":", ""} {
		content[key] = key
	}
	routes := map[string]func(ctx context.Context, s session.Session, key string, value int) error{
		"Set": func(ctx context.Context, s session.Session, key string, value int) error {
			return s.Set(ctx, key, value)
		},
		"SetAll": func(ctx context.Context, s session.Session, key string, value int) error {
			return session.SetAll(ctx, s, map[string]any{key: value})
		},
		"SetAll with overwrites": func(ctx context.Context, s session.Session, key string, value int) error {
			all := maps.Clone(content)
			delete(all, "0")
			all[key] = value
			return session.SetAll(ctx, s, all)
		},
		"Update": func(ctx context.Context, s session.Session, key string, value int) error {
			return session.Update(ctx, s, key, func(any) (any, error) { return value, nil })
		},
	}
	room := map[string]func(ctx context.Context, s session.Session) error{
		"Delete": func(ctx context.Context, s session.Session) error { return session.Delete(ctx, s, "0", "none") },
		"Pop":    func(ctx context.Context, s session.Session) error { return errorOf(session.Pop(ctx, s, "0")) },
	}
	onBoth(t, func(t *testing.T, store session.TokenStore) {
		ctx := t.Context()
		for name, set := range routes {
			for making, makeRoom := range room {
				after := name + " after " + making
				id := strings.ReplaceAll(after, " ", "-")
				s, early := fullSession(t, store, id, content)
				for _, s := range []session.Session{s, early} {
					if err := set(ctx, s, "one more", 1); !errors.Is(err, session.ErrTooLarge) {
						t.Errorf("%s: value 1025: got %v, want ErrTooLarge", after, err)
					}
					wantStored(t, store, id, "value 1025 by "+name, content)
				}
				wantShown(t, early, "value 1025 by "+name, nil)
				want := maps.Clone(content)
				if name != "SetAll with overwrites" {
					want["1"] = 7
					if err := errors.Join(set(ctx, s, "1", 7), set(ctx, early, "1", 7)); err != nil {
						t.Errorf("%s of a key that is there, at 1024 values: %v", name, err)
					}
					wantStored(t, store, id, name+" of a key that is there", want)
				}
				if err := errors.Join(makeRoom(ctx, early), set(ctx, s, "one more", 8)); err != nil {
					t.Errorf("%s: %v", after, err)
				}
				delete(want, "0")
				want["one more"] = 8
				wantStored(t, store, id, after, want)
				if err := set(ctx, early, "0", 9); !errors.Is(err, session.ErrTooLarge) && name != "SetAll with overwrites" {
					t.Errorf("%s, full again: got %v, want ErrTooLarge", after, err)
				}
			}
		}
	})
}

// fullSession makes a session with 1024 values in one call. early was loaded before.
func fullSession(t *testing.T, store session.TokenStore, id string, content map[string]any) (s, early session.Session) {
	t.Helper()
	s, err := store.Generate(t.Context(), id)
	if err == nil {
		s, err = store.Rotate(t.Context(), session.Token(s), time.Hour) // all of a record's own fields
	}
	if err == nil {
		early, err = store.Get(t.Context(), id)
	}
	if err == nil {
		err = session.SetAll(t.Context(), s, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	wantShown(t, s, "SetAll of 1024 values", content)
	wantStored(t, store, id, "SetAll of 1024 values", content)
	return s, early
}

func TestLargeBatches(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, store session.TokenStore) {
		ctx := t.Context()
		s, _ := fullSession(t, store, "id", numbered(1024))
		for _, n := range []int{1025, 5000} {
			if err := session.SetAll(ctx, s, numbered(n)); !errors.Is(err, session.ErrTooLarge) {
				t.Errorf("SetAll of %d values: got %v, want ErrTooLarge", n, err)
			}
		}
		// Half of it new: 1024 in all, and then 1025.
		if err := session.Delete(ctx, s, slices.Collect(maps.Keys(numbered(512)))...); err != nil {
			t.Fatal(err)
		}
		mixed := make(map[string]any)
		for i := range 1025 {
			mixed[fmt.Sprint(i+512)] = "new"
		}
		if err := session.SetAll(ctx, s, mixed); !errors.Is(err, session.ErrTooLarge) {
			t.Errorf("SetAll that would make 1025: got %v, want ErrTooLarge", err)
		}
		delete(mixed, "1536")
		if err := session.SetAll(ctx, s, mixed); err != nil {
			t.Errorf("SetAll that makes 1024: %v", err)
		}
		wantStored(t, store, "id", "SetAll of 512 new values and 512 old ones", mixed)
		if err := session.Delete(ctx, s, slices.Collect(maps.Keys(numbered(20_000)))...); err != nil {
			t.Errorf("Delete of 20000 keys: %v", err)
		}
		wantStored(t, store, "id", "Delete of 20000 keys", nil)
		wantShown(t, s, "Delete of 20000 keys", nil)
		if err := errors.Join(session.SetAll(ctx, s, mixed), session.Clear(ctx, s), session.SetAll(ctx, s, numbered(1024))); err != nil {
			t.Errorf("Clear of 1024 values: %v", err)
		}
		wantStored(t, store, "id", "Clear and SetAll", numbered(1024))
	})
}

// TestOldTokenLimit keeps 64 old tokens good, and not a token more.
func TestOldTokenLimit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, store session.TokenStore) {
		ctx := t.Context()
		rotate := func(clientToken string, grace time.Duration) string {
			t.Helper()
			s, err := store.Rotate(ctx, clientToken, grace)
			if err != nil {
				t.Fatal(err)
			}
			return session.Token(s)
		}
		rotations := func(id string, n int, grace time.Duration) (tokens []string) {
			t.Helper()
			s, err := store.Generate(ctx, id)
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, session.Token(s))
			for range n {
				tokens = append(tokens, rotate(tokens[len(tokens)-1], grace))
			}
			return tokens
		}
		tokens := rotations("kept", 64, time.Hour)
		newest := tokens[64]
		for range 2 { // before the newest was opened, and after
			if rotate(newest, 0) != newest {
				t.Error("there is a 65th old token")
			}
			for i, clientToken := range tokens {
				if i < 64 && clientToken == newest {
					t.Errorf("rotation %d gave the token that was there", i)
				}
				if rotate(clientToken, 0) != newest {
					t.Errorf("rotating with token %d does not give the newest", i)
				}
				s, err := store.Open(ctx, clientToken)
				if err != nil {
					t.Errorf("token %d: %v", i, err)
				} else if session.Token(s) != newest {
					t.Errorf("token %d does not lead to the newest", i)
				}
			}
		}
		// Without a grace none is kept but the last, until the newest was seen.
		tokens = rotations("without-grace", 200, 0)
		for i, clientToken := range tokens {
			if _, err := store.Open(ctx, clientToken); errors.Is(err, session.ErrNotFound) != (i < 199) {
				t.Errorf("without grace: token %d of 0 to 200: got %v", i, err)
			}
		}
		if again := rotate(tokens[200], 0); again == tokens[200] {
			t.Error("without grace: rotation 201 gave no new token")
		}
		if st, ok := store.(*redis.Store); ok {
			size, err := st.Client.(goredis.UniversalClient).HStrLen(ctx, "session:without-grace", "o").Result()
			if err != nil || size == 0 || size > 2*62 {
				t.Errorf("after 201 rotations without grace: got %d bytes of old tokens, %v", size, err)
			}
		}
	})
}

type label string

// TestSizeLimits stores what is exactly as large as it may be, and one byte more.
func TestSizeLimits(t *testing.T) {
	t.Parallel()
	session.Register[label]()
	overhead := func(v any) int {
		encoded, err := values.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		return len(encoded) - 1<<19
	}
	half := strings.Repeat("v", 1<<19)
	most := map[string]func(n int) any{
		"string": func(n int) any { return strings.Repeat("v", n-overhead(half)) },
		"bytes":  func(n int) any { return []byte(strings.Repeat("v", n-overhead([]byte(half)))) },
		"label":  func(n int) any { return label(strings.Repeat("v", n-overhead(label(half)))) },
	}
	routes := map[string]func(ctx context.Context, s session.Session, key string, value any) error{
		"Set": func(ctx context.Context, s session.Session, key string, value any) error {
			return s.Set(ctx, key, value)
		},
		"SetAll": func(ctx context.Context, s session.Session, key string, value any) error {
			return session.SetAll(ctx, s, map[string]any{"other": 1, key: value})
		},
		"Update": func(ctx context.Context, s session.Session, key string, value any) error {
			return session.Update(ctx, s, key, func(any) (any, error) { return value, nil })
		},
	}
	longest, tooLong := strings.Repeat("\xff", 256), strings.Repeat("\xff", 257)
	onBoth(t, func(t *testing.T, store session.TokenStore) {
		ctx := t.Context()
		for name, set := range routes {
			s, err := store.Generate(ctx, name)
			if err != nil {
				t.Fatal(err)
			}
			for kind, ofSize := range most {
				what := name + " of a " + kind
				if err := set(ctx, s, longest, ofSize(1<<20)); err != nil {
					t.Errorf("%s of 1 MiB: %v", what, err)
				}
				if err := set(ctx, s, longest, ofSize(1<<20+1)); !errors.Is(err, session.ErrTooLarge) || errors.Is(err, session.ErrValue) {
					t.Errorf("%s of 1 MiB and a byte: got %v, want ErrTooLarge", what, err)
				}
				if err := set(ctx, s, tooLong, 1); !errors.Is(err, session.ErrTooLarge) {
					t.Errorf("%s under a key of 257 bytes: got %v, want ErrTooLarge", what, err)
				}
				again, err := store.Get(ctx, name)
				if err != nil {
					t.Fatal(err)
				}
				if err := session.Update(ctx, again, longest, func(old any) (any, error) { return old, nil }); err != nil {
					t.Errorf("%s: Update with what is there: %v", what, err)
				}
				for _, of := range []session.Session{s, again} {
					if got, err := of.Get(ctx, longest); err != nil || !program.Equal(got, ofSize(1<<20)) {
						t.Errorf("%s: got a %T, %v", what, got, err)
					}
					if got, err := of.Get(ctx, tooLong); got != nil || err != nil {
						t.Errorf("%s: Get of 257 bytes: got a %T, %v", what, got, err)
					}
				}
				if got, err := session.Pop(ctx, again, longest); err != nil || !program.Equal(got, ofSize(1<<20)) {
					t.Errorf("%s: Pop: got a %T, %v", what, got, err)
				}
				if got, err := session.Pop(ctx, s, tooLong); got != nil || err != nil {
					t.Errorf("%s: Pop of 257 bytes: got a %T, %v", what, got, err)
				}
				if err := session.Delete(ctx, s, tooLong, longest); err != nil {
					t.Errorf("%s: Delete of 257 bytes: %v", what, err)
				}
			}
		}
	})
}

// TestLoginValuesLimit logs in with the last value that a session may hold, and with one
// more, which changes nothing.
func TestLoginValuesLimit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, tokens session.TokenStore) {
		ctx, store := t.Context(), tokens.(session.UserStore)
		login := func(s session.Session, what string, values map[string]any) (session.Session, error) {
			clientToken := ""
			if s != nil {
				clientToken = session.Token(s)
			}
			in, err := store.Login(ctx, clientToken, session.Login{User: "ada", Values: values})
			if err != nil && !errors.Is(err, session.ErrTooLarge) {
				t.Errorf("%s: got %v, want ErrTooLarge or nothing", what, err)
			}
			return in, err
		}
		anonymous, _ := fullSession(t, store, "id", numbered(1024))
		want := numbered(1024)
		for _, s := range []session.Session{nil, anonymous} {
			for what, values := range map[string]map[string]any{
				"1025 values": numbered(1025), "a long key": {strings.Repeat("k", 257): 1}, "a large value": {"0": strings.Repeat("v", 1<<20)},
			} {
				if _, err := login(s, what, values); err == nil {
					t.Errorf("a login with %s succeeded", what)
				}
			}
		}
		in, err := login(nil, "1024 values", numbered(1024))
		if err != nil {
			t.Fatal(err)
		}
		wantStored(t, store, in.ID(), "a login with 1024 values", want)
		for _, s := range []session.Session{anonymous, in} {
			if _, err := login(s, "value 1025", map[string]any{"one more": 1, "0": 7}); err == nil {
				t.Error("a login with value 1025 succeeded")
			}
			wantStored(t, store, s.ID(), "a login with value 1025", want)
			in, err := login(s, "value 1024 again", map[string]any{"0": 8})
			if err != nil {
				t.Fatal(err)
			}
			changed := maps.Clone(want)
			changed["0"] = 8
			wantStored(t, store, in.ID(), "a login with one of 1024 values", changed)
			wantShown(t, in, "a login with one of 1024 values", changed)
			if err := session.Delete(ctx, in, "0"); err != nil {
				t.Fatal(err)
			}
			if in, err = login(in, "value 1024", map[string]any{"one more": 1}); err != nil {
				t.Fatal(err)
			}
			delete(changed, "0")
			changed["one more"] = 1
			wantStored(t, store, in.ID(), "a login with the last value", changed)
		}
	})
}
