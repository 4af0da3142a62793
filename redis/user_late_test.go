package redis_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

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
	loadScripts(t, client)
	return &late{Store: &redis.Store{Client: client, OpTimeout: time.Minute}, t: t, wire: w, server: server}
}

// copies returns what a call sends that may be sent twice. All of it may, but for
// the script that begins a session.
func (l *late) copies(call func() error) (commands [][]string) {
	l.t.Helper()
	l.wire.take(l.t)
	if err := call(); err != nil {
		l.t.Fatal(err)
	}
	return slices.DeleteFunc(l.wire.take(l.t), begins)
}

// begins reports whether a command runs login.lua without the secret of a session
// that goes on.
func begins(command []string) bool {
	keys, _ := strconv.Atoi(command[2])
	presented := 3 + keys + 2
	return keys >= 3 && presented < len(command) && command[presented] == ""
}

// arrive sends commands again: in their order, and the other way round.
func (l *late) arrive(commands [][]string) {
	l.t.Helper()
	if len(commands) == 0 {
		l.t.Error("there is nothing to send twice")
	}
	for i := range 2 * len(commands) {
		l.send(commands[min(i, 2*len(commands)-1-i)])
	}
}

func (l *late) send(command []string) {
	l.t.Helper()
	args := make([]any, len(command))
	for i, word := range command {
		args[i] = word
	}
	l.server.MustDo(l.t, args...)
}

// login logs in from the session of a token.
func (l *late) login(clientToken string, how session.Login) session.Session {
	l.t.Helper()
	how.User = "ada"
	s, err := l.Login(l.t.Context(), clientToken, how)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// anonymous makes a session with a value.
func (l *late) anonymous() session.Session {
	l.t.Helper()
	s := generate(l.t, l.Store)
	if err := s.Set(l.t.Context(), "cart", 3); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// copiesOfLogin logs in, and returns the session as well.
func (l *late) copiesOfLogin(clientToken string, how session.Login) (s session.Session, sent [][]string) {
	l.t.Helper()
	sent = l.copies(func() error {
		s = l.login(clientToken, how)
		return nil
	})
	return s, sent
}

// copiesOfRefusal is a login that is refused, because ada has a session already. It
// is the script that takes, and the one that gives back.
func (l *late) copiesOfRefusal(clientToken string) (take, restore []string) {
	l.t.Helper()
	sent := l.copies(func() error {
		_, err := l.Login(l.t.Context(), clientToken, session.Login{User: "ada", MaxSessions: 1})
		if !errors.Is(err, session.ErrUserLimit) {
			l.t.Fatalf("got %v, want ErrUserLimit", err)
		}
		return nil
	})
	if len(sent) != 2 {
		l.t.Fatalf("a refused login sends %d commands that may be sent twice, want 2", len(sent))
	}
	return sent[0], sent[1]
}

// wantSame checks that a session is as it was, with its value, and takes writes.
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
	want, _ := s.Get(l.t.Context(), "cart")
	if got, err := opened.Get(l.t.Context(), "cart"); got != want || err != nil {
		l.t.Errorf("%s: it holds %v, %v, want %v", what, got, err, want)
	}
	if err := s.Set(l.t.Context(), "late", true); err != nil {
		l.t.Errorf("%s: a write: %v", what, err)
	}
}

// wantDead checks that a session has ended, for everybody who knows it.
func (l *late) wantDead(what string, s session.Session) {
	l.t.Helper()
	isAlive(l.t, l.Store, s, false, what)
	if _, err := l.Open(l.t.Context(), session.Token(s)); !errors.Is(err, session.ErrNotFound) {
		l.t.Errorf("%s: its token: got %v, want ErrNotFound", what, err)
	}
	if err := s.Set(l.t.Context(), "late", true); !errors.Is(err, session.ErrNotFound) {
		l.t.Errorf("%s: a write: got %v, want ErrNotFound", what, err)
	}
}

// TestLateUserCommands lets every command of a call about users arrive once more,
// after what came later was acknowledged.
func TestLateUserCommands(t *testing.T) {
	t.Parallel()
	again := session.Login{Reauthentication: true}
	for name, run := range map[string]func(t *testing.T, l *late){
		"login after a revocation": func(t *testing.T, l *late) {
			old := l.anonymous()
			s, sent := l.copiesOfLogin(session.Token(old), session.Login{})
			revokes(t, l.Store, "ada", 1)
			l.arrive(sent)
			l.wantDead("a revoked session", s)
			l.wantDead("the anonymous one", old)
			lists(t, l.Store, "ada")
		},
		"login after a logout": func(t *testing.T, l *late) {
			old := l.anonymous()
			s, sent := l.copiesOfLogin(session.Token(old), session.Login{})
			for _, id := range []string{s.ID(), old.ID()} {
				if err := l.Remove(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			l.arrive(sent)
			l.wantDead("a session that was removed", s)
			l.wantDead("the anonymous one", old)
			other, err := l.Generate(t.Context(), old.ID())
			if err != nil {
				t.Fatal(err)
			}
			l.arrive(sent)
			l.wantSame("the id given again", other)
		},
		"login after nothing": func(t *testing.T, l *late) {
			old := l.anonymous()
			s, sent := l.copiesOfLogin(session.Token(old), session.Login{})
			l.arrive(sent)
			l.wantSame("logged in", s)
			l.wantDead("the anonymous one", old)
			lists(t, l.Store, "ada", s)
		},
		"login that was refused": func(t *testing.T, l *late) {
			mine := l.login("", session.Login{})
			s := l.anonymous()
			take, restore := l.copiesOfRefusal(session.Token(s))
			l.arrive([][]string{take, restore})
			l.wantSame("given back", s)
			for range 3 {
				l.copiesOfRefusal(session.Token(s))
			}
			l.send(take)
			l.wantSame("given back since", s)
			l.send(restore)
			l.wantSame("given back since, and twice", s)
			lists(t, l.Store, "ada", mine)
		},
		"login that was refused, after one that was not": func(t *testing.T, l *late) {
			mine := l.login("", session.Login{})
			old := l.anonymous()
			take, restore := l.copiesOfRefusal(session.Token(old))
			s := l.login(session.Token(old), session.Login{})
			l.arrive([][]string{take, restore})
			l.wantDead("the anonymous one", old)
			l.wantSame("logged in since", s)
			lists(t, l.Store, "ada", s, mine)
		},
		// The call had ended when its first command came.
		"take that comes after it was given back": func(t *testing.T, l *late) {
			l.login("", session.Login{})
			s := l.anonymous()
			record := l.server.MustDo(t, "DUMP", "session:"+s.ID())
			take, restore := l.copiesOfRefusal(session.Token(s))
			l.server.MustDo(t, "RESTORE", "session:"+s.ID(), 600_000, record, "REPLACE")
			l.send(restore)
			l.send(take)
			l.wantSame("never taken", s)
		},
		"login again after a revocation": func(t *testing.T, l *late) {
			for _, how := range []session.Login{{}, again} {
				s, sent := l.copiesOfLogin(session.Token(l.login("", session.Login{})), how)
				revokes(t, l.Store, "ada", 1)
				l.arrive(sent)
				l.wantDead("a revoked session", s)
				lists(t, l.Store, "ada")
			}
		},
		"login again after a logout": func(t *testing.T, l *late) {
			s, sent := l.copiesOfLogin(session.Token(l.login("", session.Login{ID: "same"})), session.Login{})
			if err := l.Remove(t.Context(), s.ID()); err != nil {
				t.Fatal(err)
			}
			l.arrive(sent)
			l.wantDead("a session that was removed", s)
			lists(t, l.Store, "ada")
			other := l.login("", session.Login{ID: "same"})
			l.arrive(sent)
			l.wantSame("the id given again", other)
		},
		"login again after a rotation": func(t *testing.T, l *late) {
			s, sent := l.copiesOfLogin(session.Token(l.login("", session.Login{})), session.Login{})
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
		"login again after another": func(t *testing.T, l *late) {
			s, sent := l.copiesOfLogin(session.Token(l.login("", session.Login{})), session.Login{Level: 1, AbsoluteTimeout: 9 * time.Hour})
			s = l.login(session.Token(s), session.Login{Level: 7, UserAgent: "new"})
			l.arrive(sent)
			l.wantSame("logged in again since", s)
			lists(t, l.Store, "ada", s)
		},
		"revocation after a login": func(t *testing.T, l *late) {
			old := l.login("", session.Login{})
			sent := l.copies(func() error { return errorOf(l.RemoveUserSessions(t.Context(), "ada")) })
			s, anonymous := l.login("", session.Login{}), l.anonymous()
			l.arrive(sent)
			l.wantSame("logged in since", s)
			l.wantSame("anonymous", anonymous)
			l.wantDead("a revoked session", old)
			lists(t, l.Store, "ada", s)
		},
		"login again at the limit after others": func(t *testing.T, l *late) {
			limited := session.Login{MaxSessions: 1, EndOldest: true}
			first, second := l.login("", session.Login{}), l.login("", session.Login{})
			second, sent := l.copiesOfLogin(session.Token(second), limited)
			l.wantDead("the first, whom the second has ended", first)
			third := l.login(session.Token(l.anonymous()), limited)
			fourth := l.login("", session.Login{})
			l.arrive(sent)
			l.wantSame("the third", third)
			l.wantSame("the fourth", fourth)
			l.wantDead("the second, whom the third has ended", second)
			lists(t, l.Store, "ada", third, fourth)
			revokes(t, l.Store, "ada", 2)
		},
		"refreshing and logging out, after it": func(t *testing.T, l *late) {
			s := l.login("", session.Login{})
			sent := l.copies(func() error {
				return errors.Join(l.Refresh(t.Context(), s.ID()), l.Remove(t.Context(), s.ID()))
			})
			other := l.login("", session.Login{})
			l.arrive(sent)
			l.wantDead("a session that was removed", s)
			l.wantSame("another", other)
			lists(t, l.Store, "ada", other)
		},
		"listing after a login": func(t *testing.T, l *late) {
			gone := l.login("", session.Login{})
			if err := l.Remove(t.Context(), gone.ID()); err != nil {
				t.Fatal(err)
			}
			sent := l.copies(func() error { return errorOf(l.UserSessions(t.Context(), "ada")) })
			s := l.login("", session.Login{})
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

// A session that a login has taken is gone, so its id is free. What somebody else keeps
// under a key is not.
func TestGenerateOverTaken(t *testing.T) {
	t.Parallel()
	l := newLate(t)
	old := l.anonymous()
	l.login(session.Token(old), session.Login{})
	s, err := l.Generate(t.Context(), old.ID())
	if err != nil {
		t.Fatal(err)
	}
	l.wantSame("the id given again", s)
	for _, n := range []string{"t", "title", "t" + "elevenchars", "2", ""} {
		l.server.MustDo(t, "HSET", "session:foreign", "n", n, "text", "hello")
		if _, err := l.Generate(t.Context(), "foreign"); !errors.Is(err, session.ErrExists) {
			t.Errorf("over a hash with %q in n: got %v, want ErrExists", n, err)
		}
		if got := l.server.MustDo(t, "HGET", "session:foreign", "text"); got != "hello" {
			t.Errorf("over a hash with %q in n: it holds %v", n, got)
		}
	}
}
