package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// A server without memory refuses what must grow and nothing else: whoever is logged in
// stays so, and can be logged out.
func TestConformanceFull(t *testing.T) {
	t.Parallel()
	for _, binary := range redistest.Binaries(t) {
		t.Run(binary.Name, func(t *testing.T) {
			t.Parallel()
			server := binary.Start(t)
			isFull(t, newClient(t, unhurried(server.Addr)), server)
		})
		t.Run(binary.Name+" cluster", func(t *testing.T) {
			t.Parallel()
			set := binary.StartCluster(t, nodeTimeout)
			isFull(t, newClient(t, "redis+cluster://"+strings.Join(set.Addrs(), ",")), set.Nodes...)
		})
	}
}

func isFull(t *testing.T, client goredis.UniversalClient, servers ...*redistest.Server) {
	t.Helper()
	st := &redis.Store{Client: client, Prefix: "session:", OpTimeout: time.Minute}
	config := func(name, value string) {
		for _, server := range servers {
			server.MustDo(t, "CONFIG", "SET", name, value)
		}
	}
	loggedIn := func(id, user string) session.Session {
		t.Helper()
		s, err := st.Login(t.Context(), session.Token(generate(t, st)), session.Login{User: user})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Set(t.Context(), "key", id); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, spared, ended := loggedIn("s", "ada"), loggedIn("spared", "bob"), loggedIn("ended", "bob")
	anonymous, removed := generate(t, st), generate(t, st)
	bound, err := st.Bind(t.Context(), session.Token(loggedIn("bound", "eve")), aProof(""))
	if err != nil {
		t.Fatal(err)
	}
	rotated, err := st.Rotate(t.Context(), session.Token(s), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	stale := open(t, st, session.Token(anonymous)) // two objects of one session
	values := map[string]any{"other": "x", "third": "y", "fourth": "z"}
	if err := session.SetAll(t.Context(), rotated, values); err != nil {
		t.Fatal(err)
	}

	if err := rotated.Set(t.Context(), "kept", "as it is"); err != nil {
		t.Fatal(err)
	}
	update := func(to any) func() error {
		return func() error {
			return session.Update(t.Context(), rotated, "kept", func(any) (any, error) { return to, nil })
		}
	}
	login := func(l session.Login) func() error {
		return func() error { _, err := st.Login(t.Context(), session.Token(anonymous), l); return err }
	}

	config("maxmemory-policy", "noeviction")
	config("maxmemory", "1")
	either := func(_ session.Session, err error) error { return err }
	for _, call := range []struct {
		name string
		do   func() error
		want error
	}{
		{"Generate", func() error { return either(st.Generate(t.Context(), "new")) }, session.ErrFull},
		{"Set", func() error { return anonymous.Set(t.Context(), "key", "value") }, session.ErrFull},
		{"SetAll", func() error { return session.SetAll(t.Context(), anonymous, values) }, session.ErrFull},
		{"Update that grows", func() error {
			return session.Update(t.Context(), anonymous, "key", func(any) (any, error) { return "value", nil })
		}, session.ErrFull},
		{"Rotate", func() error { return either(st.Rotate(t.Context(), session.Token(anonymous), time.Minute)) }, session.ErrFull},
		{"Login", login(session.Login{User: "new"}), session.ErrFull},
		{"Bind", func() error { return either(st.Bind(t.Context(), session.Token(anonymous), aProof(""))) }, session.ErrFull},
		{"Login that would end the oldest", login(session.Login{User: "bob", MaxSessions: 1, EndOldest: true}), session.ErrFull},
		{"nobody was ended by it", func() error { _, err := st.Get(t.Context(), ended.ID()); return err }, nil},

		{"Get", func() error { return either(st.Get(t.Context(), s.ID())) }, nil},
		{"Open", func() error { return either(st.Open(t.Context(), session.Token(anonymous))) }, nil},
		{"Open after a rotation, the first", func() error { return either(st.Open(t.Context(), session.Token(rotated))) }, nil},
		{"Open with the old token", func() error { return either(st.Open(t.Context(), session.Token(s))) }, nil},
		{"Open of a bound session, the first", func() error { return either(st.Open(t.Context(), session.Token(bound))) }, nil},
		{"Prove", func() error {
			proved, err := st.Prove(t.Context(), bound.ID(), aProof("1"))
			return errors.Join(err, either(st.Open(t.Context(), session.Token(proved))))
		}, nil},
		{"Refresh", func() error { return st.Refresh(t.Context(), rotated.ID()) }, nil},
		{"Refresh of an anonymous session", func() error { return st.Refresh(t.Context(), stale.ID()) }, nil},
		{"Now", func() error { _, err := session.Now(t.Context(), s); return err }, nil},
		{"Delete", func() error { return session.Delete(t.Context(), rotated, "other") }, nil},
		{"Pop", func() error { _, err := session.Pop(t.Context(), rotated, "third"); return err }, nil},
		{"Update that changes nothing", func() error {
			stop := errors.New("stop")
			err := session.Update(t.Context(), rotated, "kept", func(any) (any, error) { return nil, stop })
			if errors.Is(err, stop) {
				return nil
			}
			return err
		}, nil},
		{"Update to what is there", update("as it is"), nil},
		{"Clear", func() error { return session.Clear(t.Context(), rotated) }, nil},
		{"a reauthentication", func() error {
			return either(st.Login(t.Context(), session.Token(rotated), session.Login{User: "ada", Reauthentication: true}))
		}, nil},
		{"UserSessions", func() error { _, err := st.UserSessions(t.Context(), "bob"); return err }, nil},
		{"RemoveUserSessions of all but one", func() error {
			n, err := st.RemoveUserSessions(t.Context(), "bob", spared.ID())
			if n != 1 {
				t.Errorf("RemoveUserSessions ended %d sessions, want 1", n)
			}
			return err
		}, nil},
		{"RemoveUserSessions of nobody", func() error { _, err := st.RemoveUserSessions(t.Context(), "nobody"); return err }, nil},
		{"Remove", func() error { return st.Remove(t.Context(), removed.ID()) }, nil},
	} {
		if err := call.do(); !errors.Is(err, call.want) {
			t.Errorf("%s: got %v, want %v", call.name, err, call.want)
		}
	}
	for name, dead := range map[string]session.Session{"ended": ended, "removed": removed, "its old token": s} {
		if _, err := st.Open(t.Context(), session.Token(dead)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrNotFound", name, err)
		}
	}
	open(t, st, session.Token(spared))

	config("maxmemory", "0")
	if n := client.Exists(t.Context(), indexOf(st, "new")).Val(); n != 0 {
		t.Error("the login that was refused left an index")
	}
	if list, err := st.UserSessions(t.Context(), "new"); err != nil || len(list) != 0 {
		t.Errorf("the login that was refused left %d sessions, %v", len(list), err)
	}
	if _, err := st.Login(t.Context(), session.Token(anonymous), session.Login{User: "new", MaxSessions: 1}); err != nil {
		t.Errorf("with memory again: %v", err)
	}
	for _, key := range keysOf(t, client) {
		if client.PTTL(t.Context(), key).Val() < 0 {
			t.Errorf("a key never expires")
		}
	}
}
