package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
)

// Causes of failures.

func timedOut(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

func cutOff(err error) bool {
	var n net.Error
	return errors.As(err, &n) || errors.Is(err, io.EOF)
}

func answered(err error) bool {
	var e goredis.Error
	return errors.As(err, &e)
}

func anyOf(causes ...func(error) bool) func(error) bool {
	return func(err error) bool {
		for _, cause := range causes {
			if cause(err) {
				return true
			}
		}
		return false
	}
}

// slowClient are the parameters of a client that would wait for long: what ends a
// call is its context, then, and no machine that stands still for a second.
const slowClient = "read_timeout=1m&write_timeout=1m&dial_timeout=1m&pool_timeout=1m"

// ours matches the commands of the store, so that handshakes pass.
var ours = redistest.Named("hgetall", "evalsha", "eval", "unlink")

// networkFaults are those of the way to the server.
func networkFaults() []fault {
	faults := []fault{
		{
			name:  "reply lost", // the server has done it; go-redis asks again
			begin: func(w *world) error { w.proxy.LoseReply(1); return nil },
			end:   func(w *world) error { w.proxy.LoseReply(0); return nil },
			fails: step.once, happens: true, cause: cutOff,
		},
		{
			name: "reply lost every time", opTimeout: shortTimeout, worlds: 4,
			begin: func(w *world) error { w.proxy.LoseReply(1 << 30); return nil },
			end:   func(w *world) error { w.proxy.LoseReply(0); return nil },
			fails: anyStep, cause: anyOf(cutOff, timedOut),
		},
		{
			name:  "reply lost, no second try",
			begin: func(w *world) error { w.proxy.LoseReply(1); return nil },
			end:   func(w *world) error { w.proxy.LoseReply(0); return nil },
			fails: anyStep, happens: true, params: "&max_retries=-1", cause: cutOff,
		},
		{
			name:   "reply lost, then killed",
			config: []string{"--appendonly", "yes", "--appendfsync", "no"}, alone: true, worlds: 4, opTimeout: shortTimeout,
			begin: func(w *world) error {
				var killed atomic.Bool
				w.proxy.Match(func(request []byte) bool {
					if ours(request) && killed.Swap(true) { // the second time
						w.server.Kill()
					}
					return ours(request)
				})
				w.proxy.LoseReply(1)
				return nil
			},
			end: func(w *world) error {
				w.proxy.Match(ours)
				w.server.Restart(w.t)
				return nil
			},
			fails: anyStep, cause: anyOf(cutOff, timedOut),
		},
		{
			name:  "connections reset", // those that are idle
			begin: func(w *world) error { w.proxy.Cut(); return nil },
			// Before the client notices it may send on such a connection once more.
			fails: noStep, may: step.once, happens: true, cause: cutOff,
		},
		{
			name: "connection refused", opTimeout: shortTimeout, worlds: 4,
			begin: func(w *world) error { w.proxy.Refuse(true); w.proxy.Cut(); return nil },
			end:   func(w *world) error { w.proxy.Refuse(false); return nil },
			fails: anyStep, cause: anyOf(cutOff, timedOut),
		},
		{
			name: "slow", worlds: 4, // but in time
			begin: func(w *world) error { w.proxy.SetDelay(5 * time.Millisecond); return nil },
			end:   func(w *world) error { w.proxy.SetDelay(0); return nil },
			fails: noStep,
		},
		{
			name: "too slow", opTimeout: shortTimeout, worlds: 8,
			begin: func(w *world) error { w.proxy.SetDelay(2 * shortTimeout); return nil },
			end:   func(w *world) error { w.proxy.SetDelay(0); return nil },
			fails: anyStep, cause: timedOut,
		},
		{name: "stalled", opTimeout: shortTimeout, cause: timedOut},
		{name: "stalled, the request has a deadline", cause: timedOut, around: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, shortTimeout)
		}},
		{
			name: "stalled, the client leaves", opTimeout: shortTimeout, leaves: true,
			cause: anyOf(timedOut, func(err error) bool { return errors.Is(err, context.Canceled) }),
		},
		{
			name: "too many clients", alone: true, worlds: 2,
			begin: func(w *world) error {
				err := w.do("CONFIG", "SET", "maxclients", 1)
				w.proxy.Cut()
				return err
			},
			end:   func(w *world) error { return w.do("CONFIG", "SET", "maxclients", 10000) },
			fails: anyStep, cause: anyOf(cutOff, answered),
		},
		{
			name: "password asked for", alone: true, worlds: 2,
			begin: func(w *world) error {
				err := w.do("CONFIG", "SET", "requirepass", "new")
				w.proxy.Cut()
				return err
			},
			end:   func(w *world) error { return w.do("CONFIG", "SET", "requirepass", "") },
			fails: anyStep, cause: anyOf(cutOff, answered),
		},
		{
			name: "password changed", alone: true, user: ":old@",
			setup: func(w *world) error { return w.do("CONFIG", "SET", "requirepass", "old") },
			begin: func(w *world) error {
				err := w.do("CONFIG", "SET", "requirepass", "new")
				w.proxy.Cut()
				return err
			},
			end:   func(w *world) error { return w.do("CONFIG", "SET", "requirepass", "old") },
			fails: anyStep, cause: anyOf(cutOff, answered),
		},
	}
	for i := range faults {
		if f := &faults[i]; strings.HasPrefix(f.name, "stalled") {
			f.begin = func(w *world) error { w.proxy.Stall(true); return nil }
			f.end = func(w *world) error { w.proxy.Stall(false); return nil }
			f.fails, f.worlds = anyStep, 8
		}
	}
	// The reply of a script that takes or updates is :1, that of a load a hundred
	// bytes and more.
	for _, after := range []int{1, 3, 40, 4000} {
		f := fault{
			name:  fmt.Sprintf("reply cut after %d", after),
			begin: func(w *world) error { w.proxy.CutReply(after); return nil },
			end:   func(w *world) error { w.proxy.CutReply(-1); return nil },
			fails: func(s step) bool { return after < len(":1\r\n") && s.once() }, may: step.once, happens: true, cause: cutOff,
		}
		faults = append(faults, f)
		if after == 1 {
			f.name, f.params, f.fails = f.name+", no second try", "&max_retries=-1", anyStep
			faults = append(faults, f)
		}
	}
	for i := range faults {
		f := &faults[i]
		f.proxied = true
		setup := f.setup
		f.setup = func(w *world) error {
			w.proxy.Match(ours)
			if setup != nil {
				return setup(w)
			}
			return nil
		}
	}
	return faults
}

// serverFaults are those of the server itself, and of the client.
func serverFaults(t *testing.T) []fault {
	t.Helper()
	major, _, _ := strings.Cut(redistest.Binaries(t)[0].Version, ".")
	old := len(major) == 1 && major < "7"
	persistent := []string{"--appendonly", "yes", "--appendfsync", "no"} // no process that dies takes a write with it
	inScripts := func(s step) bool { return s.command() == "evalsha" }
	set := func(name string, fault, normal any) (begin, end func(w *world) error) {
		return func(w *world) error { return w.do("CONFIG", "SET", name, fault) },
			func(w *world) error { return w.do("CONFIG", "SET", name, normal) }
	}
	faults := []fault{
		{name: "none", begin: func(*world) error { return nil }, fails: noStep},
		{
			name: "killed", config: persistent, opTimeout: shortTimeout, worlds: 4,
			begin: func(w *world) error { w.server.Kill(); return nil },
			end:   func(w *world) error { w.server.Restart(w.t); return nil },
			fails: anyStep, cause: anyOf(cutOff, timedOut),
		},
		{
			name: "paused", opTimeout: shortTimeout, worlds: 6,
			begin: func(w *world) error { w.server.Pause(); return nil },
			end:   func(w *world) error { w.server.Resume(); return nil },
			fails: anyStep, cause: timedOut,
		},
		{
			name:  "restarted empty",
			begin: func(w *world) error { w.server.Restart(w.t); return nil },
			loses: true, worlds: 2,
		},
		{
			name: "restarted with its data", config: persistent, worlds: 2,
			begin: func(w *world) error { w.server.Restart(w.t); return nil },
			fails: noStep, happens: true,
		},
		{
			name:  "scripts forgotten",
			begin: func(w *world) error { return w.do("SCRIPT", "FLUSH") },
			fails: noStep, happens: true,
		},
		{
			name: "replica", worlds: 2, // read-only
			begin: func(w *world) error { return w.do("REPLICAOF", "127.0.0.1", 1) },
			end:   func(w *world) error { return w.do("REPLICAOF", "NO", "ONE") },
			fails: step.writes, cause: answered,
		},
		{
			// Of a master that it follows, which has all data.
			name: "true replica", always: true, fails: step.writes, cause: answered,
			setup: func(w *world) error {
				master, replica := redistest.Start(w.t), w.server
				host, port, err := net.SplitHostPort(master.Addr)
				if err == nil {
					err = w.do("REPLICAOF", host, port)
				}
				w.admin = past(w.t, master)
				return errors.Join(err, w.until(func() bool {
					return replica.Info(w.t, "replication")["master_link_status"] == "up"
				}))
			},
			begin: func(w *world) error { return w.do("WAIT", 1, 60000) }, // or it had nothing to tell
		},
		{
			name: "replica that tells nothing", config: []string{"--replica-serve-stale-data", "no"},
			begin: func(w *world) error { return w.do("REPLICAOF", "127.0.0.1", 1) },
			end:   func(w *world) error { return w.do("REPLICAOF", "NO", "ONE") },
			fails: anyStep, cause: answered,
		},
		{name: "too few replicas", fails: step.writes, cause: answered},
		{name: "out of memory", fails: step.grows, cause: answered, full: true},
		{
			name: "cannot save", fails: step.writes, cause: answered,
			setup: func(w *world) error {
				dir, err := w.admin.ConfigGet(w.t.Context(), "dir").Result()
				if err == nil {
					err = os.MkdirAll(filepath.Join(dir["dir"], "dump.rdb", "in the way"), 0o700)
				}
				if err != nil {
					return err
				}
				return errors.Join(w.do("BGSAVE"), w.until(func() bool {
					return w.server.Info(w.t, "persistence")["rdb_last_bgsave_status"] == "err"
				}))
			},
		},
		{
			name: "loading", fails: anyStep, cause: answered,
			config: []string{"--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no"},
			setup:  func(w *world) error { return w.do("DEBUG", "POPULATE", 1000, "key", 1100) },
			begin: func(w *world) error {
				err := w.do("CONFIG", "SET", "key-load-delay", 3000)
				w.behind("DEBUG", "RELOAD")
				return errors.Join(err, w.until(w.refuses))
			},
			end: func(w *world) error {
				_, err := w.server.Do("CONFIG", "SET", "key-load-delay", 0)
				<-w.ended
				return err
			},
		},
		{
			name: "busy", fails: anyStep, cause: answered,
			config: []string{"--lua-time-limit", "5"},
			begin: func(w *world) error {
				w.behind("EVAL", "while true do end", 0)
				return w.until(w.refuses)
			},
			end: func(w *world) error {
				_, err := w.server.Do("SCRIPT", "KILL")
				<-w.ended
				return err
			},
		},
		{
			name: "no permission",
			begin: func(w *world) error {
				return w.do("ACL", "SETUSER", "default", "-hgetall", "-evalsha", "-eval", "-unlink")
			},
			end:   func(w *world) error { return w.do("ACL", "SETUSER", "default", "+@all") },
			fails: anyStep, cause: answered,
		},
		{
			name: "no permission in scripts",
			begin: func(w *world) error {
				return w.do("ACL", "SETUSER", "default", "-exists", "-hget", "-hmget", "-zscore")
			},
			end:   func(w *world) error { return w.do("ACL", "SETUSER", "default", "+@all") },
			fails: inScripts, cause: answered,
		},
		{
			name:  "no permission for the key",
			begin: func(w *world) error { return w.do("ACL", "SETUSER", "default", "resetkeys", "~elsewhere:*") },
			end:   func(w *world) error { return w.do("ACL", "SETUSER", "default", "allkeys") },
			fails: anyStep, cause: answered,
		},
		{
			name: "client closed", fails: anyStep,
			client: func(c goredis.UniversalClient) error { return c.Close() },
			cause:  func(err error) bool { return errors.Is(err, goredis.ErrClosed) },
		},
	}
	for i := range faults {
		switch f := &faults[i]; f.name {
		case "too few replicas":
			f.begin, f.end = set("min-replicas-to-write", 1, 0)
			if old {
				f.fails = func(s step) bool { return s == stepRemove } // it lets scripts write
			}
		case "out of memory":
			f.begin, f.end = set("maxmemory", 1, 0)
		case "cannot save":
			f.begin, f.end = set("save", "3600 1", "")
		}
	}
	if old { // and cannot be made to load slowly
		faults = slices.DeleteFunc(faults, func(f fault) bool { return f.name == "loading" })
	}
	return faults
}

// behind sends a command that takes long.
func (w *world) behind(args ...any) {
	ended := make(chan struct{})
	w.ended = ended
	go func() {
		defer close(ended)
		_, _ = w.server.Do(args...)
	}()
}

// refuses reports whether the server answers, but with an error.
func (w *world) refuses() bool {
	_, err := w.server.Do("DBSIZE")
	var refusal redistest.ReplyError
	return errors.As(err, &refusal)
}

func (w *world) until(f func() bool) error {
	for deadline := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("not within a minute")
		}
	}
	return nil
}
