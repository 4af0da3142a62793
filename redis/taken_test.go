package redis_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// A betweenClient calls a function once, before it sends the login that follows the
// taking of an anonymous session.
type betweenClient struct {
	goredis.UniversalClient
	once sync.Once
	call func(take []any)
	take []any
}

func (c *betweenClient) Process(ctx context.Context, cmd goredis.Cmder) error {
	args := cmd.Args()
	switch {
	case args[0] != "evalsha" && args[0] != "eval":
	case c.take == nil:
		c.take = args
	case args[2] != 1:
		c.once.Do(func() { c.call(c.take) })
	}
	return c.UniversalClient.Process(ctx, cmd)
}

// isGone checks that a session which a login has taken is there for nobody.
func isGone(t *testing.T, st *redis.Store, s session.Session, when string) {
	t.Helper()
	ctx, clientToken := t.Context(), session.Token(s)
	for name, err := range map[string]error{
		"Open":    errorOf(st.Open(ctx, clientToken)),
		"Get":     errorOf(st.Get(ctx, s.ID())),
		"Refresh": st.Refresh(ctx, s.ID()),
		"Rotate":  errorOf(st.Rotate(ctx, clientToken, time.Hour)),
		"Login":   errorOf(st.Login(ctx, clientToken, session.Login{User: "ada"})),
		"Set":     s.Set(ctx, "cart", 4),
		"SetAll":  session.SetAll(ctx, s, map[string]any{"cart": 4, "other": 1}),
		"Delete":  session.Delete(ctx, s, "cart"),
		"Clear":   session.Clear(ctx, s),
		"Pop":     errorOf(session.Pop(ctx, s, "cart")),
		"Update":  session.Update(ctx, s, "cart", addOne),
	} {
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s, %s: got %v, want ErrNotFound", when, name, err)
		}
	}
}

// TestTakenSession looks at an anonymous session while a login has its values and is not
// decided, afterwards, and where it was refused.
func TestTakenSession(t *testing.T) {
	t.Parallel()
	ctx, client := t.Context(), newClient(t, unhurried(redistest.Start(t).Addr))
	for _, tt := range []struct {
		name    string
		idle    time.Duration // of the anonymous session
		timeout time.Duration // of the call
		most    time.Duration // for which the session may be kept
		refused error
		login   session.Login
	}{
		{"a login", time.Hour, time.Minute, time.Minute, nil, session.Login{}},
		{"a call that may take long", time.Hour, time.Hour, time.Minute, nil, session.Login{}},
		{"a call that may not", time.Hour, 10 * time.Second, 20 * time.Second, nil, session.Login{}},
		{"a session that ends soon", 20 * time.Second, time.Hour, 20 * time.Second, nil, session.Login{}},
		{"to the limit", time.Hour, time.Minute, time.Minute, session.ErrUserLimit, session.Login{MaxSessions: 1}},
		{"overtaken", time.Hour, time.Minute, time.Minute, session.ErrRevoked, session.Login{Began: time.Now().Add(-time.Minute)}},
		{"to an id that is taken", time.Hour, time.Minute, time.Minute, session.ErrExists, session.Login{ID: "first"}},
		{"with too many values", time.Hour, time.Minute, time.Minute, session.ErrTooLarge, session.Login{Values: numbered(1024)}},
	} {
		client.FlushAll(ctx)
		st := &redis.Store{Client: client, IdleTimeout: tt.idle, OpTimeout: time.Minute}
		if _, err := st.RemoveUserSessions(ctx, "ada"); err != nil {
			t.Fatal(err)
		}
		first, err := st.Login(ctx, "", session.Login{User: "ada", ID: "first"})
		if err != nil {
			t.Fatal(err)
		}
		s := newVisit(t, st, "anonymous").s
		if err := s.Set(ctx, "cart", 3); err != nil {
			t.Fatal(err)
		}
		before := client.HGetAll(ctx, "session:anonymous").Val()
		ends := client.PExpireTime(ctx, "session:anonymous").Val()
		left := func(when string) {
			if left := client.PTTL(ctx, "session:anonymous").Val(); left <= 0 || left > tt.most {
				t.Errorf("%s, %s: kept for %v, want at most %v", tt.name, when, left, tt.most)
			}
		}
		var take []any
		between := &betweenClient{UniversalClient: client, call: func(args []any) {
			take = args
			isGone(t, st, s, tt.name+", in between")
			lists(t, st, "ada", first)
			left("in between")
			if again, err := client.Do(ctx, take...).Slice(); len(again) < 2*len(before) || err != nil {
				t.Errorf("%s: taken twice: got %d fields and values, %v", tt.name, len(again), err)
			}
			left("taken twice")
		}}
		l := tt.login
		l.User = "ada"
		login := &redis.Store{Client: between, IdleTimeout: tt.idle, OpTimeout: tt.timeout}
		in, err := login.Login(ctx, session.Token(s), l)
		if !errors.Is(err, tt.refused) || take == nil && !errors.Is(tt.refused, session.ErrTooLarge) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.refused)
		}
		if tt.refused == nil {
			isGone(t, st, s, tt.name+", afterwards")
			left("afterwards")
			lists(t, st, "ada", first, in)
			wantStored(t, st, in.ID(), tt.name, map[string]any{"a": 1, "b": "x", "cart": 3})
			continue
		}
		lists(t, st, "ada", first)
		for range 2 { // the second time behind a copy of the first command that was late
			after := client.HGetAll(ctx, "session:anonymous").Val()
			delete(after, "g")
			if !maps.Equal(after, before) || client.PExpireTime(ctx, "session:anonymous").Val() != ends {
				t.Errorf("%s: the session is not what it was", tt.name)
			}
			if take == nil {
				take = between.take
			}
			if got, err := client.Do(ctx, take...).Result(); got != int64(0) || err != nil {
				t.Errorf("%s: a copy of the command that comes late: got %v, %v", tt.name, got, err)
			}
		}
		if err := errors.Join(errorOf(st.Open(ctx, session.Token(s))), s.Set(ctx, "cart", 4), st.Refresh(ctx, s.ID())); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
