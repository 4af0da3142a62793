package sealed_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// storeCalls returns all calls of a store that take a context.
func storeCalls(st *sealed.Store, seal string) map[string]func(ctx context.Context) (any, error) {
	return map[string]func(ctx context.Context) (any, error){
		"Generate":           func(ctx context.Context) (any, error) { return st.Generate(ctx, "id") },
		"Open":               func(ctx context.Context) (any, error) { return st.Open(ctx, seal) },
		"Rotate":             func(ctx context.Context) (any, error) { return st.Rotate(ctx, seal, 0) },
		"Get":                func(ctx context.Context) (any, error) { return st.Get(ctx, "id") },
		"Refresh":            func(ctx context.Context) (any, error) { return nil, st.Refresh(ctx, "id") },
		"Remove":             func(ctx context.Context) (any, error) { return nil, st.Remove(ctx, "id") },
		"Remove, malformed":  func(ctx context.Context) (any, error) { return nil, st.Remove(ctx, "i.d") },
		"Get, malformed":     func(ctx context.Context) (any, error) { return st.Get(ctx, "i.d") },
		"Login":              func(ctx context.Context) (any, error) { return st.Login(ctx, seal, session.Login{User: "alice"}) },
		"Login, none before": func(ctx context.Context) (any, error) { return st.Login(ctx, "", session.Login{User: "alice"}) },
		"UserSessions": func(ctx context.Context) (any, error) {
			list, err := st.UserSessions(ctx, "alice")
			if list == nil {
				return nil, err
			}
			return list, err
		},
		"RemoveUserSessions": func(ctx context.Context) (any, error) {
			_, err := st.RemoveUserSessions(ctx, "alice")
			return nil, err
		},
	}
}

// badContexts are those with which nothing is done; want nil: an error of its own.
func badContexts(t *testing.T) map[string]struct {
	ctx  context.Context //nolint:containedctx // a column of the table
	want error
} {
	t.Helper()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	t.Cleanup(cancelLate)
	return map[string]struct {
		ctx  context.Context //nolint:containedctx // a column of the table
		want error
	}{
		"none": {nil, nil}, "canceled": {canceled, context.Canceled}, "too late": {late, context.DeadlineExceeded},
		"canceled, of a request": {new(client).request(canceled), context.Canceled},
	}
}

// TestContexts: a call without a context, or with one that has ended, does nothing and
// returns its error alone.
func TestContexts(t *testing.T) {
	for name, tt := range badContexts(t) {
		t.Run(name, func(t *testing.T) {
			st := keyed("a")
			asked := 0
			seal := entered(t, st, session.Login{User: "alice", ID: "id", Values: map[string]any{"k": "v"}})
			st = keyed("a")
			st.Revoked = func(context.Context, session.Info) (bool, error) { asked++; return false, nil }
			st.Revoke = func(context.Context, sealed.Revocation) error { asked++; return nil }
			check := func(what string, err error) {
				if err == nil || tt.want != nil && !errors.Is(err, tt.want) || errors.Is(err, session.ErrNotFound) || errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s: got %v, want %v", what, err, tt.want)
				}
			}
			for what, call := range storeCalls(st, seal) {
				got, err := call(tt.ctx)
				if s, ok := got.(session.Session); ok && s != nil || got != nil && !ok {
					t.Errorf("%s: got a result", what)
				}
				check(what, err)
			}
			if asked != 0 {
				t.Errorf("Revoked and Revoke were asked %d times", asked)
			}
			s := opened(t, st, seal)
			asked = 0
			for what, write := range writes(s) {
				check(what, write(tt.ctx))
			}
			_, err := s.Get(tt.ctx, "k")
			check("Get of a session", err)
			_, err = s.(session.Clock).Now(tt.ctx)
			check("Now", err)
			for key := range s.(session.Ranger).All(tt.ctx) {
				t.Errorf("All: got %q", key)
			}
			if asked != 0 || session.Token(s) != seal {
				t.Errorf("Revoked was asked %d times, the token is the same: %t", asked, session.Token(s) == seal)
			}
			shows(t, "afterwards", s, map[string]any{"k": "v"})
		})
	}
}

// TestUnusable: a store that cannot work returns an error of its own from every call.
func TestUnusable(t *testing.T) {
	seal := entered(t, keyed("a"), session.Login{User: "alice"})
	long := keyed("a")
	long.Purpose = string(make([]byte, 257))
	negative, reversed := timed(-1, 0), timed(2*time.Hour, time.Hour)
	for name, st := range map[string]*sealed.Store{
		"nil": nil, "zero": new(sealed.Store), "a long purpose": long, "a negative timeout": negative, "idle above absolute": reversed,
		"400 days and more": timed(0, 400*24*time.Hour+1), "1800 is not half an hour": timed(1800, 0),
	} {
		t.Run(name, func(t *testing.T) {
			want := st.Check()
			if want == nil {
				t.Fatal("Check: got no error")
			}
			for what, call := range storeCalls(st, seal) {
				got, err := call(t.Context())
				if s, ok := got.(session.Session); ok && s != nil {
					t.Errorf("%s: got a session", what)
				}
				if !errors.Is(err, want) || errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: got %v, want %v", what, err, want)
				}
			}
		})
	}
	whole := keyed("a")
	whole.Purpose = string(make([]byte, 256))
	if err := whole.Check(); err != nil {
		t.Errorf("a purpose of 256 bytes: got %v", err)
	}
}
