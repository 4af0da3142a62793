package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

const (
	shortTimeout = 300 * time.Millisecond // of the store, where a fault makes a call wait
	faultBound   = 5 * time.Second        // by then every call has ended, and so has its request
)

// A world is a server, or a cluster, with two ways to it: one that faults come
// over, and one past all of them, to prepare and to look.
type world struct {
	t       *testing.T
	server  *redistest.Server
	cluster *redistest.ClusterSet   // instead of the server
	proxy   *redistest.Proxy        // on the first way; nil: none
	admin   goredis.UniversalClient // the second way; to a server one connection, which lasts

	prefix string        // of the present try
	ended  chan struct{} // what the fault has begun
	undo   func()        // what lifts it
}

// newWorld makes a world around a server, or nil for a server of its own.
func newWorld(t *testing.T, f *fault, server *redistest.Server) *world {
	t.Helper()
	if server == nil {
		server = redistest.Start(t, f.config...)
	}
	w := &world{t: t, server: server, admin: past(t, server)}
	if f.proxied {
		w.proxy = redistest.NewProxy(t, server.Addr)
	}
	if f.setup != nil {
		if err := f.setup(w); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// past returns a client that no fault comes over: it has its connections already.
func past(t *testing.T, server *redistest.Server) goredis.UniversalClient {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{
		Addr: server.Addr, PoolSize: 1, ReadTimeout: time.Minute, WriteTimeout: time.Minute, PoolTimeout: time.Minute,
	})
	t.Cleanup(func() { _ = c.Close() })
	// go-redis has further connections for pipelines.
	_, err := c.Pipelined(t.Context(), func(p goredis.Pipeliner) error { return p.Ping(t.Context()).Err() })
	if err := errors.Join(err, c.Ping(t.Context()).Err()); err != nil {
		t.Fatal(err)
	}
	return c
}

// do sends a command past all faults.
func (w *world) do(args ...any) error {
	return w.admin.Do(context.Background(), args...).Err()
}

// scripts are those of the store by their hashes, and more: each file, with every beginning
// that files share.
var scripts = sync.OnceValues(func() (map[string]string, error) {
	files, err := filepath.Glob("scripts/*.lua")
	sources := make(map[string]string)
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		sources[file] = string(source)
	}
	users, values, all := sources["scripts/users.lua"], sources["scripts/values.lua"], make(map[string]string)
	for _, source := range sources {
		for _, shared := range []string{"", users, values, users + values} {
			all[hashOf(shared+source)] = shared + source
		}
	}
	return all, err
})

// loadScripts teaches a server the scripts that it does not know: such a script does
// nothing when it comes late, or its reply is lost.
func loadScripts(t *testing.T, c goredis.UniversalClient) {
	t.Helper()
	all, err := scripts()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d scripts: %v", len(all), err)
	}
	hashes := slices.Sorted(maps.Keys(all))
	load := func(ctx context.Context, c *goredis.Client) error {
		known, err := c.ScriptExists(ctx, hashes...).Result()
		if err != nil || !slices.Contains(known, false) {
			return err
		}
		_, err = c.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for i, hash := range hashes {
				if !known[i] {
					p.ScriptLoad(ctx, all[hash])
				}
			}
			return nil
		})
		return err
	}
	switch c := c.(type) {
	case *goredis.Client:
		err = load(t.Context(), c)
	case *goredis.ClusterClient:
		err = c.ForEachMaster(t.Context(), load)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// addr is where faults come over.
func (w *world) addr() string {
	if w.proxy != nil {
		return w.proxy.Addr
	}
	return w.server.Addr
}

// A tripwire lets something happen before the n-th command of a store, of all
// that share a client.
type tripwire struct {
	prefix string // of the store's keys

	mu     sync.Mutex
	left   int // commands until then; negative: it is not armed
	spring func()
	seen   []string
}

var _ goredis.Hook = (*tripwire)(nil)

func (w *tripwire) arm(n int, spring func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left, w.spring, w.seen = n, spring, nil
}

// armed reports whether the wire was not reached yet.
func (w *tripwire) armed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.left >= 0
}

// disarm returns the commands that were sent, and whether the wire was reached.
func (w *tripwire) disarm() (seen []string, reached bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	reached = w.left < 0
	w.left = -1
	return w.seen, reached
}

func (w *tripwire) step(cmd goredis.Cmder) {
	at := 1
	switch cmd.Name() {
	case "evalsha":
		at = 3
	case "hgetall", "unlink":
	default: // a handshake, or the way out of NOSCRIPT, which is no call of its own
		return
	}
	if key, _ := cmd.Args()[at].(string); !strings.HasPrefix(key, w.prefix) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, cmd.Name())
	if w.left == 0 {
		w.spring()
	}
	w.left--
}

func (w *tripwire) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (w *tripwire) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		w.step(cmd)
		return next(ctx, cmd)
	}
}

func (w *tripwire) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		for _, cmd := range cmds {
			w.step(cmd)
		}
		return next(ctx, cmds)
	}
}

// client returns a client of the way that faults come over.
func (w *world) client(t *testing.T, f *fault) goredis.UniversalClient {
	t.Helper()
	var c goredis.UniversalClient
	var err error
	switch {
	case w.cluster != nil:
		c, err = redis.NewClient("redis+cluster://" + strings.Join(w.cluster.Addrs(), ",") + "?read_timeout=10s")
	case f.plain:
		c = goredis.NewClient(&goredis.Options{Addr: w.addr()})
	default:
		c, err = redis.NewClient(fmt.Sprintf("redis://%s%s?%s%s", f.user, w.addr(), slowClient, f.params))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, goredis.ErrClosed) {
			t.Error(err)
		}
	})
	// Connections that are there already are those that a command may be repeated on.
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if err := c.Exists(t.Context(), w.prefix).Err(); err != nil {
				t.Errorf("before the fault: %v", err)
			}
		})
	}
	wg.Wait()
	return c
}
