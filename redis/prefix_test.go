package redis_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// onEach runs a test on one server and on a Cluster.
func onEach(t *testing.T, f func(t *testing.T, client goredis.UniversalClient)) {
	t.Helper()
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		_, client := single(t)
		f(t, client)
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		_, client := cluster(t)
		f(t, client)
	})
}

// No prefix and id are the name of another store's index, whatever the two prefixes
// and the ids are.
func TestPrefixesShareNoKeys(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, client goredis.UniversalClient) {
		for _, shared := range []string{"app:", "app:user:", "a{x}b:"} {
			st := &redis.Store{Client: client, Prefix: shared, OpTimeout: time.Minute}
			s, err := st.Login(t.Context(), session.Token(generate(t, st)), session.Login{User: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			others := 0
			for _, key := range keysOf(t, client) {
				if !strings.HasSuffix(key, ":") {
					continue // a record
				}
				// All ways to cut the name of an index into a prefix and an id.
				for cut := len(shared); cut < len(key); cut++ {
					other := &redis.Store{Client: client, Prefix: key[:cut], OpTimeout: time.Minute}
					_, err := other.Generate(t.Context(), key[cut:])
					if !errors.Is(err, session.ErrInvalidID) {
						t.Errorf("an index of %q is the session of %q and an id: got %v, want ErrInvalidID", shared, key[:cut], err)
					}
					if err := other.Remove(t.Context(), key[cut:]); err != nil {
						t.Error(err)
					}
					others++
				}
			}
			if others == 0 {
				t.Fatal("no index was found")
			}
			lists(t, st, "ada", s)
			revokes(t, st, "ada", 1)
			isAlive(t, st, s, false, "after the revocation")
			for _, key := range keysOf(t, client) {
				client.Del(t.Context(), key)
			}
		}
	})
}

// Tenants with the same names of users see and end only their own sessions.
func TestTenants(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, client goredis.UniversalClient) {
		var stores []*redis.Store
		var sessions, own []session.Session
		id := uuid.NewString() // the same for all
		for _, prefix := range []string{"app:", "app:user:", "app2:", "app:{abc}", "app:user:user:", ""} {
			st := &redis.Store{Client: client, Prefix: prefix, OpTimeout: time.Minute}
			s, err := st.Generate(t.Context(), id)
			if err != nil {
				t.Fatalf("%q: %v", prefix, err)
			}
			other := generate(t, st)
			for _, s := range []*session.Session{&s, &other} {
				if *s, err = st.Login(t.Context(), session.Token(*s), session.Login{User: "ada", MaxSessions: 2}); err != nil {
					t.Fatalf("%q: %v", prefix, err)
				}
			}
			stores, sessions, own = append(stores, st), append(sessions, s), append(own, other)
		}
		for i, st := range stores {
			for j, s := range sessions {
				if _, err := st.Open(t.Context(), session.Token(s)); (err == nil) != (i == j) || err != nil && !errors.Is(err, session.ErrNotFound) {
					t.Errorf("a token of %q in %q: %v", stores[j].Prefix, st.Prefix, err)
				}
			}
			lists(t, st, "ada", sessions[i], own[i])
		}
		for i, st := range stores {
			revokes(t, st, "ada", 2)
			for j := range stores {
				when := "after the revocation of " + st.Prefix + " in " + stores[j].Prefix
				isAlive(t, stores[j], sessions[j], j > i, when)
				isAlive(t, stores[j], own[j], j > i, when)
			}
		}
	})
}

// keysOf are all keys there are.
func keysOf(t *testing.T, client goredis.UniversalClient) (all []string) {
	t.Helper()
	c, ok := client.(*goredis.ClusterClient)
	if !ok {
		return client.Keys(t.Context(), "*").Val()
	}
	var mu sync.Mutex // ForEachMaster asks all at once
	err := c.ForEachMaster(t.Context(), func(ctx context.Context, master *goredis.Client) error {
		keys, err := master.Keys(ctx, "*").Result()
		mu.Lock()
		defer mu.Unlock()
		all = append(all, keys...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Braces in a Prefix that would tear the keys of a user apart are refused, and with all
// others a login works in a Cluster.
func TestPrefixWithBraces(t *testing.T) {
	t.Parallel()
	_, client := cluster(t)
	for prefix, good := range map[string]bool{
		"{app}:": true, "{": true, "}": true, "a}b{": true, "a{b": true, "{{}}": true, "{a}{}": true, "{\x00}": true,
		"{}": false, "a{}:": false, "}{}": false, "{}{a}": false,
	} {
		st := &redis.Store{Client: client, Prefix: prefix, OpTimeout: time.Minute}
		if err := st.Check(); (err == nil) != good {
			t.Errorf("Check of the prefix %q: got %v", prefix, err)
		}
		s, err := st.Login(t.Context(), "", session.Login{User: "ada", MaxSessions: 1, EndOldest: true})
		if (err == nil) != good {
			t.Errorf("Login with the prefix %q: got %v", prefix, err)
		}
		if err != nil {
			continue
		}
		if err := st.Refresh(t.Context(), s.ID()); err != nil {
			t.Errorf("Refresh with the prefix %q: %v", prefix, err)
		}
		lists(t, st, "ada", s)
		revokes(t, st, "ada", 1)
	}
}
