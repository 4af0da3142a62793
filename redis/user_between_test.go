package redis_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// between is a store, and a function that lets something happen before the n-th
// command of a call reaches the server.
func between(t *testing.T) (st, truth *redis.Store, before func(n int, happens func())) {
	t.Helper()
	server, direct := single(t)
	proxy := redistest.NewProxy(t, server.Addr)
	warm(t, direct)
	st = &redis.Store{Client: newClient(t, unhurried(proxy.Addr)), OpTimeout: time.Minute}
	truth = &redis.Store{Client: direct, OpTimeout: time.Minute}
	if _, err := st.UserSessions(t.Context(), "nobody"); err != nil { // it has a connection
		t.Fatal(err)
	}
	return st, truth, func(n int, happens func()) {
		var seen atomic.Int32
		proxy.Match(func([]byte) bool { // sees requests on their way to the server
			if int(seen.Add(1)) == n {
				happens()
			}
			return false
		})
	}
}

// TestBetweenTakeAndLogin lets everything happen while the anonymous session is taken
// and nobody is logged in yet.
func TestBetweenTakeAndLogin(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	notFound := func(err error) error {
		if !errors.Is(err, session.ErrNotFound) {
			return errors.New("not ErrNotFound")
		}
		return nil
	}
	for name, c := range map[string]struct {
		l       session.Login
		happens func(truth *redis.Store, s session.Session) error
		want    error
	}{
		"a write":    {session.Login{}, func(_ *redis.Store, s session.Session) error { return notFound(s.Set(ctx, "cart", 4)) }, nil},
		"an update":  {session.Login{}, func(_ *redis.Store, s session.Session) error { return notFound(session.Update(ctx, s, "cart", addOne)) }, nil},
		"a pop":      {session.Login{}, func(_ *redis.Store, s session.Session) error { return notFound(errorOf(session.Pop(ctx, s, "cart"))) }, nil},
		"a deletion": {session.Login{}, func(_ *redis.Store, s session.Session) error { return notFound(session.Delete(ctx, s, "cart")) }, nil},
		"a clear":    {session.Login{}, func(_ *redis.Store, s session.Session) error { return notFound(session.Clear(ctx, s)) }, nil},
		"a refresh":  {session.Login{}, func(truth *redis.Store, s session.Session) error { return notFound(truth.Refresh(ctx, s.ID())) }, nil},
		"a look": {session.Login{}, func(truth *redis.Store, s session.Session) error {
			return notFound(errorOf(truth.Open(ctx, session.Token(s))))
		}, nil},
		"a rotation": {session.Login{}, func(truth *redis.Store, s session.Session) error {
			return notFound(errorOf(truth.Rotate(ctx, session.Token(s), time.Hour)))
		}, nil},
		"a login": {session.Login{}, func(truth *redis.Store, s session.Session) error {
			return notFound(errorOf(truth.Login(ctx, session.Token(s), session.Login{User: "bob"})))
		}, nil},
		"a logout": {session.Login{}, func(truth *redis.Store, s session.Session) error { return truth.Remove(ctx, s.ID()) }, nil},
		"a revocation of another": {session.Login{Began: time.Now()}, func(truth *redis.Store, _ session.Session) error {
			return errorOf(truth.RemoveUserSessions(ctx, "bob"))
		}, nil},
		"a revocation": {session.Login{Began: time.Now()}, func(truth *redis.Store, _ session.Session) error {
			return errorOf(truth.RemoveUserSessions(ctx, "ada"))
		}, session.ErrRevoked},
		"a login that is one too many": {session.Login{MaxSessions: 1}, func(truth *redis.Store, _ session.Session) error {
			return errorOf(truth.Login(ctx, "", session.Login{User: "ada"}))
		}, session.ErrUserLimit},
		"the same id": {session.Login{ID: "same"}, func(truth *redis.Store, _ session.Session) error {
			return errorOf(truth.Login(ctx, "", session.Login{User: "ada", ID: "same"}))
		}, session.ErrExists},
	} {
		st, truth, before := between(t)
		s := generate(t, truth)
		if err := session.SetAll(ctx, s, map[string]any{"cart": 3, "theme": "dark"}); err != nil {
			t.Fatal(err)
		}
		was := described(t, s)
		before(2, func() {
			if err := c.happens(truth, s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		c.l.User, c.l.Values = "ada", map[string]any{"theme": "light", "new": true}
		in, err := st.Login(ctx, session.Token(s), c.l)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		want, token := map[string]any{"cart": 3, "theme": "dark", "new": nil}, session.Token(s)
		if err == nil {
			want, token = map[string]any{"cart": 3, "theme": "light", "new": true}, session.Token(in)
			if _, err := truth.Open(ctx, session.Token(s)); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: the old token: got %v, want ErrNotFound", name, err)
			}
			lists(t, truth, "ada", in)
		}
		got := open(t, truth, token)
		for key, value := range want {
			if v, err := got.Get(ctx, key); err != nil || v != value {
				t.Errorf("%s: %s: got %v, %v, want %v", name, key, v, err, value)
			}
		}
		if c.want != nil {
			if described(t, got) != was {
				t.Errorf("%s: given back %+v, want %+v", name, described(t, got), was)
			}
			if err := s.Set(ctx, "cart", 5); err != nil {
				t.Errorf("%s: a write to what was given back: %v", name, err)
			}
		}
	}
}
