package memory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// TestLoginFromNothing: a session begins, with the values of the login and no others.
func TestLoginFromNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := new(memory.Store)
		s, err := st.Login(t.Context(), "", session.Login{User: "alice", ID: "id", Level: 3, Values: map[string]any{"key": "value"}})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().Round(0)
		want := session.Info{
			ID: "id", User: "alice", Level: 3, CreatedAt: now, LastSeen: now, AuthenticatedAt: now, RotatedAt: now,
			IdleDeadline: now.Add(30 * time.Minute), AbsoluteDeadline: now.Add(12 * time.Hour),
		}
		if got := stored(t, st, "id"); got != want || describe(t, s) != want {
			t.Errorf("\ngot  %+v\nwant %+v", got, want)
		}
		opens(t, st, session.Token(s), "the token", nil)
		holds(t, "the session", load(t, st, "id"), map[string]any{"key": "value"})
	})
}

// TestLoginMakesAnID where the caller gives none.
func TestLoginMakesAnID(t *testing.T) {
	st := new(memory.Store)
	seen := make(map[string]bool)
	for _, token := range []string{"", "", generate(t, st, "id")} {
		s, err := st.Login(t.Context(), token, session.Login{User: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		if id, err := uuid.Parse(s.ID()); err != nil || id.String() != s.ID() || seen[s.ID()] {
			t.Errorf("got %q, want a new UUID", s.ID())
		}
		seen[s.ID()] = true
	}
	if got := ids(t, st, "alice"); len(got) != 3 {
		t.Errorf("got %v, want three sessions", got)
	}
}

// TestLoginRefusedFromAnonymous: the session is as it was, with its token, an old
// token, values and times, and what was loaded before can write.
func TestLoginRefusedFromAnonymous(t *testing.T) {
	many := make(map[string]any)
	for i := range 1023 {
		many[fmt.Sprint(i)] = i
	}
	alice := func(change func(l *session.Login)) session.Login {
		l := session.Login{User: "alice", ID: "new", Values: map[string]any{"cart": "pears", "step": 2}}
		change(&l)
		return l
	}
	for _, tt := range []struct {
		name  string
		login session.Login
		want  error // nil: an error of its own
	}{
		{"again", alice(func(l *session.Login) { l.Reauthentication = true }), session.ErrNotFound},
		{"revoked", alice(func(l *session.Login) { l.Began = time.Now().Add(-2 * time.Hour) }), session.ErrRevoked},
		{"one too many", alice(func(l *session.Login) { l.MaxSessions = 1 }), session.ErrUserLimit},
		{"no user", alice(func(l *session.Login) { l.User = "" }), session.ErrInvalidUser},
		{"the id of a live session", alice(func(l *session.Login) { l.ID = "alice" }), session.ErrExists},
		{"its own id", alice(func(l *session.Login) { l.ID = "id" }), session.ErrExists},
		{"an id that is none", alice(func(l *session.Login) { l.ID = "a.b" }), session.ErrInvalidID},
		{"a long id", alice(func(l *session.Login) { l.ID = strings.Repeat("i", 97) }), session.ErrInvalidID},
		{"a value that cannot be stored", alice(func(l *session.Login) { l.Values["x"] = func() {} }), session.ErrValue},
		{"nil", alice(func(l *session.Login) { l.Values["x"] = nil }), session.ErrValue},
		{"a large value", alice(func(l *session.Login) { l.Values["x"] = strings.Repeat("v", 1<<20) }), session.ErrTooLarge},
		{"a long key", alice(func(l *session.Login) { l.Values[strings.Repeat("k", 1<<16)] = 1 }), session.ErrTooLarge},
		{"too many values with the kept ones", alice(func(l *session.Login) { l.Values = many }), session.ErrTooLarge},
		{"a negative timeout", alice(func(l *session.Login) { l.IdleTimeout = -1 }), nil},
		{"idle above absolute", alice(func(l *session.Login) { l.IdleTimeout, l.AbsoluteTimeout = 2*time.Hour, time.Hour }), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx := t.Context()
			st := new(memory.Store)
			enter(t, st, "alice", session.Login{User: "alice"})
			s, err := st.Generate(ctx, "id")
			if err != nil {
				t.Fatal(err)
			}
			values := map[string]any{"cart": "apples", "step": 1}
			if err := session.SetAll(ctx, s, values); err != nil {
				t.Fatal(err)
			}
			token := rotate(t, st, session.Token(s), time.Hour)
			before := stored(t, st, "id")
			got, err := st.Login(ctx, token, tt.login)
			switch {
			case got != nil || err == nil:
				t.Fatalf("got %v, %v, want an error alone", got, err)
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			case tt.want == nil && errors.Is(err, session.ErrNotFound):
				t.Errorf("got %v, want an error of its own", err)
			}
			if after := stored(t, st, "id"); after != before {
				t.Errorf("got %+v, want %+v", after, before)
			}
			holds(t, "the anonymous session", load(t, st, "id"), values)
			opens(t, st, session.Token(s), "the old token", nil)
			opens(t, st, token, "the token", nil)
			has(t, st, "alice", "after the refusal", "alice")
			if err := s.Set(ctx, "step", 3); err != nil {
				t.Errorf("a write of what was loaded before: %v", err)
			}
			login(t, st, token, session.Login{User: "alice", ID: "later"})
			holds(t, "the session of a later login", load(t, st, "later"), map[string]any{"cart": "apples", "step": 3})
		})
	}
}

// TestLoginValues: they come over those that the session keeps, whoever's it was.
func TestLoginValues(t *testing.T) {
	ctx := t.Context()
	l := session.Login{User: "alice", ID: "new", Values: map[string]any{"b": "login", "c": "login"}}
	for _, tt := range []struct {
		name, id string
		before   func(st *memory.Store) string
		again    bool
	}{
		{"anonymous", "new", func(st *memory.Store) string { return generate(t, st, "id") }, false},
		{"the user's", "id", func(st *memory.Store) string { return enter(t, st, "id", session.Login{User: "alice"}) }, false},
		{"the user's, again", "id", func(st *memory.Store) string { return enter(t, st, "id", session.Login{User: "alice"}) }, true},
	} {
		st := new(memory.Store)
		token := tt.before(st)
		other := load(t, st, "id")
		if err := session.SetAll(ctx, other, map[string]any{"a": "kept", "b": "kept"}); err != nil {
			t.Fatal(err)
		}
		l.Reauthentication = tt.again

		// All or nothing.
		bad := l
		bad.Values = map[string]any{"b": "login", "c": new(int)}
		if _, err := st.Login(ctx, token, bad); !errors.Is(err, session.ErrValue) {
			t.Errorf("%s: got %v, want ErrValue", tt.name, err)
		}
		holds(t, tt.name+", refused", load(t, st, "id"), map[string]any{"a": "kept", "b": "kept"})

		s, err := st.Login(ctx, token, l)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]any{"a": "kept", "b": "login", "c": "login"}
		holds(t, tt.name+", what Login returned", s, want)
		holds(t, tt.name+", what is stored", load(t, st, tt.id), want)
		holds(t, tt.name+", what was loaded before", other, map[string]any{"a": "kept", "b": "kept"})
	}
}

// TestLoginCountsValues: those that are kept and those of the login together, each
// key once.
func TestLoginCountsValues(t *testing.T) {
	ctx := t.Context()
	st := new(memory.Store)
	of := func(from, to int) map[string]any {
		values := make(map[string]any)
		for i := from; i < to; i++ {
			values[fmt.Sprint(i)] = i
		}
		return values
	}
	l := session.Login{User: "alice", ID: "new"}
	for _, user := range []bool{false, true} {
		token := generate(t, st, fmt.Sprint("id", user))
		if user {
			token = login(t, st, token, session.Login{User: "alice"})
		}
		s, err := st.Open(ctx, token)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.SetAll(ctx, s, of(0, 1000)); err != nil {
			t.Fatal(err)
		}
		for _, values := range []map[string]any{of(1000, 1025), of(500, 1025), of(0, 1025)} {
			l.Values = values
			if _, err := st.Login(ctx, token, l); !errors.Is(err, session.ErrTooLarge) {
				t.Errorf("user %t, %d values: got %v, want ErrTooLarge", user, len(values), err)
			}
		}
		l.Values = of(500, 1024)
		if s, err = st.Login(ctx, token, l); err != nil {
			t.Fatal(err)
		}
		holds(t, fmt.Sprint("user ", user), s, of(0, 1024))
	}
}

// TestLoginExists: the id of a session that has ended is free, that of a live one
// is not, and a login that goes on with its session needs none.
func TestLoginExists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &memory.Store{IdleTimeout: time.Hour}
		l := session.Login{User: "alice", ID: "id"}
		anonymous := generate(t, st, "anonymous")
		exists := func(when string) {
			t.Helper()
			for _, token := range []string{"", anonymous} {
				if _, err := st.Login(ctx, token, l); !errors.Is(err, session.ErrExists) {
					t.Errorf("%s: got %v, want ErrExists", when, err)
				}
			}
		}
		generate(t, st, "id")
		exists("an anonymous session has it")
		if err := st.Remove(ctx, "id"); err != nil {
			t.Fatal(err)
		}
		token := login(t, st, "", l)
		exists("a user's session has it")
		token = login(t, st, token, l)
		has(t, st, "alice", "after a login that goes on", "id")
		time.Sleep(time.Minute)
		if err := st.Refresh(ctx, "anonymous"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Minute)
		login(t, st, anonymous, l)
		opens(t, st, token, "the token of the session that had the id", session.ErrNotFound)
		has(t, st, "alice", "after it has expired", "id")
		generate(t, st, "anonymous") // is free, too
	})
}

// TestLoginInAFullStore: one that begins from nothing is refused and ends nobody's
// session; what has ended gives its place.
func TestLoginInAFullStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		st := &memory.Store{IdleTimeout: time.Hour, MaxSessions: 2}
		old := enter(t, st, "old", session.Login{User: "alice"})
		anonymous := generate(t, st, "anonymous")
		full := func() {
			t.Helper()
			l := session.Login{User: "alice", MaxSessions: 1, EndOldest: true, Ended: func(id string) { t.Errorf("%s was ended", id) }}
			if _, err := st.Login(ctx, "", l); !errors.Is(err, session.ErrFull) {
				t.Errorf("got %v, want ErrFull", err)
			}
		}
		full()
		old = login(t, st, old, session.Login{User: "alice"})
		login(t, st, anonymous, session.Login{User: "bob", ID: "bob"})
		full()
		if _, err := st.Generate(ctx, "one-more"); !errors.Is(err, session.ErrFull) {
			t.Errorf("Generate: got %v, want ErrFull", err)
		}
		opens(t, st, old, "alice's token", nil)
		if err := st.Remove(ctx, "bob"); err != nil {
			t.Fatal(err)
		}
		enter(t, st, "carol", session.Login{User: "carol"})
		full()
		time.Sleep(time.Hour)
		enter(t, st, "dave", session.Login{User: "dave"})
		enter(t, st, "erin", session.Login{User: "erin"})
		full()
	})
}
