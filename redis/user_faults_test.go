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

// A late is a store whose commands are kept, to be sent once more later on, as
// the copy of one that go-redis had given up may arrive.
type late struct {
	*redis.Store
	t      *testing.T
	wire   *wire
	server *redistest.Server
}

func newLate(t *testing.T) *late {
	t.Helper()
	server := redistest.Start(t)
	w, client := wired(t, server)
	return &late{Store: &redis.Store{Client: client, OpTimeout: time.Minute}, t: t, wire: w, server: server}
}

// copies returns what f sends.
func (l *late) copies(f func() error) (commands [][]string) {
	l.t.Helper()
	l.wire.take(l.t)
	if err := f(); err != nil {
		l.t.Fatal(err)
	}
	return l.wire.take(l.t)
}

// arrive sends commands again: in their order, and the other way round.
func (l *late) arrive(commands [][]string) {
	l.t.Helper()
	for i := range 2 * len(commands) {
		command := commands[min(i, 2*len(commands)-1-i)]
		args := make([]any, len(command))
		for j, word := range command {
			args[j] = word
		}
		l.server.MustDo(l.t, args...)
	}
}

func (l *late) login(s session.Session, how session.Login) session.Session {
	l.t.Helper()
	again, err := l.Login(l.t.Context(), session.Token(s), how)
	if err != nil {
		l.t.Fatal(err)
	}
	return again
}

// wantSame checks that a session is as it was.
func (l *late) wantSame(what string, s session.Session) {
	l.t.Helper()
	opened, err := l.Open(l.t.Context(), session.Token(s))
	if err != nil {
		l.t.Errorf("%s: %v", what, err)
		return
	}
	if got, want := described(l.t, opened), described(l.t, s); got != want {
		l.t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// TestLateUserCommands lets every command of a call about users arrive once more,
// after what came later was acknowledged.
func TestLateUserCommands(t *testing.T) {
	t.Parallel()
	ada := session.Login{User: "ada"}
	for name, run := range map[string]func(t *testing.T, l *late){
		"login after a revocation": func(t *testing.T, l *late) {
			s := generate(t, l.Store)
			sent := l.copies(func() error { return errorOf(l.Login(t.Context(), session.Token(s), ada)) })
			revokes(t, l.Store, "ada", 1)
			l.arrive(sent)
			isAlive(t, l.Store, s, false, "a revoked session")
			lists(t, l.Store, "ada")
		},
		// The note is in the index, and the script that binds still on its way.
		"binding after a revocation": func(t *testing.T, l *late) {
			s := generate(t, l.Store)
			key := "session:" + s.ID()
			record := l.server.MustDo(t, "DUMP", key)
			sent := l.copies(func() error { return errorOf(l.Login(t.Context(), session.Token(s), ada)) })
			l.server.MustDo(t, "RESTORE", key, 600_000, record, "REPLACE")
			revokes(t, l.Store, "ada", 0)
			l.arrive(sent[1:])
			l.wantSame("nobody's when its user was revoked", s)
			l.arrive(sent)
			l.wantSame("with its note", s)
			s = l.login(s, ada)
			l.wantSame("logged in since", s)
			l.arrive(sent)
			l.wantSame("and late copies", s)
			if l.server.MustDo(t, "HEXISTS", key, "f") != int64(0) {
				t.Error("the fence outlives the next login")
			}
		},
		// Who takes over a minute to bind is no longer counted, and so must not.
		"binding a minute after its note": func(t *testing.T, l *late) {
			s := generate(t, l.Store)
			key, index := "session:"+s.ID(), indexOf(&redis.Store{Prefix: "session:"}, "ada")
			record := l.server.MustDo(t, "DUMP", key)
			sent := l.copies(func() error { return errorOf(l.Login(t.Context(), session.Token(s), ada)) })
			entry := entryOf(session.Token(s), time.Now().Add(-61*time.Second), time.Hour)
			l.server.MustDo(t, "RESTORE", key, 600_000, record, "REPLACE")
			l.server.MustDo(t, "HSET", index, s.ID(), entry)
			binding := sent[len(sent)-1]
			for i, word := range binding {
				if len(word) == 16 && strings.Trim(word, "0123456789") == "" {
					binding[i] = entry[:16]
				}
			}
			other := l.login(generate(t, l.Store), session.Login{User: "ada", MaxSessions: 1})
			l.arrive([][]string{binding})
			l.wantSame("the other", other)
			l.wantSame("who was too late", s)
			lists(t, l.Store, "ada", other)
		},
		"binding what is excepted from a revocation": func(t *testing.T, l *late) {
			s := l.login(generate(t, l.Store), ada)
			key := "session:" + s.ID()
			record := l.server.MustDo(t, "DUMP", key)
			sent := l.copies(func() error {
				return errorOf(l.Login(t.Context(), session.Token(s), session.Login{User: "ada", Level: 9}))
			})
			l.server.MustDo(t, "RESTORE", key, 600_000, record, "REPLACE")
			revokes(t, l.Store, "ada", 0, s.ID())
			l.arrive(sent[1:])
			l.wantSame("excepted, and its login began before", s)
			l.wantSame("logged in since", l.login(s, session.Login{User: "ada", Reauthentication: true}))
		},
		"login after a logout": func(t *testing.T, l *late) {
			s := generate(t, l.Store)
			sent := l.copies(func() error { return errorOf(l.Login(t.Context(), session.Token(s), ada)) })
			if err := l.Remove(t.Context(), s.ID()); err != nil {
				t.Fatal(err)
			}
			l.arrive(sent)
			isAlive(t, l.Store, s, false, "a session that was removed")
			again, err := l.Generate(t.Context(), s.ID())
			if err != nil {
				t.Fatal(err)
			}
			l.arrive(sent)
			l.wantSame("the id given again", again)
		},
		"login after a rotation": func(t *testing.T, l *late) {
			var s session.Session
			first := generate(t, l.Store)
			sent := l.copies(func() (err error) {
				s, err = l.Login(t.Context(), session.Token(first), ada)
				return err
			})
			l.arrive(sent)
			l.wantSame("nothing has happened since", s)
			s, err := l.Rotate(t.Context(), session.Token(s), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			s = open(t, l.Store, session.Token(s))
			l.arrive(sent)
			l.wantSame("rotated since", s)
		},
		"login after another": func(t *testing.T, l *late) {
			var s session.Session
			first := generate(t, l.Store)
			sent := l.copies(func() (err error) {
				s, err = l.Login(t.Context(), session.Token(first), session.Login{User: "ada", Level: 1, AbsoluteTimeout: 9 * time.Hour})
				return err
			})
			s = l.login(s, session.Login{User: "ada", Level: 7, UserAgent: "new"})
			l.arrive(sent)
			l.wantSame("logged in again since", s)
			lists(t, l.Store, "ada", s)
		},
		"reauthentication after a revocation": func(t *testing.T, l *late) {
			s := l.login(generate(t, l.Store), ada)
			sent := l.copies(func() error {
				return errorOf(l.Login(t.Context(), session.Token(s), session.Login{User: "ada", Reauthentication: true}))
			})
			revokes(t, l.Store, "ada", 1)
			l.arrive(sent)
			isAlive(t, l.Store, s, false, "a revoked session")
		},
		"revocation after a login": func(t *testing.T, l *late) {
			old := l.login(generate(t, l.Store), ada)
			sent := l.copies(func() error { return errorOf(l.RemoveUserSessions(t.Context(), "ada")) })
			s, anonymous := l.login(generate(t, l.Store), ada), generate(t, l.Store)
			l.arrive(sent)
			l.wantSame("logged in since", s)
			l.wantSame("anonymous", anonymous)
			isAlive(t, l.Store, old, false, "a revoked session")
			lists(t, l.Store, "ada", s)
		},
		"login at the limit after others": func(t *testing.T, l *late) {
			limited := session.Login{User: "ada", MaxSessions: 1, EndOldest: true}
			l.login(generate(t, l.Store), ada)
			second := generate(t, l.Store)
			sent := l.copies(func() error { return errorOf(l.Login(t.Context(), session.Token(second), limited)) })
			third := l.login(generate(t, l.Store), limited)
			fourth := l.login(generate(t, l.Store), ada)
			l.arrive(sent)
			l.wantSame("the third", third)
			l.wantSame("the fourth", fourth)
			isAlive(t, l.Store, second, false, "the second, whom the third has ended")
			lists(t, l.Store, "ada", third, fourth)
			revokes(t, l.Store, "ada", 2)
		},
		"listing after a login": func(t *testing.T, l *late) {
			gone := l.login(generate(t, l.Store), ada)
			if err := l.Remove(t.Context(), gone.ID()); err != nil {
				t.Fatal(err)
			}
			sent := l.copies(func() error { return errorOf(l.UserSessions(t.Context(), "ada")) })
			s := l.login(generate(t, l.Store), ada)
			l.arrive(sent)
			lists(t, l.Store, "ada", s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLate(t)
			run(t, l)
			for _, key := range l.server.MustDo(t, "KEYS", "*").([]any) {
				if l.server.MustDo(t, "PTTL", key) == int64(-1) {
					t.Errorf("%v never expires", key)
				}
			}
		})
	}
}

// TestLostReplies loses the reply of each step of a call in turn. go-redis asks
// again, and it is as if nothing had been lost.
func TestLostReplies(t *testing.T) {
	t.Parallel()
	server, direct := single(t)
	truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
	proxy := redistest.NewProxy(t, server.Addr)
	st := &redis.Store{Client: newClient(t, unhurried(proxy.Addr)), OpTimeout: time.Minute}
	for step := range 7 {
		lose := func(call func() error) (lost bool, err error) {
			var seen, hit atomic.Int32
			proxy.Match(func(request []byte) bool {
				if strings.Contains(strings.ToLower(string(request[:min(len(request), 40)])), "hello") || !ours(request) && !moreOfOurs(request) {
					return false
				}
				if int(seen.Add(1)-1) != step {
					return false
				}
				hit.Add(1)
				return true
			})
			proxy.LoseReply(1)
			err = call()
			proxy.LoseReply(0)
			return hit.Load() > 0, err
		}
		user := fmt.Sprint("user", step)
		var ended []string
		full := session.Login{User: user, MaxSessions: 2, EndOldest: true, Ended: func(id string) { ended = append(ended, id) }}
		loggedIn(t, truth, session.Login{User: user})
		loggedIn(t, truth, session.Login{User: user})
		var s session.Session
		carried := session.Token(generate(t, truth))
		lost, err := lose(func() (err error) {
			s, err = st.Login(t.Context(), carried, full)
			return err
		})
		if err != nil || !lost {
			t.Fatalf("Login, step %d: lost a reply: %t, %v", step, lost, err)
		}
		open(t, truth, session.Token(s))
		if infos, err := truth.UserSessions(t.Context(), user); err != nil || len(infos) != 2 {
			t.Errorf("Login, step %d: %d sessions, %v, want 2", step, len(infos), err)
		}
		if step != 5 && len(ended) != 1 { // who ends a session a second time finds none
			t.Errorf("Login, step %d: told of %d sessions that were ended, want 1", step, len(ended))
		}
		lost, err = lose(func() error { return errorOf(st.RemoveUserSessions(t.Context(), user, s.ID())) })
		if err != nil || !lost && step < 3 {
			t.Errorf("RemoveUserSessions, step %d: lost a reply: %t, %v", step, lost, err)
		}
		lists(t, truth, user, s)
		if _, err = lose(func() error { return errorOf(st.UserSessions(t.Context(), user)) }); err != nil {
			t.Errorf("UserSessions, step %d: %v", step, err)
		}
	}
}

// What fails in a pipeline is sent once more alone, also by a client that repeats
// nothing.
func TestPipelinesAreMended(t *testing.T) {
	t.Parallel()
	server, direct := single(t)
	truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
	proxy := redistest.NewProxy(t, server.Addr)
	st := &redis.Store{Client: newClient(t, unhurried(proxy.Addr)+"&max_retries=-1"), OpTimeout: time.Minute}
	for _, name := range []string{"hmget", "eval", "zrange"} {
		for range 5 {
			loggedIn(t, truth, session.Login{User: "ada"})
		}
		var seen atomic.Int32
		proxy.Match(func(request []byte) bool {
			return redistest.Named(name)(request) && (name == "zrange" || seen.Add(1) == 3)
		})
		proxy.LoseReply(1)
		if infos, err := st.UserSessions(t.Context(), "ada"); err != nil || len(infos) != 5 {
			t.Errorf("lost a reply to %s: UserSessions: got %d, %v", name, len(infos), err)
		}
		if _, err := st.RemoveUserSessions(t.Context(), "ada"); err != nil {
			t.Errorf("lost a reply to %s: RemoveUserSessions: %v", name, err)
		}
		proxy.LoseReply(0)
		lists(t, truth, "ada")
	}
}

// Who may not set a time to live leaves nothing without.
func TestNotAllowedToExpire(t *testing.T) {
	t.Parallel()
	server, direct := single(t)
	truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
	args := []any{"ACL", "SETUSER", "hasty", "on", ">secret", "~*", "+@all", "-pexpireat"}
	server.MustDo(t, args...)
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
	s := generate(t, truth)
	login := func() error { return errorOf(st.Login(t.Context(), session.Token(s), session.Login{User: "ada"})) }
	check("Login", login)
	check("RemoveUserSessions", func() error { return errorOf(st.RemoveUserSessions(t.Context(), "ada")) })
	// The index is there, and ends late enough: what fails is the second step.
	loggedIn(t, truth, session.Login{User: "ada", AbsoluteTimeout: 400 * 24 * time.Hour})
	server.MustDo(t, "DEL", strings.Replace(indexOf(&redis.Store{Prefix: "session:"}, "ada"), "user:", "user:{-}", 1))
	check("Login, noted already", login)
	isAlive(t, truth, s, true, "the session")
}

// moreOfOurs are the commands that only calls about users send.
var moreOfOurs = redistest.Named("hkeys", "hmget", "hdel", "zrange")
