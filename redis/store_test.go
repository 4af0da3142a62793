package redis_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// offline is a client that no test uses, of a type that a Store looks at.
func offline(t *testing.T) goredis.UniversalClient {
	t.Helper()
	return newClient(t, "redis://127.0.0.1:1")
}

// ofCluster is a client that is not used, with options.
func ofCluster(t *testing.T, o goredis.ClusterOptions) goredis.UniversalClient {
	t.Helper()
	o.Addrs = []string{"127.0.0.1:1"}
	return closing(t, goredis.NewClusterClient(&o))
}

// ofSentinel is one that looks for replicas by Sentinel.
func ofSentinel(t *testing.T, o goredis.FailoverOptions) goredis.UniversalClient {
	t.Helper()
	o.MasterName, o.SentinelAddrs = "shop", []string{"127.0.0.1:1"}
	return closing(t, goredis.NewFailoverClusterClient(&o))
}

func closing[C goredis.UniversalClient](t *testing.T, c C) C {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// A wrapper is a client of somebody else's.
type wrapper struct{ goredis.UniversalClient }

func TestStoreCheck(t *testing.T) {
	client := offline(t)
	ring := closing(t, goredis.NewRing(&goredis.RingOptions{HeartbeatFrequency: time.Hour}))
	for _, c := range []struct {
		name  string
		store *redis.Store
		ok    bool
		names []string // the fields that the error names
	}{
		{"nil", nil, false, nil},
		{"no client", &redis.Store{}, false, []string{"Client"}},
		{"nil client", &redis.Store{Client: (*goredis.Client)(nil)}, false, []string{"Client"}},
		{"nil cluster client", &redis.Store{Client: (*goredis.ClusterClient)(nil)}, false, []string{"Client"}},
		{"nil ring", &redis.Store{Client: (*goredis.Ring)(nil), WaitReplicas: 1}, false, []string{"Client"}},
		{"nil interface", &redis.Store{Client: goredis.UniversalClient(nil)}, false, []string{"Client"}},
		{"negative idle timeout", &redis.Store{Client: client, IdleTimeout: -1}, false, []string{"IdleTimeout"}},
		{"negative absolute timeout", &redis.Store{Client: client, AbsoluteTimeout: -1}, false, []string{"AbsoluteTimeout"}},
		{"3600 for an hour", &redis.Store{Client: client, IdleTimeout: 3600}, false, []string{"IdleTimeout"}},
		{"absolute timeout over 400 days", &redis.Store{Client: client, AbsoluteTimeout: 400*24*time.Hour + 1}, false, []string{"AbsoluteTimeout"}},
		{
			"idle timeout above absolute", &redis.Store{Client: client, IdleTimeout: time.Hour, AbsoluteTimeout: time.Minute},
			false,
			[]string{"IdleTimeout", "AbsoluteTimeout"},
		},
		{"negative OpTimeout", &redis.Store{Client: client, OpTimeout: -1}, false, []string{"OpTimeout"}},
		{"negative WaitReplicas", &redis.Store{Client: client, WaitReplicas: -1}, false, []string{"WaitReplicas"}},
		{"cluster, ReadOnly", &redis.Store{Client: ofCluster(t, goredis.ClusterOptions{ReadOnly: true})}, false, []string{"Client"}},
		{"cluster, RouteByLatency", &redis.Store{Client: ofCluster(t, goredis.ClusterOptions{RouteByLatency: true})}, false, []string{"Client"}},
		{"cluster, RouteRandomly", &redis.Store{Client: ofCluster(t, goredis.ClusterOptions{RouteRandomly: true})}, false, []string{"Client"}},
		{"sentinel, RouteByLatency", &redis.Store{Client: ofSentinel(t, goredis.FailoverOptions{RouteByLatency: true})}, false, []string{"Client"}},
		{"sentinel, RouteRandomly", &redis.Store{Client: ofSentinel(t, goredis.FailoverOptions{RouteRandomly: true})}, false, []string{"Client"}},
		{"ring", &redis.Store{Client: ring}, false, []string{"Client"}},

		{"client", &redis.Store{Client: client}, true, nil},
		{"cluster", &redis.Store{Client: ofCluster(t, goredis.ClusterOptions{}), WaitReplicas: 1}, true, nil},
		{"wrapped client", &redis.Store{Client: wrapper{client}}, true, nil},
		{"pointer to a wrapped client", &redis.Store{Client: &wrapper{client}}, true, nil},
		{"all fields", &redis.Store{
			Client: client, Prefix: "p", IdleTimeout: time.Millisecond, AbsoluteTimeout: 400 * 24 * time.Hour,
			OpTimeout: 1, WaitReplicas: 9,
		}, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.store.Check()
			if c.ok {
				if err != nil {
					t.Errorf("got %v, want nil", err)
				}
				return
			}
			if err == nil {
				t.Fatal("got nil, want an error")
			}
			for _, name := range c.names {
				if !strings.Contains(err.Error(), name) {
					t.Errorf("%v: does not name %s", err, name)
				}
			}
			// No call goes further.
			for name, call := range everyCall(t.Context(), c.store, "id") {
				if got := call(); !errors.Is(got, err) {
					t.Errorf("%s: got %v, want %v", name, got, err)
				}
			}
		})
	}
}

func TestStoreDefaults(t *testing.T) {
	const slack = 30 * time.Second
	server, client := single(t)
	for _, c := range []struct {
		name           string
		store          *redis.Store
		prefix         string
		idle, absolute time.Duration
	}{
		{"zero values", &redis.Store{}, "session:", 30 * time.Minute, 12 * time.Hour},
		{"short absolute timeout", &redis.Store{AbsoluteTimeout: 20 * time.Minute}, "session:", 20 * time.Minute, 20 * time.Minute},
		{"long idle timeout", &redis.Store{IdleTimeout: time.Hour}, "session:", time.Hour, 12 * time.Hour},
		{"prefix", &redis.Store{Prefix: "shop/{1}*\x00"}, "shop/{1}*\x00", 30 * time.Minute, 12 * time.Hour},
		{"prefix of another's", &redis.Store{Prefix: "s"}, "s", 30 * time.Minute, 12 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			server.MustDo(t, "FLUSHALL")
			c.store.Client = client
			id := uuid.NewString()
			s, err := c.store.Generate(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			keys := server.MustDo(t, "KEYS", "*")
			if list, _ := keys.([]any); len(list) != 1 || list[0] != c.prefix+id {
				t.Errorf("keys: got %q, want %q", keys, c.prefix+id)
			}
			ms, _ := server.MustDo(t, "PTTL", c.prefix+id).(int64)
			if got := time.Duration(ms) * time.Millisecond; got > c.idle || got < c.idle-slack {
				t.Errorf("Redis keeps it %v, want %v", got, c.idle)
			}
			info, err := session.Describe(s)
			if err != nil {
				t.Fatal(err)
			}
			if got := info.IdleDeadline.Sub(info.CreatedAt); got != c.idle {
				t.Errorf("idle timeout: got %v, want %v", got, c.idle)
			}
			if got := info.AbsoluteDeadline.Sub(info.CreatedAt); got != c.absolute {
				t.Errorf("absolute timeout: got %v, want %v", got, c.absolute)
			}
		})
	}
}

// A call whose context has no deadline ends all the same, also with a client
// that would wait for a minute.
func TestStoreDefaultOpTimeout(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := closing(t, goredis.NewClient(&goredis.Options{
		Addr: server.Addr, ContextTimeoutEnabled: true, ReadTimeout: time.Minute, MaxRetries: -1,
	}))
	st := &redis.Store{Client: client}
	if err := st.Remove(t.Context(), "id"); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	defer server.Resume()
	start := time.Now()
	err := st.Remove(t.Context(), "id")
	if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took < 900*time.Millisecond || took > 10*time.Second {
		t.Errorf("got %v after %v, want %v after a second", err, took, context.DeadlineExceeded)
	}
}

// A counter counts how often it is closed.
type counter struct {
	goredis.UniversalClient
	closed atomic.Int32
}

func (c *counter) Close() error {
	c.closed.Add(1)
	return c.UniversalClient.Close()
}

func TestStoreDoesNotCloseTheClient(t *testing.T) {
	t.Parallel()
	_, client := single(t)
	c := &counter{UniversalClient: client}
	for range 2 { // stores may share a client
		if err := doEverything(t.Context(), &redis.Store{Client: c}, uuid.NewString()); err != nil {
			t.Error(err)
		}
	}
	if got := c.closed.Load(); got != 0 {
		t.Errorf("closed %d times, want 0", got)
	}
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

// Whatever goes by the name of a client in go-redis is one.
func TestStoreClients(t *testing.T) {
	t.Parallel()
	const timeout = 10 * time.Second
	server := redistest.Start(t)
	set := redistest.StartSentinel(t, timeout)
	for name, client := range map[string]goredis.UniversalClient{
		"universal":          goredis.NewUniversalClient(&goredis.UniversalOptions{Addrs: []string{server.Addr}}),
		"universal sentinel": goredis.NewUniversalClient(&goredis.UniversalOptions{Addrs: set.Addrs(), MasterName: set.Name}),
		"sentinel":           goredis.NewFailoverClient(&goredis.FailoverOptions{SentinelAddrs: set.Addrs(), MasterName: set.Name}),
		"sentinel as cluster": goredis.NewFailoverClusterClient(&goredis.FailoverOptions{
			SentinelAddrs: set.Addrs(), MasterName: set.Name,
		}),
		"RESP2":   goredis.NewClient(&goredis.Options{Addr: server.Addr, Protocol: 2}),
		"wrapped": wrapper{goredis.NewClient(&goredis.Options{Addr: server.Addr})},
	} {
		st := &redis.Store{Client: closing(t, client), OpTimeout: timeout}
		if err := doEverything(t.Context(), st, uuid.NewString()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
