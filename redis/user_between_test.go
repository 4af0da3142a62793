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

// TestBetweenNoteAndBinding lets everything happen there that must stop a login.
func TestBetweenNoteAndBinding(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for name, c := range map[string]struct {
		l       session.Login
		happens func(truth *redis.Store, s session.Session) error
		want    error
	}{
		"revoked": {session.Login{User: "ada"}, func(truth *redis.Store, _ session.Session) error {
			return errorOf(truth.RemoveUserSessions(ctx, "ada"))
		}, session.ErrRevoked},
		"revoked, but excepted": {session.Login{User: "ada"}, func(truth *redis.Store, s session.Session) error {
			return errorOf(truth.RemoveUserSessions(ctx, "ada", s.ID()))
		}, session.ErrRevoked},
		"another takes its place": {session.Login{User: "ada"}, func(truth *redis.Store, _ session.Session) error {
			loggedIn(t, truth, session.Login{User: "ada", MaxSessions: 1, EndOldest: true})
			return nil
		}, session.ErrNotFound},
		"removed": {session.Login{User: "ada"}, func(truth *redis.Store, s session.Session) error {
			return truth.Remove(ctx, s.ID())
		}, session.ErrNotFound},
		"rotated and seen": {session.Login{User: "ada"}, func(truth *redis.Store, s session.Session) error {
			rotated, err := truth.Rotate(ctx, session.Token(s), 0)
			if err != nil {
				return err
			}
			return errorOf(truth.Open(ctx, session.Token(rotated)))
		}, session.ErrNotFound},
		"another user logs in": {session.Login{User: "ada"}, func(truth *redis.Store, s session.Session) error {
			return errorOf(truth.Login(ctx, session.Token(s), session.Login{User: "bob"}))
		}, session.ErrNotFound},
		"another user is revoked": {session.Login{User: "ada"}, func(truth *redis.Store, _ session.Session) error {
			return errorOf(truth.RemoveUserSessions(ctx, "bob"))
		}, nil},
	} {
		st, truth, before := between(t)
		s := generate(t, truth)
		before(2, func() {
			if err := c.happens(truth, s); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		_, err := st.Login(ctx, session.Token(s), c.l)
		if !errors.Is(err, c.want) || errors.Is(err, session.ErrRevoked) != errors.Is(c.want, session.ErrRevoked) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if got, err := truth.Get(ctx, s.ID()); err == nil && (described(t, got).User == "ada") != (c.want == nil) {
			t.Errorf("%s: the session is of %q", name, described(t, got).User)
		}
	}
}

// A session that was found dead may have a successor of the same id when that is
// told.
func TestBetweenLookAndNote(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st, truth, before := between(t)
	first := loggedIn(t, truth, session.Login{User: "ada"})
	if err := truth.Remove(ctx, first.ID()); err != nil {
		t.Fatal(err)
	}
	s := generate(t, truth)
	var second session.Session
	before(4, func() { // after a note, and two records
		made, err := truth.Generate(ctx, first.ID())
		if err == nil {
			second, err = truth.Login(ctx, session.Token(made), session.Login{User: "ada"})
		}
		if err != nil {
			t.Errorf("the successor: %v", err)
		}
	})
	if _, err := st.Login(ctx, session.Token(s), session.Login{User: "ada", MaxSessions: 1}); !errors.Is(err, session.ErrUserLimit) {
		t.Errorf("got %v, want ErrUserLimit", err)
	}
	lists(t, truth, "ada", second)
}
