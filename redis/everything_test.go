package redis_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// everyCall returns the methods of a store, each as a call that a healthy store
// answers without a session of that id, too.
func everyCall(ctx context.Context, st *redis.Store, id string) map[string]func() error {
	token := id + ".ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return map[string]func() error{
		"Generate":    func() error { return second(st.Generate(ctx, id)) },
		"Open":        func() error { return second(st.Open(ctx, token)) },
		"Rotate":      func() error { return second(st.Rotate(ctx, token, 0)) },
		"Get":         func() error { return second(st.Get(ctx, id)) },
		"Refresh":     func() error { return st.Refresh(ctx, id) },
		"Remove":      func() error { return st.Remove(ctx, id) },
		"Login":       func() error { return second(st.Login(ctx, token, session.Login{User: "ada"})) },
		"Bind":        func() error { return second(st.Bind(ctx, token, aProof(""))) },
		"Prove":       func() error { return second(st.Prove(ctx, id, aProof("1"))) },
		"Open, bound": func() error { return second(st.Open(ctx, token+"DEVICE")) },

		"UserSessions":       func() error { return second(st.UserSessions(ctx, "ada")) },
		"RemoveUserSessions": func() error { return second(st.RemoveUserSessions(ctx, "ada")) },
	}
}

func second[T any](_ T, err error) error { return err }

// A calls is a list of calls; the first that does not end as it should is its
// error.
type calls struct{ err error }

func (c *calls) do(name string, want error, call func() error) {
	if c.err != nil {
		return
	}
	switch err := call(); {
	case err == nil && want != nil:
		c.err = fmt.Errorf("%s: got no error, want %w", name, want)
	case !errors.Is(err, want):
		c.err = fmt.Errorf("%s: %w", name, err)
	}
}

// doEverything makes a session of that id, does with it all that can be done, and
// ends it.
func doEverything(ctx context.Context, st *redis.Store, id string) error {
	var (
		c calls
		s session.Session
	)
	c.do("Generate", nil, func() (err error) { s, err = st.Generate(ctx, id); return err })
	c.do("Generate again", session.ErrExists, func() error { return second(st.Generate(ctx, id)) })
	if c.err != nil {
		return c.err
	}
	useTokens(ctx, &c, st, &s)
	useValues(ctx, &c, s)
	mine := useUsers(ctx, &c, st, session.Token(s), id)
	if c.err != nil {
		return c.err
	}
	c.do("Get of what a login has ended", session.ErrNotFound, func() error { return second(st.Get(ctx, id)) })
	c.do("Set there", session.ErrNotFound, func() error { return s.Set(ctx, "k", "v") })
	useValues(ctx, &c, mine)
	useDevice(ctx, &c, st, mine)
	c.do("Refresh", nil, func() error { return st.Refresh(ctx, mine.ID()) })
	c.do("Get", nil, func() error { return second(st.Get(ctx, mine.ID())) })
	c.do("Remove", nil, func() error { return st.Remove(ctx, mine.ID()) })
	c.do("Remove again", nil, func() error { return st.Remove(ctx, mine.ID()) })
	c.do("Set after Remove", session.ErrNotFound, func() error { return mine.Set(ctx, "k", "v") })
	c.do("Generate once more", nil, func() error { return second(st.Generate(ctx, id)) })
	c.do("Refresh, anonymous", nil, func() error { return st.Refresh(ctx, id) })
	c.do("Remove, anonymous", nil, func() error { return st.Remove(ctx, id) })
	for name, call := range everyCall(ctx, st, id) {
		switch name {
		case "Generate", "Remove":
		case "UserSessions", "RemoveUserSessions":
			c.do(name+" after Remove", nil, call)
		default:
			c.do(name+" after Remove", session.ErrNotFound, call)
		}
	}
	return c.err
}

// useTokens rotates, and leaves the session with its newest token.
func useTokens(ctx context.Context, c *calls, st *redis.Store, made *session.Session) {
	first := session.Token(*made)
	open := func(clientToken, want string) func() error {
		return func() error { return carries(want)(st.Open(ctx, clientToken)) }
	}
	var newest string
	c.do("Open", nil, open(first, first))
	c.do("Rotate", nil, func() error {
		s, err := st.Rotate(ctx, first, time.Minute)
		if err == nil {
			newest = session.Token(s)
		}
		return err
	})
	if c.err != nil {
		return
	}
	c.do("Now", nil, func() error { return second(session.Now(ctx, *made)) })
	c.do("Open with the old token", nil, open(first, newest))
	c.do("Rotate with the old token", nil, func() error { return carries(newest)(st.Rotate(ctx, first, time.Minute)) })
	c.do("Open with the new token", nil, open(newest, newest))
	c.do("Open with the old token within grace", nil, open(first, newest))
	c.do("Open with a wrong token", session.ErrNotFound, open(first+"A", ""))
	c.do("Rotate without grace", nil, func() error {
		s, err := st.Rotate(ctx, newest, 0)
		if err != nil {
			return err
		}
		*made, err = st.Open(ctx, session.Token(s))
		return err
	})
	c.do("Open with a token that is over", session.ErrReused, open(newest, ""))
	c.do("Rotate once more", nil, func() error { return second(st.Rotate(ctx, session.Token(*made), time.Minute)) })
	c.do("Open with a token that is over for long", session.ErrReused, open(newest, ""))
}

// useDevice binds a session to a device.
func useDevice(ctx context.Context, c *calls, st *redis.Store, s session.Session) {
	var bound session.Session
	c.do("Bind", nil, func() (err error) { bound, err = st.Bind(ctx, session.Token(s), aProof("")); return err })
	if c.err != nil {
		return
	}
	c.do("Bind again", session.ErrBound, func() error { return second(st.Bind(ctx, session.Token(s), aProof(""))) })
	c.do("Open, bound", nil, func() error { return second(st.Open(ctx, session.Token(bound))) })
	c.do("Prove", nil, func() error { return second(st.Prove(ctx, s.ID(), aProof("1"))) })
	c.do("Prove again", session.ErrReplayed, func() error { return second(st.Prove(ctx, s.ID(), aProof("1"))) })
	c.do("Rotate, bound", nil, func() error {
		return carries(session.Token(bound))(st.Rotate(ctx, session.Token(bound), time.Minute))
	})
	c.do("Open with the token from before", nil, func() error { return second(st.Open(ctx, session.Token(s))) })
	c.do("Open with another bound token", session.ErrNotFound, func() error { return second(st.Open(ctx, s.ID()+".ABCDEFGHIJKLMNOPQRSTUVWXYZDEVICE")) })
}

var errToken = errors.New("another token")

// carries checks what token a session came with.
func carries(want string) func(session.Session, error) error {
	return func(s session.Session, err error) error {
		if err == nil && session.Token(s) != want {
			return errToken
		}
		return err
	}
}

// useUsers logs a user in and others, to the limit, and ends what it made but for the
// session that it returns.
func useUsers(ctx context.Context, c *calls, st *redis.Store, clientToken, id string) (mine session.Session) {
	user := "user of " + id
	login := func(clientToken string, l session.Login) func() error {
		return func() error { return second(st.Login(ctx, clientToken, l)) }
	}
	lists := func(n int) func() error {
		return func() error {
			infos, err := st.UserSessions(ctx, user)
			if err == nil && len(infos) != n {
				return fmt.Errorf("got %d sessions, want %d", len(infos), n)
			}
			return err
		}
	}
	c.do("Login", nil, func() (err error) {
		mine, err = st.Login(ctx, clientToken, session.Login{User: user, Persistent: true, UserAgent: "browser", Values: map[string]any{"k": 1}})
		return err
	})
	c.do("Login with the old token", session.ErrNotFound, login(clientToken, session.Login{User: user}))
	for _, l := range []session.Login{{User: user}, {User: user, Reauthentication: true}} {
		c.do("Login again", nil, func() (err error) {
			mine, err = st.Login(ctx, session.Token(mine), l)
			return err
		})
		if c.err != nil {
			return nil
		}
	}
	var other session.Session
	c.do("Generate another", nil, func() (err error) { other, err = st.Generate(ctx, "other-"+id); return err })
	if c.err != nil {
		return nil
	}
	c.do("Login to the limit", session.ErrUserLimit, login(session.Token(other), session.Login{User: user, MaxSessions: 1}))
	c.do("Set after it", nil, func() error { return other.Set(ctx, "k", "v") })
	c.do("Login beside it", nil, login(session.Token(other), session.Login{User: user, MaxSessions: 2}))
	c.do("Login in place of the oldest", nil, func() (err error) {
		other, err = st.Login(ctx, "", session.Login{User: user, MaxSessions: 2, EndOldest: true})
		return err
	})
	c.do("UserSessions", nil, lists(2))
	c.do("Get of the oldest", session.ErrNotFound, func() error { return second(st.Get(ctx, mine.ID())) })
	c.do("Login of nobody", nil, func() (err error) {
		mine, err = st.Login(ctx, "", session.Login{User: user, ID: "id", Values: map[string]any{"k": 1}})
		return err
	})
	if c.err != nil {
		return nil
	}
	c.do("Login with that id", session.ErrExists, login("", session.Login{User: user, ID: "id"}))
	c.do("RemoveUserSessions", nil, func() error {
		n, err := st.RemoveUserSessions(ctx, user, mine.ID())
		if err == nil && n != 2 {
			return fmt.Errorf("got %d, want 2", n)
		}
		return err
	})
	c.do("UserSessions after it", nil, lists(1))
	c.do("Get after it", session.ErrNotFound, func() error { return second(st.Get(ctx, other.ID())) })
	c.do("Login that began before it", session.ErrRevoked, login(session.Token(mine), session.Login{User: user, Began: time.Now().Add(-time.Minute)}))
	return mine
}

// useValues calls all methods of a session, below and at the limit of 1024
// values.
func useValues(ctx context.Context, c *calls, s session.Session) {
	increment := func(old any) (any, error) {
		n, _ := old.(int)
		return n + 1, nil
	}
	c.do("Set", nil, func() error { return s.Set(ctx, "k", "v") })
	c.do("Update of nothing", nil, func() error { return session.Update(ctx, s, "n", increment) })
	c.do("Update", nil, func() error { return session.Update(ctx, s, "n", increment) })
	c.do("Get", nil, holds(ctx, s, "n", 2))
	c.do("Pop", nil, func() error { return second(session.Pop(ctx, s, "n")) })
	c.do("Pop of nothing", nil, func() error { return second(session.Pop(ctx, s, "n")) })
	c.do("Get after Pop", nil, holds(ctx, s, "n", nil))
	c.do("SetAll", nil, func() error {
		many := make(map[string]any)
		for i := range 1023 {
			many[fmt.Sprint(i)] = i
		}
		return session.SetAll(ctx, s, many)
	})
	c.do("Set of one more", session.ErrTooLarge, func() error { return s.Set(ctx, "n", 1) })
	c.do("Update of one more", session.ErrTooLarge, func() error { return session.Update(ctx, s, "n", increment) })
	c.do("Set at the limit", nil, func() error { return s.Set(ctx, "k", "w") })
	c.do("Update at the limit", nil, func() error { return session.Update(ctx, s, "1", increment) })
	c.do("Get at the limit", nil, holds(ctx, s, "1", 2))
	c.do("Delete", nil, func() error { return session.Delete(ctx, s, "1", "2") })
	c.do("Get after Delete", nil, holds(ctx, s, "1", nil))
	c.do("All", nil, func() error { return count(ctx, s, 1022) })
	c.do("Describe", nil, func() error { return second(session.Describe(s)) })
	c.do("Clear", nil, func() error { return session.Clear(ctx, s) })
	c.do("All after Clear", nil, func() error { return count(ctx, s, 0) })
}

func holds(ctx context.Context, s session.Session, key string, want any) func() error {
	return func() error {
		got, err := s.Get(ctx, key)
		if err == nil && got != want {
			return fmt.Errorf("%s: got %v, want %v", key, got, want)
		}
		return err
	}
}

func count(ctx context.Context, s session.Session, want int) error {
	all, err := session.All(ctx, s)
	if err != nil {
		return err
	}
	n := 0
	for range all {
		n++
	}
	if n != want {
		return fmt.Errorf("got %d values, want %d", n, want)
	}
	return nil
}
