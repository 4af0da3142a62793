package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/program"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// A visit is a session that lives and whose token was seen.
type visit struct {
	*redis.Store
	t         *testing.T
	id, token string
	s         session.Session
}

func newVisit(t *testing.T, store *redis.Store, id string) *visit {
	t.Helper()
	s, err := store.Generate(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := session.SetAll(t.Context(), s, map[string]any{"a": 1, "b": "x"}); err != nil {
		t.Fatal(err)
	}
	return &visit{Store: store, t: t, id: id, token: session.Token(s), s: s}
}

// rotated is the newest token after a rotation; seen: a client has shown it.
func (v *visit) rotated(ctx context.Context, grace time.Duration, seen bool) string {
	s, err := v.Rotate(ctx, v.token, grace)
	if err == nil && seen {
		s, err = v.Open(ctx, session.Token(s))
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return session.Token(s)
}

// login logs in, by default from nothing, a user who is named as the session.
func (v *visit) login(ctx context.Context, clientToken string) session.Session {
	s, err := v.Login(ctx, clientToken, session.Login{User: v.id, ID: "of-" + v.id, Values: map[string]any{"a": 1}})
	if err != nil {
		v.t.Fatal(err)
	}
	return s
}

// removed ends the session.
func (v *visit) removed(ctx context.Context) {
	if err := v.Remove(ctx, v.id); err != nil {
		v.t.Fatal(err)
	}
}

// halfASecondAgo is the time of a revocation that a login which begins now comes after,
// and could have come before, if it were on its way for as long as it may.
func halfASecondAgo() int64 { return time.Now().Add(-time.Second / 2).UnixMicro() }

func errorOf[T any](_ T, err error) error { return err }

func addOne(old any) (any, error) {
	n, _ := old.(int)
	return n + 1, nil
}

// A cost is a kind of call, and the commands that it may cost. prepare makes what the
// call needs and returns it.
type cost struct {
	name    string
	want    string
	is      error
	prepare func(ctx context.Context, v *visit) (call func() error)
}

// costs is every kind of call but for those about devices.
var costs = []cost{
	{"Generate", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		v.removed(ctx)
		return func() error { return errorOf(v.Generate(ctx, v.id)) }
	}},
	{"Generate, live", "evalsha", session.ErrExists, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Generate(ctx, v.id)) }
	}},
	{"Generate, malformed", "", session.ErrInvalidID, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Generate(ctx, v.id+"*")) }
	}},
	{"Open", "hgetall", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Open(ctx, v.token)) }
	}},
	{"Open, rotated once and seen", "hgetall", nil, func(ctx context.Context, v *visit) func() error {
		newest := v.rotated(ctx, time.Hour, true)
		return func() error { return errorOf(v.Open(ctx, newest)) }
	}},
	{"Open, newest not seen", "hgetall evalsha", nil, func(ctx context.Context, v *visit) func() error {
		newest := v.rotated(ctx, time.Hour, false)
		return func() error { return errorOf(v.Open(ctx, newest)) }
	}},
	{"Open, old within its grace", "hgetall evalsha", nil, func(ctx context.Context, v *visit) func() error {
		v.rotated(ctx, time.Hour, true)
		return func() error { return errorOf(v.Open(ctx, v.token)) }
	}},
	{"Open, old after its grace", "hgetall evalsha", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		v.rotated(ctx, 0, true)
		return func() error { return errorOf(v.Open(ctx, v.token)) }
	}},
	{"Open, another secret", "hgetall", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Open(ctx, v.id+"."+strings.Repeat("A", 26))) }
	}},
	{"Open, removed", "hgetall", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		v.removed(ctx)
		return func() error { return errorOf(v.Open(ctx, v.token)) }
	}},
	{"Open, malformed", "", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Open(ctx, v.token+"a")) }
	}},
	{"Rotate", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Rotate(ctx, v.token, time.Hour)) }
	}},
	{"Rotate, old", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		v.rotated(ctx, time.Hour, true)
		return func() error { return errorOf(v.Rotate(ctx, v.token, time.Hour)) }
	}},
	{"Rotate, removed", "evalsha", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		v.removed(ctx)
		return func() error { return errorOf(v.Rotate(ctx, v.token, time.Hour)) }
	}},
	{"Rotate, malformed", "", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Rotate(ctx, "."+v.token, time.Hour)) }
	}},
	{"Get", "hgetall", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Get(ctx, v.id)) }
	}},
	{"Get, malformed", "", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Get(ctx, v.id+"\x00")) }
	}},
	{"Refresh", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return v.Refresh(ctx, v.id) }
	}},
	{"Refresh, malformed", "", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		return func() error { return v.Refresh(ctx, "") }
	}},
	{"Remove", "unlink", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return v.Remove(ctx, v.id) }
	}},
	{"Remove, malformed", "", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return v.Remove(ctx, v.id+"?") }
	}},
	{"Set", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return v.s.Set(ctx, "a", 2) }
	}},
	{"Set, removed", "evalsha", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		v.removed(ctx)
		return func() error { return v.s.Set(ctx, "a", 2) }
	}},
	{"Set, refused", "", session.ErrValue, func(ctx context.Context, v *visit) func() error {
		return func() error { return v.s.Set(ctx, "a", nil) }
	}},
	{"Set, canceled", "", context.Canceled, func(ctx context.Context, v *visit) func() error {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return func() error { return v.s.Set(ctx, "a", 2) }
	}},
	{"SetAll", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return session.SetAll(ctx, v.s, numbered(1022)) }
	}},
	{"Delete", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return session.Delete(ctx, v.s, make([]string, 5000)...) }
	}},
	{"Clear", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return session.Clear(ctx, v.s) }
	}},
	{"Pop", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(session.Pop(ctx, v.s, "a")) }
	}},
	{"Pop, absent", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(session.Pop(ctx, v.s, "none")) }
	}},
	{"Update", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return session.Update(ctx, v.s, "a", addOne) }
	}},
	{"Update, absent", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return session.Update(ctx, v.s, "none", addOne) }
	}},
	{"Update, written by another", "evalsha evalsha", nil, func(ctx context.Context, v *visit) func() error {
		other, err := v.Get(ctx, v.id)
		if err == nil {
			err = other.Set(ctx, "a", 5)
		}
		return func() error { return errors.Join(err, session.Update(ctx, v.s, "a", addOne)) }
	}},
	{"Login", "evalsha evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Login(ctx, v.token, session.Login{User: v.id})) }
	}},
	{"Login, nobody", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Login(ctx, "", session.Login{User: v.id})) }
	}},
	{"Login, nobody, values", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Login(ctx, "", session.Login{User: v.id, Values: numbered(1022)})) }
	}},
	{"Login, the same user", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		clientToken := session.Token(v.login(ctx, ""))
		return func() error { return errorOf(v.Login(ctx, clientToken, session.Login{User: v.id})) }
	}},
	{"Login, again", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		clientToken := session.Token(v.login(ctx, ""))
		return func() error {
			return errorOf(v.Login(ctx, clientToken, session.Login{User: v.id, Reauthentication: true}))
		}
	}},
	{"Login, the id is taken", "evalsha", session.ErrExists, func(ctx context.Context, v *visit) func() error {
		v.login(ctx, "")
		return func() error { return errorOf(v.Login(ctx, "", session.Login{User: v.id, ID: "of-" + v.id})) }
	}},
	{"Login, revoked", "evalsha evalsha evalsha", session.ErrRevoked, func(ctx context.Context, v *visit) func() error {
		began := time.Now().Add(-time.Second)
		_, err := v.RemoveUserSessions(ctx, v.id)
		return func() error {
			return errors.Join(err, errorOf(v.Login(ctx, v.token, session.Login{User: v.id, Began: began})))
		}
	}},
	{"Login, nobody, after a revocation", "evalsha evalsha", nil, func(ctx context.Context, v *visit) func() error {
		err := v.Client.(goredis.UniversalClient).Set(ctx, revokedOf(v.Store, v.id), halfASecondAgo(), time.Hour).Err()
		began := time.Now()
		return func() error {
			return errors.Join(err, errorOf(v.Login(ctx, "", session.Login{User: v.id, Began: began})))
		}
	}},
	{"Login, room under the limit", "evalsha evalsha", nil, func(ctx context.Context, v *visit) func() error {
		v.login(ctx, "")
		return func() error {
			return errorOf(v.Login(ctx, v.token, session.Login{User: v.id, MaxSessions: 2}))
		}
	}},
	{"Login, at the limit", "evalsha evalsha evalsha", session.ErrUserLimit, func(ctx context.Context, v *visit) func() error {
		v.login(ctx, "")
		return func() error {
			return errorOf(v.Login(ctx, v.token, session.Login{User: v.id, MaxSessions: 1}))
		}
	}},
	{"Login in place of the oldest", "evalsha evalsha", nil, func(ctx context.Context, v *visit) func() error {
		v.login(ctx, "")
		return func() error {
			return errorOf(v.Login(ctx, "", session.Login{User: v.id, MaxSessions: 1, EndOldest: true}))
		}
	}},
	{"Login, another secret", "evalsha", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		return func() error {
			return errorOf(v.Login(ctx, v.id+"."+strings.Repeat("A", 26), session.Login{User: v.id}))
		}
	}},
	{"Login, malformed", "", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Login(ctx, v.id, session.Login{User: v.id})) }
	}},
	{"Refresh, of a user", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		id := v.login(ctx, v.token).ID()
		return func() error { return v.Refresh(ctx, id) }
	}},
	{"Open, of a user", "hgetall", nil, func(ctx context.Context, v *visit) func() error {
		clientToken := session.Token(v.login(ctx, v.token))
		return func() error { return errorOf(v.Open(ctx, clientToken)) }
	}},
	{"Set, of a user", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		s := v.login(ctx, v.token)
		return func() error { return s.Set(ctx, "a", 2) }
	}},
	{"Update, of a user", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		s := v.login(ctx, "")
		return func() error { return session.Update(ctx, s, "none", addOne) }
	}},
	{"Remove, of a user", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		id := v.login(ctx, v.token).ID()
		return func() error { return v.Remove(ctx, id) }
	}},
	{"UserSessions, none", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.UserSessions(ctx, v.id)) }
	}},
	{"UserSessions", "evalsha hmget", nil, func(ctx context.Context, v *visit) func() error {
		v.login(ctx, "")
		return func() error { return errorOf(v.UserSessions(ctx, v.id)) }
	}},
	{"UserSessions, one has ended", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		err := v.Remove(ctx, v.login(ctx, "").ID())
		return func() error { return errors.Join(err, errorOf(v.UserSessions(ctx, v.id))) }
	}},
	{"RemoveUserSessions, none", "evalsha evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.RemoveUserSessions(ctx, v.id)) }
	}},
	{"RemoveUserSessions", "evalsha evalsha", nil, func(ctx context.Context, v *visit) func() error {
		v.login(ctx, "")
		return func() error { return errorOf(v.RemoveUserSessions(ctx, v.id)) }
	}},
	{"RemoveUserSessions, 201", "evalsha eval eval", nil, func(ctx context.Context, v *visit) func() error {
		var err error
		for range 201 {
			err = errors.Join(err, errorOf(v.Login(ctx, "", session.Login{User: v.id})))
		}
		return func() error { return errors.Join(err, errorOf(v.RemoveUserSessions(ctx, v.id))) }
	}},
	{"reading", "", nil, func(ctx context.Context, v *visit) func() error {
		return func() error {
			_, described := session.Describe(v.s)
			return errors.Join(described, errorOf(v.s.Get(ctx, "a")), errorOf(program.Shown(ctx, v.s)))
		}
	}},
}

func numbered(n int) map[string]any {
	all := make(map[string]any)
	for i := range n {
		all[fmt.Sprint(i)] = i
	}
	return all
}

// TestCosts counts the commands of every call, with scripts that the server knows and
// with scripts that it has just forgotten; and sees which keys they are for.
func TestCosts(t *testing.T) {
	t.Parallel()
	for _, binary := range redistest.Binaries(t) {
		t.Run(binary.Name, func(t *testing.T) {
			t.Parallel()
			server := binary.Start(t)
			w, client := wired(t, server)
			store := &redis.Store{Client: client, Prefix: "pre{fix:", OpTimeout: time.Minute}
			for _, scripts := range []string{"new", "known", "forgotten"} {
				for i, tt := range slices.Concat(costs, deviceCosts) {
					v := newVisit(t, store, fmt.Sprintf("%d-%s", i, scripts))
					call := tt.prepare(t.Context(), v)
					if scripts == "forgotten" {
						server.MustDo(t, "SCRIPT", "FLUSH")
					}
					w.take(t)
					served := redistest.Commands(t, server)
					err := call()
					stats := served()
					if !errors.Is(err, tt.is) || tt.is == nil && err != nil {
						t.Errorf("%s: got %v, want %v", tt.name, err, tt.is)
					}
					requests := w.take(t)
					for _, words := range requests {
						for _, key := range keysIn(t, words) {
							if key != keyOf(store, v.id) && key != indexOf(store, v.id) && key != revokedOf(store, v.id) &&
								!strings.HasPrefix(key, keyOf(store, homeOf(v.id)+"_")) {
								t.Errorf("%s: %s of key %q", tt.name, words[0], key)
							}
						}
						if c := stats[words[0]].Calls; c == 0 {
							t.Errorf("%s: %s did not reach the server", tt.name, words[0])
						}
					}
					got, sent, distinct := folded(requests)
					if got != tt.want {
						t.Errorf("%s, scripts %s: got %q, want %q", tt.name, scripts, got, tt.want)
					}
					if scripts == "known" && sent != 0 || scripts == "forgotten" && sent != distinct {
						t.Errorf("%s, scripts %s: sent %d of %d scripts", tt.name, scripts, sent, distinct)
					}
				}
			}
		})
	}
}
