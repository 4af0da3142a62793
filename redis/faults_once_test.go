package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// clients are those that a store may be given.
var clients = map[string]func(t *testing.T, addr string) goredis.UniversalClient{
	"our client": func(t *testing.T, addr string) goredis.UniversalClient {
		t.Helper()
		return newClient(t, "redis://"+addr+"?"+slowClient)
	},
	"plain client": func(t *testing.T, addr string) goredis.UniversalClient {
		t.Helper()
		c := goredis.NewClient(&goredis.Options{Addr: addr})
		t.Cleanup(func() { _ = c.Close() })
		return c
	},
}

// A brokenLine is a way to a server on which every call meets a fault.
type brokenLine struct {
	proxy *redistest.Proxy
	rnd   *rand.Rand
	made  map[string]int // faults
}

func newBrokenLine(t *testing.T, server *redistest.Server, seed uint64) *brokenLine {
	t.Helper()
	b := &brokenLine{redistest.NewProxy(t, server.Addr), rand.New(rand.NewPCG(seed, 0)), make(map[string]int)}
	b.proxy.Match(ours)
	return b
}

// call makes a call that meets a fault.
func (b *brokenLine) call(t *testing.T, f func(ctx context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), faultBound)
	defer cancel()
	kind := "lost"
	switch b.rnd.IntN(10) {
	case 0, 1, 2:
		b.proxy.LoseReply(1)
	case 3, 4, 5, 6:
		b.proxy.CutReply(b.rnd.IntN(6))
		kind = "cut"
	case 7:
		b.proxy.LoseReply(1 << 30)
		kind = "lost every time"
	case 8:
		b.proxy.Cut()
		kind = "reset"
	case 9:
		var short context.CancelFunc
		ctx, short = context.WithTimeout(ctx, 40*time.Millisecond)
		defer short()
		b.proxy.SetDelay(60 * time.Millisecond) // what is on its way comes nevertheless
		kind = "too slow"
	}
	b.made[kind]++
	err := f(ctx)
	b.proxy.LoseReply(0)
	b.proxy.CutReply(-1)
	b.proxy.SetDelay(0)
	return err
}

// An Update that failed was carried out once or not at all, however often a
// client would repeat it; one that returned nil exactly once.
func TestUpdateAtMostOnce(t *testing.T) {
	t.Parallel()
	const callers, updates = 4, 50
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, direct := single(t)
			loadScripts(t, direct)
			truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
			if _, err := truth.Generate(t.Context(), "kept"); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			tickets := make([]map[string]error, callers)
			for i := range callers {
				tickets[i] = make(map[string]error)
				wg.Go(func() {
					line := newBrokenLine(t, server, uint64(i))
					store := &redis.Store{Client: dial(t, line.proxy.Addr)}
					s, err := store.Get(t.Context(), "kept")
					if err != nil {
						t.Error(err)
						return
					}
					for n := range updates {
						ticket := fmt.Sprintf("%d-%d,", i, n)
						tickets[i][ticket] = line.call(t, func(ctx context.Context) error {
							return session.Update(ctx, s, "tickets", func(old any) (any, error) {
								all, _ := old.(string)
								return all + ticket, nil
							})
						})
					}
					t.Logf("faults: %v", line.made)
				})
			}
			wg.Wait()
			time.Sleep(200 * time.Millisecond) // what was delayed arrives
			now, err := truth.Get(t.Context(), "kept")
			if err != nil {
				t.Fatal(err)
			}
			v, _ := now.Get(t.Context(), "tickets")
			all, _ := v.(string)
			all = "," + all
			acknowledged, failed := 0, 0
			for _, mine := range tickets {
				for ticket, err := range mine {
					n := strings.Count(all, ","+ticket)
					switch {
					case errors.Is(err, session.ErrNotFound):
						t.Errorf("got %v", err)
					case err == nil:
						if acknowledged++; n != 1 {
							t.Errorf("an acknowledged update was carried out %d times", n)
						}
					default:
						if failed++; n > 1 {
							t.Errorf("a failed update was carried out %d times", n)
						}
					}
				}
			}
			if n := strings.Count(all, ",") - 1; n < acknowledged || n > acknowledged+failed {
				t.Errorf("the count is %d after %d acknowledged and %d failed updates", n, acknowledged, failed)
			}
			if acknowledged < callers || failed < updates {
				t.Errorf("%d acknowledged and %d failed show little", acknowledged, failed)
			}
		})
	}
}

// Nobody gets a value twice, whatever became of the reply.
func TestPopAtMostOnce(t *testing.T) {
	t.Parallel()
	const values = 60
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, direct := single(t)
			loadScripts(t, direct)
			truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
			kept, err := truth.Generate(t.Context(), "kept")
			if err != nil {
				t.Fatal(err)
			}
			all := make(map[string]any)
			for i := range values {
				all[fmt.Sprint(i)] = "once"
			}
			if err := session.SetAll(t.Context(), kept, all); err != nil {
				t.Fatal(err)
			}
			line := newBrokenLine(t, server, 0)
			store := &redis.Store{Client: dial(t, line.proxy.Addr)}
			s, err := store.Get(t.Context(), "kept")
			if err != nil {
				t.Fatal(err)
			}
			var delivered, failed int
			for key := range all {
				var v any
				err := line.call(t, func(ctx context.Context) (err error) {
					v, err = session.Pop(ctx, s, key)
					return err
				})
				again, direct := session.Pop(t.Context(), kept, key)
				switch {
				case direct != nil || errors.Is(err, session.ErrNotFound):
					t.Fatalf("got %v, %v", err, direct)
				case err != nil:
					if failed++; v != nil {
						t.Errorf("got a value beside the error %v", err)
					}
				case v != "once" || again != nil:
					t.Errorf("got %v, and then %v", v, again)
				default:
					delivered++
				}
			}
			t.Logf("faults: %v", line.made)
			if delivered == 0 || failed == 0 {
				t.Errorf("%d delivered and %d failed show little", delivered, failed)
			}
		})
	}
}

// What go-redis repeats because the reply got lost has the result of one call.
func TestRepeatedIsOne(t *testing.T) {
	t.Parallel()
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, direct := single(t)
			loadScripts(t, direct)
			truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
			proxy := redistest.NewProxy(t, server.Addr)
			proxy.Match(ours)
			store := &redis.Store{Client: dial(t, proxy.Addr), OpTimeout: time.Minute}
			for i := range 10 {
				id := fmt.Sprint(i)
				made, err := truth.Generate(t.Context(), id)
				if err != nil {
					t.Fatalf("Generate: %v", err)
				}
				first := session.Token(made)
				proxy.LoseReply(1)
				rotated, err := store.Rotate(t.Context(), first, time.Minute)
				if err != nil {
					t.Fatalf("Rotate: %v", err)
				}
				newest, err := truth.Rotate(t.Context(), first, time.Minute) // which only learns
				if err != nil || session.Token(newest) != session.Token(rotated) || session.Token(newest) == first {
					t.Errorf("there is another successor (%v)", err)
				}
				if n, err := direct.Do(t.Context(), "hstrlen", "session:"+id, "o").Int(); err != nil || n != 62 {
					t.Errorf("old tokens of %d bytes (%v), want those of one", n, err)
				}
				for _, token := range []string{session.Token(rotated), first} {
					proxy.LoseReply(1)
					if _, err := store.Open(t.Context(), token); err != nil {
						t.Errorf("Open: %v", err)
					}
				}
			}
		})
	}
}

// After a failure the handler can try the same once more, with what it holds.
func TestOnceMoreAfterFailure(t *testing.T) {
	t.Parallel()
	server, direct := single(t)
	loadScripts(t, direct)
	truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
	proxy := redistest.NewProxy(t, server.Addr)
	proxy.Match(ours)
	store := &redis.Store{Client: newClient(t, "redis://"+proxy.Addr+"?"+slowClient), OpTimeout: time.Minute}
	for name, call := range lateCalls {
		s, err := store.Generate(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			proxy.LoseReply(1 << 30)
			if err := call(t.Context(), store, s); err == nil || errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: got %v, want a failure", name, err)
			}
			proxy.LoseReply(0)
			if err := call(t.Context(), store, s); err != nil {
				t.Errorf("%s once more: %v", name, err)
			}
			if name == "Remove" {
				break
			}
		}
		if _, err := truth.Get(t.Context(), name); (name == "Remove") != errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
