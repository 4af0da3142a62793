package memory_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// generate makes a session and returns its token.
func generate(t *testing.T, st *memory.Store, id string) string {
	t.Helper()
	s, err := st.Generate(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return session.Token(s)
}

// login logs in and returns the new token.
func login(t *testing.T, st *memory.Store, token string, l session.Login) string {
	t.Helper()
	s, err := st.Login(t.Context(), token, l)
	if err != nil {
		t.Fatal(err)
	}
	return session.Token(s)
}

// enter logs in without a session before, and returns the token.
func enter(t *testing.T, st *memory.Store, id string, l session.Login) string {
	t.Helper()
	l.ID = id
	return login(t, st, "", l)
}

func rotate(t *testing.T, st *memory.Store, token string, grace time.Duration) string {
	t.Helper()
	s, err := st.Rotate(t.Context(), token, grace)
	if err != nil {
		t.Fatal(err)
	}
	return session.Token(s)
}

// stored is what the store knows of a session now.
func stored(t *testing.T, st *memory.Store, id string) session.Info {
	t.Helper()
	return describe(t, load(t, st, id))
}

// opens checks what Open says of a token; nil: it opens.
func opens(t *testing.T, st *memory.Store, token, what string, want error) {
	t.Helper()
	_, err := st.Open(t.Context(), token)
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// plain checks that err is ErrNotFound and does not tell why.
func plain(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: got %v, want ErrNotFound", what, err)
	}
	for _, reason := range []error{session.ErrReused, session.ErrExpiredIdle, session.ErrExpiredAbsolute, session.ErrRevoked} {
		if errors.Is(err, reason) {
			t.Errorf("%s: got %v, want the plain ErrNotFound", what, err)
		}
	}
}

// TestLogin: an anonymous session ends, and another begins with its values.
func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := new(memory.Store)
		start := time.Now().Round(0)
		before, err := st.Generate(ctx, "id")
		if err != nil {
			t.Fatal(err)
		}
		if err := session.SetAll(ctx, before, map[string]any{"cart": "apples", "step": 1}); err != nil {
			t.Fatal(err)
		}
		anonymous := stored(t, st, "id")
		if anonymous.User != "" || anonymous.Level != session.Anonymous || !anonymous.AuthenticatedAt.IsZero() || !anonymous.RotatedAt.Equal(start) {
			t.Errorf("anonymous: got %+v", anonymous)
		}
		time.Sleep(time.Minute)
		first := session.Token(before)
		second := rotate(t, st, first, time.Hour) // the first is good still
		if got := stored(t, st, "id").RotatedAt; !got.Equal(start.Add(time.Minute)) {
			t.Errorf("RotatedAt after a rotation: got %v", got)
		}

		time.Sleep(time.Minute)
		s, err := st.Login(ctx, second, session.Login{
			User: "alice", Persistent: true, UserAgent: "browser", Address: "192.0.2.0/24",
			ID: "new", Values: map[string]any{"step": 2, "greeted": true},
		})
		if err != nil {
			t.Fatal(err)
		}
		opens(t, st, first, "an old token in its grace", session.ErrNotFound)
		opens(t, st, second, "the token before", session.ErrNotFound)
		opens(t, st, session.Token(s), "the new token", nil)
		opens(t, st, "id"+strings.TrimPrefix(session.Token(s), "new"), "the new secret with the old id", session.ErrNotFound)
		opens(t, st, "new"+strings.TrimPrefix(second, "id"), "the old secret with the new id", session.ErrNotFound)

		now := start.Add(2 * time.Minute)
		want := session.Info{
			ID: "new", User: "alice", Level: session.Authenticated,
			CreatedAt: now, LastSeen: now, IdleDeadline: now.Add(30 * time.Minute), AbsoluteDeadline: now.Add(12 * time.Hour),
			AuthenticatedAt: now, RotatedAt: now, Persistent: true, UserAgent: "browser", Address: "192.0.2.0/24",
		}
		for name, got := range map[string]session.Info{"of Login": describe(t, s), "of Get": stored(t, st, "new")} {
			if got != want {
				t.Errorf("Info %s:\ngot  %+v\nwant %+v", name, got, want)
			}
		}
		values := map[string]any{"cart": "apples", "step": 2, "greeted": true}
		holds(t, "what Login returned", s, values)

		// The anonymous session shows what it was, and nothing can be done with it.
		if got := describe(t, before); got != anonymous {
			t.Errorf("Info of what was loaded before: got %+v, want %+v", got, anonymous)
		}
		_, err = st.Get(ctx, "id")
		plain(t, "Get", err)
		plain(t, "Refresh", st.Refresh(ctx, "id"))
		_, err = st.Rotate(ctx, second, time.Hour)
		plain(t, "Rotate", err)
		_, err = st.Login(ctx, second, session.Login{User: "alice"})
		plain(t, "Login", err)
		plain(t, "Set", before.Set(ctx, "cart", "pears"))
		plain(t, "SetAll", session.SetAll(ctx, before, map[string]any{"cart": "pears"}))
		plain(t, "Delete", session.Delete(ctx, before, "cart"))
		plain(t, "Clear", session.Clear(ctx, before))
		_, err = session.Pop(ctx, before, "cart")
		plain(t, "Pop", err)
		plain(t, "Update", session.Update(ctx, before, "cart", func(any) (any, error) { return "pears", nil }))
		if err := st.Remove(ctx, "id"); err != nil {
			t.Errorf("Remove: got %v", err)
		}
		holds(t, "what was loaded before", before, map[string]any{"cart": "apples", "step": 1})
		holds(t, "the new session", load(t, st, "new"), values)
		has(t, st, "alice", "in the end", "new")
	})
}

func load(t *testing.T, st *memory.Store, id string) session.Session {
	t.Helper()
	s, err := st.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// holds checks the values of a session.
func holds(t *testing.T, what string, s session.Session, want map[string]any) {
	t.Helper()
	all, err := session.All(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := maps.Collect(all); !maps.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func describe(t *testing.T, s session.Session) session.Info {
	t.Helper()
	info, err := session.Describe(s)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// TestLoginOldToken: Login takes what Open takes.
func TestLoginOldToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(memory.Store)
		for _, wait := range []time.Duration{time.Minute - 1, time.Minute} {
			first := generate(t, st, "anonymous")
			opens(t, st, rotate(t, st, first, time.Minute), "the second", nil) // the grace of the first begins
			time.Sleep(wait)
			_, err := st.Login(t.Context(), first, session.Login{User: "alice"})
			if (err == nil) != (wait < time.Minute) {
				t.Errorf("from an anonymous session after %v: got %v", wait, err)
			}
		}

		first := enter(t, st, "id", session.Login{User: "alice"})
		second := rotate(t, st, first, time.Minute)
		opens(t, st, second, "the second", nil)
		time.Sleep(time.Minute - 1)
		third := login(t, st, first, session.Login{User: "alice"})
		opens(t, st, first, "the first", session.ErrNotFound)
		opens(t, st, second, "the second after the login", session.ErrNotFound)

		fourth := rotate(t, st, third, time.Minute)
		opens(t, st, fourth, "the fourth", nil)
		time.Sleep(time.Minute)
		_, err := st.Login(t.Context(), third, session.Login{User: "alice"})
		plain(t, "after the grace", err)
		opens(t, st, fourth, "the fourth after that", nil)
	})
}

// TestLoginRefused: nothing changes, and no grace of an old token begins.
func TestLoginRefused(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	var none context.Context
	other := session.Login{User: "other"}
	for _, tt := range []struct {
		name  string
		ctx   context.Context //nolint:containedctx // a column of the table
		token func(good string) string
		login session.Login
		want  error // nil: an error of its own
	}{
		{"another user's session", nil, nil, other, session.ErrNotFound},
		{"another user's session, again", nil, nil, session.Login{User: "other", Reauthentication: true}, session.ErrNotFound},
		{"unknown id", nil, func(good string) string { return "un" + good }, session.Login{User: "alice"}, session.ErrNotFound},
		{"another secret", nil, func(string) string { return "id." + strings.Repeat("A", 26) }, session.Login{User: "alice"}, session.ErrNotFound},
		{"an id alone", nil, func(string) string { return "id" }, session.Login{User: "alice"}, session.ErrNotFound},
		{"no token, again", nil, func(string) string { return "" }, session.Login{User: "alice", Reauthentication: true}, session.ErrNotFound},
		{"no user", nil, nil, session.Login{}, session.ErrInvalidUser},
		{"a long user", nil, nil, session.Login{User: strings.Repeat("u", 257)}, session.ErrInvalidUser},
		{"revoked", nil, nil, session.Login{User: "alice", Began: time.Now().Add(-2 * time.Hour)}, session.ErrRevoked},
		{"a check that began centuries ago", nil, nil, session.Login{User: "alice", Began: time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)}, session.ErrRevoked},
		{"one too many", nil, nil, session.Login{User: "alice", MaxSessions: 1}, session.ErrUserLimit},
		{"a context that ended", ended, nil, session.Login{User: "alice"}, context.Canceled},
		{"no context", none, nil, session.Login{User: "alice"}, nil},
		{"a negative timeout", nil, nil, session.Login{User: "alice", IdleTimeout: -1}, nil},
		{"1800 is not half an hour", nil, nil, session.Login{User: "alice", IdleTimeout: 1800}, nil},
		{"idle above absolute", nil, nil, session.Login{User: "alice", IdleTimeout: 2 * time.Hour, AbsoluteTimeout: time.Hour}, nil},
		{"idle above the store's absolute", nil, nil, session.Login{User: "alice", IdleTimeout: 13 * time.Hour}, nil},
		{"over 400 days", nil, nil, session.Login{User: "alice", AbsoluteTimeout: 401 * 24 * time.Hour}, nil},
		{"a negative limit", nil, nil, session.Login{User: "alice", MaxSessions: -1}, nil},
		{"a long user agent", nil, nil, session.Login{User: "alice", UserAgent: strings.Repeat("a", 257)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st := new(memory.Store)
			enter(t, st, "second", session.Login{User: "alice"})
			old := enter(t, st, "id", session.Login{User: "alice"})
			token := rotate(t, st, old, 0)
			before := stored(t, st, "id")
			ctx, clientToken := tt.ctx, token
			if ctx == nil && tt.name != "no context" {
				ctx = t.Context()
			}
			if tt.token != nil {
				clientToken = tt.token(token)
			}
			s, err := st.Login(ctx, clientToken, tt.login)
			switch {
			case s != nil || err == nil:
				t.Fatalf("got %v, %v, want an error alone", s, err)
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			case tt.want == nil && errors.Is(err, session.ErrNotFound):
				t.Errorf("got %v, want an error of its own", err)
			case tt.want == session.ErrNotFound: //nolint:errorlint // of the table
				plain(t, "Login", err)
			}
			if after := stored(t, st, "id"); after != before {
				t.Errorf("got %+v, want %+v", after, before)
			}
			opens(t, st, old, "the old token, whose successor nobody has shown", nil)
			opens(t, st, token, "the token", nil)
			if infos, err := st.UserSessions(t.Context(), "other"); len(infos) != 0 || err != nil {
				t.Errorf("other has %v, %v, want none", infos, err)
			}
		})
	}
	t.Run("a store that cannot work", func(t *testing.T) {
		st := &memory.Store{MaxSessions: -1}
		if _, err := st.Login(t.Context(), "id."+strings.Repeat("A", 26), other); err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("got %v, want an error of its own", err)
		}
	})
}

// TestRelogin: everything is what the last login says.
func TestRelogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(memory.Store)
		start := time.Now().Round(0)
		first := enter(t, st, "id", session.Login{
			User: "alice", Level: 3, IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour, Persistent: true, UserAgent: "browser", Address: "net",
		})
		time.Sleep(30 * time.Second)
		second := login(t, st, first, session.Login{User: "alice", UserAgent: "another"})
		now := start.Add(30 * time.Second)
		want := session.Info{
			ID: "id", User: "alice", Level: session.Authenticated, CreatedAt: start, LastSeen: now, AuthenticatedAt: now, RotatedAt: now,
			IdleDeadline: now.Add(30 * time.Minute), AbsoluteDeadline: now.Add(12 * time.Hour), UserAgent: "another",
		}
		if got := stored(t, st, "id"); got != want {
			t.Errorf("\ngot  %+v\nwant %+v", got, want)
		}
		opens(t, st, first, "the token before", session.ErrNotFound)
		opens(t, st, second, "the token", nil)
		if infos, err := st.UserSessions(t.Context(), "alice"); len(infos) != 1 || err != nil {
			t.Errorf("got %v, %v, want one session", infos, err)
		}
	})
}

// TestReauthentication: all but the proof and the times that begin with it stay.
func TestReauthentication(t *testing.T) {
	for _, tt := range []struct {
		name        string
		level, want session.Level
	}{
		{"the same level", 0, 2},
		{"a higher level", 3, 3},
		{"a lower level", 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := new(memory.Store)
				first := enter(t, st, "id", session.Login{
					User: "alice", Level: 2, IdleTimeout: 24 * time.Hour, AbsoluteTimeout: 48 * time.Hour, Persistent: true, UserAgent: "browser", Address: "net",
				})
				want := stored(t, st, "id")
				time.Sleep(time.Hour)
				second := login(t, st, first, session.Login{
					User: "alice", Level: tt.level, Reauthentication: true,
					IdleTimeout: time.Hour, AbsoluteTimeout: time.Minute, UserAgent: "another", Address: "another", // no matter
				})
				want.Level = tt.want
				for _, at := range []*time.Time{&want.LastSeen, &want.AuthenticatedAt, &want.RotatedAt, &want.IdleDeadline, &want.AbsoluteDeadline} {
					*at = at.Add(time.Hour)
				}
				if got := stored(t, st, "id"); got != want {
					t.Errorf("\ngot  %+v\nwant %+v", got, want)
				}
				opens(t, st, first, "the token before", session.ErrNotFound)
				opens(t, st, second, "the token", nil)
			})
		})
	}
}
