package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// A lossy is a store that loses the reply of one command of a call.
type lossy struct {
	*redis.Store
	t      *testing.T
	server *redistest.Server
	truth  *redis.Store // past the loss
	proxy  *redistest.Proxy
}

func newLossy(t *testing.T, params string) *lossy {
	t.Helper()
	server, direct := single(t)
	loadScripts(t, direct)
	l := &lossy{t: t, server: server, truth: &redis.Store{Client: direct, OpTimeout: time.Minute}, proxy: redistest.NewProxy(t, server.Addr)}
	l.Store = &redis.Store{Client: newClient(t, unhurried(l.proxy.Addr)+params), OpTimeout: time.Minute}
	return l
}

// lose makes a call that loses the reply of its n-th command, and returns how many
// commands arrived.
func (l *lossy) lose(n int, call func() error) (sent int, err error) {
	l.t.Helper()
	var seen atomic.Int32
	l.proxy.Match(func(request []byte) bool {
		return (ours(request) || moreOfOurs(request)) && int(seen.Add(1)) == n
	})
	l.proxy.LoseReply(1)
	err = call()
	l.proxy.LoseReply(0)
	if sent = int(seen.Load()); sent < n {
		l.t.Errorf("it sent %d commands, and had to lose the reply of number %d", sent, n)
	}
	return sent, err
}

// TestLostReplies loses the reply of each step of a call in turn. Where that may be
// sent again it is as if nothing had been lost.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	l, users := newLossy(t, ""), 0
	ctx := t.Context()
	// user is a new one, who has so many sessions.
	user := func(sessions int) (name string, oldest session.Session) {
		users++
		name = fmt.Sprint("user", users)
		for i := range sessions {
			if s := loggedIn(t, l.truth, session.Login{User: name}); i == 0 {
				oldest = s
			}
		}
		return name, oldest
	}

	t.Log("a login from an anonymous session: taken, the oldest asked for, begun")
	for step, want := range map[int]bool{1: true, 2: false, 3: false} {
		left := map[int]int{1: 2, 2: 2, 3: 1}[step] // in the end one had made room, and who took it was ended
		user, _ := user(2)
		old := generate(t, l.truth)
		if err := old.Set(ctx, "cart", 3); err != nil {
			t.Fatal(err)
		}
		was := described(t, old)
		var ended []string
		var in session.Session
		sent, err := l.lose(step, func() (err error) {
			in, err = l.Login(ctx, session.Token(old), session.Login{User: user, MaxSessions: 2, EndOldest: true, Ended: func(id string) { ended = append(ended, id) }})
			return err
		})
		if infos, err := l.truth.UserSessions(ctx, user); err != nil || len(infos) != left {
			t.Errorf("step %d: %d sessions, %v, want %d", step, len(infos), err, left)
		}
		if want {
			if err != nil || len(ended) != 1 {
				t.Fatalf("step %d: got %v, told of %d that ended, want 1", step, err, len(ended))
			}
			open(t, l.truth, session.Token(in))
			isAlive(t, l.truth, old, false, "the anonymous session")
			continue
		}
		if err == nil || errors.Is(err, session.ErrNotFound) || in != nil {
			t.Errorf("step %d: got %v, want a failure", step, err)
		}
		if sent != 2*step { // and a look for the session that nobody got, its end if there is one, and what gives back
			t.Errorf("step %d: %d commands, want that none is sent again", step, sent)
		}
		back := open(t, l.truth, session.Token(old))
		if v, err := back.Get(ctx, "cart"); v != 3 || err != nil || described(t, back) != was {
			t.Errorf("step %d: given back with %v, %v and %+v, want %+v", step, v, err, described(t, back), was)
		}
		if err := old.Set(ctx, "cart", 4); err != nil {
			t.Errorf("step %d: a write to what was given back: %v", step, err)
		}
		if left := l.server.MustDo(t, "PTTL", keyOf(l.truth, old.ID())).(int64); left < 29*60_000 {
			t.Errorf("step %d: what was given back ends in %d ms", step, left)
		}
	}

	t.Log("a login that is refused: taken, refused, given back")
	for _, step := range []int{1, 3} {
		user, _ := user(1)
		old := generate(t, l.truth)
		_, err := l.lose(step, func() error {
			return errorOf(l.Login(ctx, session.Token(old), session.Login{User: user, MaxSessions: 1}))
		})
		if !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("step %d: got %v, want ErrUserLimit", step, err)
		}
		isAlive(t, l.truth, old, true, "the anonymous session")
	}

	t.Log("a login from nothing")
	name, _ := user(0)
	sent, err := l.lose(1, func() error { return errorOf(l.Login(ctx, "", session.Login{User: name})) })
	if err == nil || errors.Is(err, session.ErrNotFound) || sent != 3 {
		t.Errorf("got %v after %d commands, want a failure after one, and two that end the session", err, sent)
	}
	lists(t, l.truth, name)
	other, err := l.truth.Login(ctx, "", session.Login{User: name, ID: "same"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.lose(1, func() error { return errorOf(l.Login(ctx, "", session.Login{User: name, ID: "same"})) }); err == nil {
		t.Error("a login with an id that another session has succeeds")
	}
	lists(t, l.truth, name, other)

	t.Log("a login again: the oldest asked for, logged in")
	for _, step := range []int{1, 2} {
		user, oldest := user(2)
		mine := loggedIn(t, l.truth, session.Login{User: user})
		var in session.Session
		_, err := l.lose(step, func() (err error) {
			in, err = l.Login(ctx, session.Token(mine), session.Login{User: user, MaxSessions: 2, EndOldest: true})
			return err
		})
		if err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		open(t, l.truth, session.Token(in))
		isAlive(t, l.truth, oldest, false, "the oldest")
		if _, err := l.truth.Open(ctx, session.Token(mine)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("step %d: the old token: got %v, want ErrNotFound", step, err)
		}
	}

	t.Log("the other calls")
	for what, call := range map[string]func(user string, s session.Session) (steps int, f func() error){
		"UserSessions": func(user string, _ session.Session) (int, func() error) {
			return 2, func() error { return errorOf(l.UserSessions(ctx, user)) }
		},
		"RemoveUserSessions": func(user string, s session.Session) (int, func() error) {
			return 2, func() error { return errorOf(l.RemoveUserSessions(ctx, user, s.ID())) }
		},
		"Refresh": func(_ string, s session.Session) (int, func() error) {
			return 1, func() error { return l.Refresh(ctx, s.ID()) }
		},
		"Remove": func(user string, _ session.Session) (int, func() error) {
			s := loggedIn(t, l.truth, session.Login{User: user})
			return 1, func() error { return l.Remove(ctx, s.ID()) }
		},
	} {
		user, s := user(1)
		steps, f := call(user, s)
		for step := 1; step <= steps; step++ {
			if _, err := l.lose(step, f); err != nil {
				t.Errorf("%s, step %d: %v", what, step, err)
			}
		}
		lists(t, l.truth, user, s)
	}
}

// What fails in a pipeline is sent once more alone, also by a client that repeats
// nothing.
func TestPipelinesAreMended(t *testing.T) {
	t.Parallel()
	l := newLossy(t, "&max_retries=-1")
	for range 500 { // more than one script ends
		loggedIn(t, l.truth, session.Login{User: "ada"})
	}
	if _, err := l.lose(4, func() error { // the third record
		infos, err := l.UserSessions(t.Context(), "ada")
		if err == nil && len(infos) != 500 {
			err = fmt.Errorf("got %d sessions", len(infos))
		}
		return err
	}); err != nil {
		t.Errorf("UserSessions: %v", err)
	}
	if _, err := l.lose(3, func() error { return errorOf(l.RemoveUserSessions(t.Context(), "ada")) }); err != nil { // the second script that ends
		t.Errorf("RemoveUserSessions: %v", err)
	}
	lists(t, l.truth, "ada")
}

// Who may not set a time to live leaves nothing without.
func TestNotAllowedToExpire(t *testing.T) {
	t.Parallel()
	server, direct := single(t)
	truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
	server.MustDo(t, "ACL", "SETUSER", "hasty", "on", ">secret", "~*", "+@all", "-pexpireat")
	st := &redis.Store{Client: newClient(t, strings.Replace(unhurried(server.Addr), "://", "://hasty:secret@", 1)), OpTimeout: time.Minute}
	check := func(what string, call func() error) {
		t.Helper()
		var refusal goredis.Error
		if err := call(); !errors.As(err, &refusal) {
			t.Errorf("%s: got %v, want what Redis answered", what, err)
		}
		for _, key := range server.MustDo(t, "KEYS", "*").([]any) {
			if server.MustDo(t, "PTTL", key) == int64(-1) {
				t.Errorf("%s: %v never expires", what, key)
			}
		}
	}
	s, mine := generate(t, truth), loggedIn(t, truth, session.Login{User: "bob"})
	was := described(t, mine)
	login := func(token, user string) func() error {
		return func() error {
			return errorOf(st.Login(t.Context(), token, session.Login{User: user, AbsoluteTimeout: 48 * time.Hour}))
		}
	}
	check("Login from nothing", login("", "ada"))
	lists(t, truth, "ada")
	check("Login", login(session.Token(s), "ada"))
	lists(t, truth, "ada")
	isAlive(t, truth, s, true, "the anonymous session")
	check("Login again", login(session.Token(mine), "bob"))
	if got := described(t, open(t, truth, session.Token(mine))); got != was {
		t.Errorf("after a login that failed: got %+v, want %+v", got, was)
	}
	lists(t, truth, "bob", mine)
	check("Refresh", func() error { return st.Refresh(t.Context(), mine.ID()) })
	// The index is there, and ends late enough.
	late := loggedIn(t, truth, session.Login{User: "ada", IdleTimeout: 400 * 24 * time.Hour, AbsoluteTimeout: 400 * 24 * time.Hour})
	check("Login beside another", login("", "ada"))
	second, err := truth.Login(t.Context(), "", session.Login{User: "ada", MaxSessions: 2})
	if err != nil {
		t.Fatalf("what failed counts: %v", err)
	}
	lists(t, truth, "ada", late, second)
}

// moreOfOurs is the command that only calls about users send.
var moreOfOurs = redistest.Named("hmget")
