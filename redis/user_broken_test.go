package redis_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// A breaker lets something happen before the n-th script that a client sends.
type breaker struct {
	left    int
	happens func()
}

func (b *breaker) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (b *breaker) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (b *breaker) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if cmd.Name() == "evalsha" {
			if b.left--; b.left == 0 {
				b.happens()
			}
		}
		return next(ctx, cmd)
	}
}

// A broken is an anonymous session, and a client that logs ada in from it while
// something goes wrong.
type broken struct {
	t      *testing.T
	server *redistest.Server
	proxy  *redistest.Proxy
	client goredis.UniversalClient
	truth  *redis.Store
	old    session.Session
	was    session.Info
	record any             // of the old session
	ctx    context.Context //nolint:containedctx // of the call
	cancel context.CancelFunc
}

func newBroken(t *testing.T) *broken {
	t.Helper()
	server, direct := single(t)
	loadScripts(t, direct)
	b := &broken{t: t, server: server, proxy: redistest.NewProxy(t, server.Addr), truth: &redis.Store{Client: direct, OpTimeout: time.Minute}}
	client, err := redis.NewClient(unhurried(b.proxy.Addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	b.client = client
	var all sync.WaitGroup
	for range 4 { // connections that are there already
		all.Go(func() { _ = client.Ping(t.Context()).Err() })
	}
	all.Wait()
	b.old = generate(t, b.truth)
	if err := b.old.Set(t.Context(), "cart", 3); err != nil {
		t.Fatal(err)
	}
	b.was, b.record = described(t, b.old), server.MustDo(t, "DUMP", keyOf(b.truth, b.old.ID()))
	b.ctx, b.cancel = context.WithTimeout(t.Context(), 2*time.Second)
	t.Cleanup(b.cancel)
	return b
}

// login logs in from the old session; something happens before the n-th script is
// sent, or when it is on its way.
func (b *broken) login(l session.Login, n int, onItsWay bool, happens func()) (session.Session, error) {
	if onItsWay {
		b.proxy.Match(func(request []byte) bool {
			if redistest.Named("evalsha")(request) {
				if n--; n == 0 {
					happens()
				}
			}
			return true
		})
	} else {
		b.client.AddHook(&breaker{n, happens})
	}
	l.User = "ada"
	return (&redis.Store{Client: b.client}).Login(b.ctx, session.Token(b.old), l)
}

// back checks that the anonymous session is what it was, and that a login from it
// works.
func (b *broken) back() {
	b.t.Helper()
	ctx := b.t.Context()
	s, err := b.truth.Open(ctx, session.Token(b.old))
	if err != nil {
		b.t.Errorf("the old token: %v", err)
		return
	}
	if v, err := s.Get(ctx, "cart"); v != 3 || err != nil || described(b.t, s) != b.was {
		b.t.Errorf("given back with %v, %v and %+v, want %+v", v, err, described(b.t, s), b.was)
	}
	if left := b.server.MustDo(b.t, "PTTL", keyOf(b.truth, b.old.ID())).(int64); left < 29*60_000 {
		b.t.Errorf("what was given back ends in %d ms", left)
	}
	if err := b.old.Set(ctx, "cart", 4); err != nil {
		b.t.Errorf("a write to what was given back: %v", err)
	}
	in, err := b.truth.Login(ctx, session.Token(b.old), session.Login{User: "bob"})
	if err != nil {
		b.t.Errorf("a login from what was given back: %v", err)
		return
	}
	if v, err := in.Get(ctx, "cart"); v != 4 || err != nil {
		b.t.Errorf("a login from what was given back holds %v, %v", v, err)
	}
}

// nobody checks that ada has at most so many sessions, and the old token is none of
// theirs.
func (b *broken) nobody(most int) {
	b.t.Helper()
	infos, err := b.truth.UserSessions(b.t.Context(), "ada")
	if err != nil || len(infos) > most {
		b.t.Errorf("the user has %d sessions, %v, want %d at most", len(infos), err, most)
	}
	s, err := b.truth.Open(b.t.Context(), session.Token(b.old))
	if err == nil && described(b.t, s) != b.was || err != nil && !errors.Is(err, session.ErrNotFound) {
		b.t.Errorf("the old token: got %v, want that it is dead or opens what it did", err)
	}
}

// A client that leaves during a login keeps its session, whatever was under way.
func TestCanceledLogin(t *testing.T) {
	t.Parallel()
	full := session.Login{MaxSessions: 1}
	for name, c := range map[string]struct {
		l        session.Login
		n        int
		onItsWay bool // for long, with all that comes behind it
		sessions int  // of ada, at most: nobody has their tokens
	}{
		"before it is taken":                     {n: 1},
		"before the login":                       {n: 2},
		"before it is given back":                {n: 3, l: full, sessions: 1},
		"while it is being taken":                {n: 1, onItsWay: true},
		"while the login is on its way":          {n: 2, onItsWay: true, sessions: 1},
		"while what gives it back is on its way": {n: 3, onItsWay: true, l: full, sessions: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroken(t)
			if c.l.MaxSessions > 0 {
				loggedIn(t, b.truth, session.Login{User: "ada"})
			}
			used := redistest.Commands(t, b.server)
			s, err := b.login(c.l, c.n, c.onItsWay, func() {
				if c.onItsWay {
					b.proxy.Stall(true)
				}
				b.cancel()
			})
			if s != nil || !errors.Is(err, context.Canceled) && !errors.Is(err, session.ErrUserLimit) {
				t.Errorf("got %v, want that it was canceled", err)
			}
			b.proxy.Stall(false)
			if c.onItsWay {
				await(t, "all scripts arrive", func() bool { return used()["evalsha"].Calls >= int64(min(c.n+1, 3)) })
			}
			b.nobody(c.sessions)
			b.back()
		})
	}
}

// Whatever happens between the two steps of a login, nobody is logged in as somebody
// else, and nobody twice.
func TestBrokenBetweenTakeAndLogin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens  func(b *broken)
		succeeds bool
		lost     bool // the session cannot be given back
		sessions int  // of ada, at most
	}{
		"the client dies for good": {happens: func(b *broken) { _ = b.client.Close() }, lost: true},
		"the way is cut for good": {lost: true, happens: func(b *broken) {
			b.proxy.Refuse(true)
			b.proxy.Cut()
		}},
		"the reply is lost":    {happens: func(b *broken) { b.proxy.LoseReply(1) }, sessions: 1},
		"all replies are lost": {happens: func(b *broken) { b.proxy.LoseReply(1 << 30) }, sessions: 1},
		"the client leaves":    {happens: func(b *broken) { b.cancel() }},
		"time is over":         {happens: func(b *broken) { <-b.ctx.Done() }},
		"the script fails":     {happens: func(b *broken) { b.server.MustDo(b.t, "ACL", "SETUSER", "default", "-zadd") }},
		"all scripts are lost": {succeeds: true, sessions: 1, happens: func(b *broken) { b.server.MustDo(b.t, "SCRIPT", "FLUSH") }},
		"everything is lost":   {succeeds: true, lost: true, sessions: 1, happens: func(b *broken) { b.server.MustDo(b.t, "FLUSHALL") }},
		"that it was taken is lost": {succeeds: true, sessions: 1, happens: func(b *broken) { // by a failover
			b.server.MustDo(b.t, "RESTORE", keyOf(b.truth, b.old.ID()), 1_800_000, b.record, "REPLACE")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroken(t)
			s, err := b.login(session.Login{Values: map[string]any{"city": "Rome"}}, 2, false, func() { c.happens(b) })
			if (err == nil) != c.succeeds || (s == nil) == c.succeeds || errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, want that it succeeds: %t", err, c.succeeds)
			}
			b.server.MustDo(t, "ACL", "SETUSER", "default", "+@all")
			b.nobody(c.sessions)
			if c.succeeds {
				in := open(t, b.truth, session.Token(s))
				for key, want := range map[string]any{"cart": 3, "city": "Rome"} {
					if v, err := in.Get(t.Context(), key); v != want || err != nil || described(t, in).User != "ada" {
						t.Errorf("logged in with %v, %v, want %v", v, err, want)
					}
				}
				lists(t, b.truth, "ada", in)
			}
			switch {
			case c.lost || c.succeeds && name != "that it was taken is lost":
				if _, err := b.truth.Open(t.Context(), session.Token(b.old)); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("the old token: got %v, want ErrNotFound", err)
				}
			default:
				b.back()
			}
		})
	}
}
