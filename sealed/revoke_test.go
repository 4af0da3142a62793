package sealed_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// TestLogoutEndsCopies: after a logout no copy of any seal of the session opens, nor
// does what a request writes that has the session still.
func TestLogoutEndsCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := revocable()
		first := entered(t, st, session.Login{User: "alice", ID: "id"})
		other := entered(t, st, session.Login{User: "alice", ID: "other"})
		time.Sleep(time.Second)
		s, err := st.Rotate(t.Context(), first, 0)
		second := session.Token(new(client).take(t, s, err))
		slow := (&client{}).request(t.Context()) // a request in progress
		loaded, err := st.Open(slow, second)
		if err != nil {
			t.Fatal(err)
		}
		ctx := (&client{}).request(t.Context())
		current, err := st.Open(ctx, second)
		if err != nil {
			t.Fatal(err)
		}

		if err := st.Remove(ctx, "id"); err != nil {
			t.Fatal(err)
		}
		for name, seal := range map[string]string{"the seal": second, "the one before": first} {
			_, err := st.Open(t.Context(), seal)
			unexplained(t, name, err)
			_, err = st.Open(ctx, seal)
			unexplained(t, name+", in that request", err)
			_, err = st.Rotate(t.Context(), seal, 0)
			unexplained(t, name+", Rotate", err)
			_, err = st.Login(t.Context(), seal, session.Login{User: "alice"})
			unexplained(t, name+", Login", err)
		}
		for what, write := range writes(loaded) {
			unexplained(t, what+", another request", write(slow))
		}
		unexplained(t, "Refresh, another request", st.Refresh(slow, "id"))
		for what, write := range writes(current) {
			unexplained(t, what, write(ctx))
		}
		open(t, st, other, "another session of the user", nil)
		if err := st.Remove(ctx, "id"); err != nil {
			t.Errorf("Remove again: got %v", err)
		}
	})
}

// TestRemoveStranger: with Revoke, a session ends that the request does not have.
func TestRemoveStranger(t *testing.T) {
	st := revocable()
	seal, other := entered(t, st, session.Login{User: "alice", ID: "id"}), entered(t, st, session.Login{User: "alice", ID: "other"})
	if err := st.Remove(t.Context(), "id"); err != nil {
		t.Fatal(err)
	}
	open(t, st, seal, "the session", session.ErrNotFound)
	open(t, st, other, "another", nil)
}

// TestLoginEndsSeals: a login of the same user ends all seals of the session from before
// it, also where the clock stands still, and none that comes after.
func TestLoginEndsSeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock of which moves only in Sleep
		st := revocable()
		seals := []string{entered(t, st, session.Login{User: "alice", ID: "id"})}
		anonymous := begun(t, t.Context(), st, nil)
		for i := range 4 {
			seal := again(t, st, seals[i], session.Login{User: "alice", Reauthentication: i%2 == 0})
			for _, old := range seals {
				open(t, st, old, "an old seal", session.ErrNotFound)
			}
			open(t, st, seal, "the new seal", nil)
			s, err := st.Rotate(t.Context(), seal, 0)
			rotated := session.Token(new(client).take(t, s, err))
			open(t, st, seal, "the seal before a rotation", nil)
			seals = append(seals, rotated)
		}
		open(t, st, anonymous, "an anonymous session", nil)
	})
}

// TestSignOut: RemoveUserSessions ends all sessions of a user but those that it spares,
// and refuses each login whose check began before.
func TestSignOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := revocable()
		seals := make(map[string]string)
		for _, id := range []string{"a", "b", "c"} {
			seals[id] = entered(t, st, session.Login{User: "alice", ID: id, AbsoluteTimeout: 400 * 24 * time.Hour, IdleTimeout: 400 * 24 * time.Hour})
		}
		bob, anonymous := entered(t, st, session.Login{User: "bob"}), begun(t, t.Context(), st, nil)
		began := time.Now()
		time.Sleep(time.Second)
		spared := []string{"b"}
		if n, err := st.RemoveUserSessions(t.Context(), "alice", spared...); n != 0 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		for id, seal := range seals {
			want := session.ErrNotFound
			if id == "b" {
				want = nil
			}
			open(t, st, seal, id, want)
		}
		open(t, st, bob, "another user's", nil)
		open(t, st, anonymous, "nobody's", nil)

		for _, tt := range []struct {
			name  string
			login session.Login
			seal  string
			want  error
		}{
			{"whose check began before", session.Login{User: "alice", Began: began}, "", session.ErrRevoked},
			{"that, from nobody's session", session.Login{User: "alice", Began: began}, anonymous, session.ErrRevoked},
			{"that, from the one that is spared", session.Login{User: "alice", Began: began}, seals["b"], session.ErrRevoked},
			{"that, again", session.Login{User: "alice", Began: began, Reauthentication: true}, seals["b"], session.ErrRevoked},
			{"that, of another user", session.Login{User: "bob", Began: began}, "", nil},
			{"whose check begins now", session.Login{User: "alice", Began: time.Now()}, "", nil},
			{"who says nothing of it", session.Login{User: "alice"}, "", nil},
		} {
			_, err := st.Login(t.Context(), tt.seal, tt.login)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("a login %s: got %v, want %v", tt.name, err, tt.want)
			}
		}
		after := entered(t, st, session.Login{User: "alice", ID: "d"})
		open(t, st, after, "a session from after it", nil)
		time.Sleep(400*24*time.Hour - 2*time.Second)
		open(t, st, seals["a"], "400 days later", session.ErrNotFound)
		open(t, st, seals["b"], "the one that was spared, 400 days later", nil)
	})
}

// TestSpareNothing: an empty id, of a caller who has no session, spares no login.
func TestSpareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := revocable()
		seal, began := entered(t, st, session.Login{User: "alice"}), time.Now()
		time.Sleep(time.Second)
		if _, err := st.RemoveUserSessions(t.Context(), "alice", "", "not.an.id"); err != nil {
			t.Fatal(err)
		}
		open(t, st, seal, "a session", session.ErrNotFound)
		if _, err := st.Login(t.Context(), "", session.Login{User: "alice", Began: began}); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("a login whose check began before: got %v, want ErrRevoked", err)
		}
	})
}

// TestRevocationsTold: Revoke is told enough for a store of any kind, and no more.
func TestRevocationsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []sealed.Revocation
		st := keyed("a")
		st.Revoked = func(context.Context, session.Info) (bool, error) { return false, nil }
		st.Revoke = func(_ context.Context, r sealed.Revocation) error {
			told = append(told, r)
			return nil
		}
		start := time.Now().Round(0)
		day := 24 * time.Hour
		// Nobody's session ends without a word: there is nothing to know about it.
		seal := again(t, st, begun(t, t.Context(), st, nil), session.Login{User: "alice", ID: "id", AbsoluteTimeout: 90 * day})
		time.Sleep(time.Second)
		ctx := (&client{}).request(t.Context())
		if _, err := st.Login(ctx, seal, session.Login{User: "alice", AbsoluteTimeout: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if err := st.Remove(ctx, "id"); err != nil {
			t.Fatal(err)
		}
		if err := st.Remove(ctx, "stranger"); err != nil {
			t.Fatal(err)
		}
		except := []string{"a", "b"}
		if _, err := st.RemoveUserSessions(ctx, "alice", except...); err != nil {
			t.Fatal(err)
		}
		except[0] = "changed by its owner"
		later := start.Add(time.Second)
		want := []sealed.Revocation{
			{ID: "id", Before: later, Until: start.Add(90*day + time.Minute)}, // the old seals could live so long
			{ID: "id", Until: later.Add(time.Hour + time.Minute)},
			{ID: "stranger", Until: later.Add(400 * day)},
		}
		for i := range 2 { // one more for who logs in meanwhile; each after its wait for the clock
			before := later.Add(time.Duration(i+1) * time.Microsecond)
			want = append(want, sealed.Revocation{User: "alice", Before: before, Except: []string{"a", "b"}, Until: before.Add(400*day + time.Minute)})
		}
		same := func(a, b sealed.Revocation) bool {
			return a.ID == b.ID && a.User == b.User && a.Before.Equal(b.Before) && a.Until.Equal(b.Until) && slices.Equal(a.Except, b.Except)
		}
		if !slices.EqualFunc(told, want, same) {
			t.Errorf("\ngot  %+v\nwant %+v", told, want)
		}
		for _, r := range told {
			if r.Until != r.Until.Round(0) || r.Before != r.Before.Round(0) {
				t.Errorf("%+v: a time with a monotonic reading", r)
			}
		}
	})
}

var errDown = errors.New("the list of what ended is down")

// TestRevokedFails: its error is that of the call, and never ErrNotFound. No write has
// happened.
func TestRevokedFails(t *testing.T) {
	st := keyed("a")
	var down atomic.Bool
	st.Revoked = func(context.Context, session.Info) (bool, error) {
		if down.Load() {
			return true, errDown // true does not count
		}
		return false, nil
	}
	values := map[string]any{"k": "v"}
	seal, anonymous := entered(t, st, session.Login{User: "alice", ID: "id", Values: values}), begun(t, t.Context(), st, nil)
	c := new(client)
	ctx := c.request(t.Context())
	s, err := st.Open(ctx, seal)
	if err != nil {
		t.Fatal(err)
	}
	down.Store(true)
	all := writes(s)
	all["Open"] = func(ctx context.Context) error { _, err := st.Open(ctx, seal); return err }
	all["Open, another request"] = func(context.Context) error { _, err := st.Open(t.Context(), seal); return err }
	all["Rotate"] = func(ctx context.Context) error { _, err := st.Rotate(ctx, seal, 0); return err }
	all["Refresh"] = func(ctx context.Context) error { return st.Refresh(ctx, "id") }
	all["Get"] = func(ctx context.Context) error { _, err := st.Get(ctx, "id"); return err }
	all["Login"] = func(ctx context.Context) error {
		_, err := st.Login(ctx, seal, session.Login{User: "alice"})
		return err
	}
	all["Login, from nobody's"] = func(context.Context) error {
		_, err := st.Login(t.Context(), anonymous, session.Login{User: "alice"})
		return err
	}
	all["Login, from nothing"] = func(context.Context) error {
		_, err := st.Login(t.Context(), "", session.Login{User: "alice"})
		return err
	}
	for what, call := range all {
		if err := call(ctx); !errors.Is(err, errDown) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %v, want the error of Revoked alone", what, err)
		}
	}
	down.Store(false)
	if c.times != 0 || session.Token(s) != seal {
		t.Errorf("the client was given %d seals", c.times)
	}
	shows(t, "afterwards", opened(t, st, session.Token(s)), values)
	if err := s.Set(ctx, "k", "w"); err != nil {
		t.Errorf("Set afterwards: %v", err)
	}
}

// TestRevokeFails: what could not be noted has not happened.
func TestRevokeFails(t *testing.T) {
	st := revocable()
	revoke, down := st.Revoke, true
	st.Revoke = func(ctx context.Context, r sealed.Revocation) error {
		if down {
			return errDown
		}
		return revoke(ctx, r)
	}
	seal := entered(t, st, session.Login{User: "alice", ID: "id"})
	ctx := (&client{}).request(t.Context())
	s, err := st.Open(ctx, seal)
	if err != nil {
		t.Fatal(err)
	}
	for what, call := range map[string]func() error{
		"Remove":               func() error { return st.Remove(ctx, "id") },
		"Remove of a stranger": func() error { return st.Remove(t.Context(), "id") },
		"Login":                func() error { _, err := st.Login(ctx, seal, session.Login{User: "alice"}); return err },
		"RemoveUserSessions":   func() error { _, err := st.RemoveUserSessions(ctx, "alice"); return err },
	} {
		if err := call(); !errors.Is(err, errDown) {
			t.Errorf("%s: got %v, want the error of Revoke", what, err)
		}
		if err := s.Set(ctx, "k", what); err != nil {
			t.Errorf("%s: Set afterwards: %v", what, err)
		}
		open(t, st, seal, what+": the seal", nil)
	}
	// An anonymous session needs nobody's help.
	anonymous := (&client{}).request(t.Context())
	if _, err := st.Generate(anonymous, "anonymous"); err != nil {
		t.Fatal(err)
	}
	if err := st.Remove(anonymous, "anonymous"); err != nil {
		t.Errorf("Remove of an anonymous session: %v", err)
	}
	down = false
	if err := st.Remove(ctx, "id"); err != nil {
		t.Errorf("Remove, repeated: %v", err)
	}
	open(t, st, seal, "after it", session.ErrNotFound)
}

// TestAnonymousUnasked: nobody is asked about anonymous sessions, nor told of them.
func TestAnonymousUnasked(t *testing.T) {
	st := keyed("a")
	asked := 0
	st.Revoked = func(context.Context, session.Info) (bool, error) { asked++; return true, errDown }
	st.Revoke = func(context.Context, sealed.Revocation) error { asked++; return errDown }
	c := new(client)
	ctx := c.request(t.Context())
	s, err := st.Generate(ctx, "anonymous")
	c.take(t, s, err)
	_, opens := st.Open(c.request(t.Context()), c.seal)
	_, rotates := st.Rotate(ctx, c.seal, 0)
	_, gets := st.Get(ctx, "anonymous")
	calls := map[string]error{"Open": opens, "Rotate": rotates, "Get": gets, "Refresh": st.Refresh(ctx, "anonymous")}
	for what, write := range writes(s) {
		calls[what] = write(ctx)
	}
	calls["Remove"] = st.Remove(ctx, "anonymous")
	for what, err := range calls {
		if err != nil {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if asked != 0 {
		t.Errorf("asked %d times", asked)
	}
}

// TestRevokeAlone: Revoke is of no use where nobody asks what it noted.
func TestRevokeAlone(t *testing.T) {
	st := keyed("a")
	st.Revoke = new(sealed.Revocations).Revoke
	if err := st.Check(); err == nil {
		t.Error("got no error")
	}
	st = keyed("a")
	st.Revoked = new(sealed.Revocations).Revoked
	if err := st.Check(); err != nil {
		t.Errorf("Revoked alone: got %v", err)
	}
}
