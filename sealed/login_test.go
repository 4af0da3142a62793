package sealed_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

// TestLoginAnonymous: an anonymous session ends for its request, and another begins
// with its values and an id of its own.
func TestLoginAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, c := keyed("a"), &client{name: "session"}
		before, err := st.Generate(c.request(t.Context()), "anonymous")
		c.take(t, before, err)
		ctx := c.request(t.Context())
		before, err = st.Open(ctx, c.seal)
		if err == nil {
			err = session.SetAll(ctx, before, map[string]any{"cart": "apples", "step": 1})
		}
		if err != nil {
			t.Fatal(err)
		}
		anonymous, old := infoOf(t, before), c.seal
		time.Sleep(time.Minute)
		s, err := st.Login(ctx, old, session.Login{
			User: "alice", ID: "new", Persistent: true, UserAgent: "browser", Address: "net",
			Values: map[string]any{"step": 2, "greeted": true},
		})
		c.take(t, s, err)
		now := time.Now().Round(0)
		want := session.Info{
			ID: "new", User: "alice", Level: session.Authenticated, Persistent: true,
			CreatedAt: now, LastSeen: now, AuthenticatedAt: now, RotatedAt: now,
			IdleDeadline: now.Add(30 * time.Minute), AbsoluteDeadline: now.Add(12 * time.Hour),
		}
		values := map[string]any{"cart": "apples", "step": 2, "greeted": true}
		back, err := st.Open(c.request(t.Context()), c.seal)
		if err != nil {
			t.Fatal(err)
		}
		current, err := st.Get(ctx, "new")
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string]session.Session{"of Login": s, "of Open": back, "of Get": current} {
			if infoOf(t, got) != want {
				t.Errorf("%s:\ngot  %+v\nwant %+v", name, infoOf(t, got), want)
			}
			shows(t, name, got, values)
		}

		// Nothing can be done with the object from before, and it shows what it was.
		for what, write := range writes(before) {
			unexplained(t, what, write(ctx))
		}
		unexplained(t, "Refresh", st.Refresh(ctx, "anonymous"))
		if infoOf(t, before) != anonymous {
			t.Errorf("before: got %+v, want %+v", infoOf(t, before), anonymous)
		}
		shows(t, "before", before, map[string]any{"cart": "apples", "step": 1})

		// A copy of the old seal cannot be taken back: it is nobody's.
		copied, err := st.Open((&client{name: "session"}).request(t.Context()), old)
		if err != nil || infoOf(t, copied) != anonymous {
			t.Errorf("a copy of the anonymous seal: got %v", err)
		}
	})
}

// TestLoginIDs: who has an id keeps it, and an anonymous session never gives its own away.
func TestLoginIDs(t *testing.T) {
	st := keyed("a")
	anonymous := begun(t, t.Context(), st, nil)
	first := opened(t, st, again(t, st, anonymous, session.Login{User: "alice"}))
	if first.ID() == "anonymous" || !st.ValidToken(session.Token(first)) || len(first.ID()) != 36 {
		t.Errorf("after an anonymous session: got %q, want a new one", first.ID())
	}
	second := opened(t, st, again(t, st, session.Token(first), session.Login{User: "alice", ID: "ignored"}))
	if second.ID() != first.ID() {
		t.Errorf("after a login of the same user: got %q, want %q", second.ID(), first.ID())
	}
	third := opened(t, st, entered(t, st, session.Login{User: "alice"}))
	if third.ID() == first.ID() {
		t.Error("two logins have one id")
	}
	if got := opened(t, st, entered(t, st, session.Login{User: "alice", ID: "chosen"})).ID(); got != "chosen" {
		t.Errorf("got %q, want the id that was asked for", got)
	}
}

// TestLoginAgain: everything is what the last login says.
func TestLoginAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, start := keyed("a"), time.Now().Round(0)
		first := entered(t, st, session.Login{
			User: "alice", ID: "id", Level: 3, IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour, Persistent: true,
			Values: map[string]any{"k": "v", "l": 1},
		})
		time.Sleep(30 * time.Second)
		s := opened(t, st, again(t, st, first, session.Login{User: "alice", Values: map[string]any{"l": 2}}))
		now := start.Add(30 * time.Second)
		want := session.Info{
			ID: "id", User: "alice", Level: session.Authenticated, CreatedAt: start, LastSeen: now, AuthenticatedAt: now, RotatedAt: now,
			IdleDeadline: now.Add(30 * time.Minute), AbsoluteDeadline: now.Add(12 * time.Hour),
		}
		if got := infoOf(t, s); got != want {
			t.Errorf("\ngot  %+v\nwant %+v", got, want)
		}
		shows(t, "after it", s, map[string]any{"k": "v", "l": 2})
	})
}

// TestReauthentication: all but the proof and the times that begin with it stay.
func TestReauthentication(t *testing.T) {
	for _, tt := range []struct {
		name        string
		level, want session.Level
	}{{"the same level", 0, 2}, {"a higher level", 3, 3}, {"a lower level", 1, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := keyed("a")
				first := entered(t, st, session.Login{
					User: "alice", ID: "id", Level: 2, IdleTimeout: 24 * time.Hour, AbsoluteTimeout: 48 * time.Hour, Persistent: true,
				})
				want := infoOf(t, opened(t, st, first))
				time.Sleep(time.Hour)
				second := again(t, st, first, session.Login{
					User: "alice", Level: tt.level, Reauthentication: true, ID: "other",
					IdleTimeout: time.Hour, AbsoluteTimeout: time.Minute, // no matter
				})
				want.Level = tt.want
				for _, at := range []*time.Time{&want.LastSeen, &want.AuthenticatedAt, &want.RotatedAt, &want.IdleDeadline, &want.AbsoluteDeadline} {
					*at = at.Add(time.Hour)
				}
				if got := infoOf(t, opened(t, st, second)); got != want {
					t.Errorf("\ngot  %+v\nwant %+v", got, want)
				}
			})
		})
	}
}

// TestLoginRefused: nothing changes, neither for the request nor at its client. Where two
// things are wrong the error is that of the first, as with the other stores.
func TestLoginRefused(t *testing.T) {
	other := session.Login{User: "other"}
	long := session.Login{User: "alice", Began: time.Now().Add(-time.Hour - time.Second)}
	big := map[string]any{"k": strings.Repeat("v", 5000)}
	unkept := map[string]any{"k": nil}
	const own, none, unknown = "own", "none", "unknown"
	for _, tt := range []struct {
		name  string
		seal  string // which one comes along; own: alice's
		login session.Login
		want  error // nil: an error of its own
	}{
		{"another user's", own, other, session.ErrNotFound},
		{"another user's, again", own, session.Login{User: "other", Reauthentication: true}, session.ErrNotFound},
		{"another user's, after too long", own, session.Login{User: "other", Began: long.Began}, session.ErrNotFound},
		{"another user's, too large", own, session.Login{User: "other", Values: big}, session.ErrNotFound},
		{"anonymous, again", "anonymous", session.Login{User: "alice", Reauthentication: true}, session.ErrNotFound},
		{"no seal, again", none, session.Login{User: "alice", Reauthentication: true}, session.ErrNotFound},
		{"a seal of an unknown key", unknown, session.Login{User: "alice"}, session.ErrNotFound},
		{"that, after too long", unknown, long, session.ErrNotFound},
		{"that, a value that cannot be kept", unknown, session.Login{User: "alice", Values: unkept}, session.ErrValue},
		{"an id instead of a seal", "id", session.Login{User: "alice"}, session.ErrNotFound},
		{"that, a value that cannot be kept", "id", session.Login{User: "alice", Values: unkept}, session.ErrNotFound},
		{"no user", own, session.Login{}, session.ErrInvalidUser},
		{"no user, another seal", unknown, session.Login{}, session.ErrInvalidUser},
		{"a long user", own, session.Login{User: strings.Repeat("u", 257)}, session.ErrInvalidUser},
		{"an id that none can have", none, session.Login{User: "alice", ID: "a.b"}, session.ErrInvalidID},
		{"a long id", none, session.Login{User: "alice", ID: strings.Repeat("i", 97)}, session.ErrInvalidID},
		{"after too long", own, long, session.ErrRevoked},
		{"after too long, no seal", none, long, session.ErrRevoked},
		{"after too long, too large", own, session.Login{User: "alice", Began: long.Began, Values: big}, session.ErrRevoked},
		{"centuries ago", own, session.Login{User: "alice", Began: time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC)}, session.ErrRevoked},
		{"too large", own, session.Login{User: "alice", Values: big}, session.ErrTooLarge},
		{"a value that cannot be kept", own, session.Login{User: "alice", Values: unkept}, session.ErrValue},
		{"a limit of sessions", own, session.Login{User: "alice", MaxSessions: 1}, errors.ErrUnsupported},
		{"a limit that it keeps", none, session.Login{User: "alice", MaxSessions: 100, EndOldest: true}, errors.ErrUnsupported},
		{"a negative limit", own, session.Login{User: "alice", MaxSessions: -1}, nil},
		{"a negative timeout", own, session.Login{User: "alice", IdleTimeout: -1}, nil},
		{"idle above absolute", own, session.Login{User: "alice", IdleTimeout: 2 * time.Hour, AbsoluteTimeout: time.Hour}, nil},
		{"idle above the store's absolute", own, session.Login{User: "alice", IdleTimeout: 13 * time.Hour}, nil},
		{"over 400 days", own, session.Login{User: "alice", AbsoluteTimeout: 401 * 24 * time.Hour}, nil},
		{"a long user agent", own, session.Login{User: "alice", UserAgent: strings.Repeat("a", 257)}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st, c := keyed("a"), &client{}
			alice := entered(t, st, session.Login{User: "alice", ID: "id", Values: map[string]any{"k": "v"}})
			seals := map[string]string{
				own: alice, none: "", unknown: begun(t, t.Context(), keyed("b"), nil), "id": "id",
				"anonymous": begun(t, t.Context(), st, map[string]any{"k": "v"}),
			}
			seal := seals[tt.seal]
			ctx := c.request(t.Context())
			loaded := seal
			if !st.ValidToken(seal) || tt.seal == unknown {
				loaded = alice
			}
			before, err := st.Open(ctx, loaded)
			if err != nil {
				t.Fatal(err)
			}
			info := infoOf(t, before)

			s, err := st.Login(ctx, seal, tt.login)
			switch {
			case s != nil || err == nil:
				t.Fatalf("got %v, %v, want an error alone", s, err)
			case tt.want != nil && !errors.Is(err, tt.want):
				t.Errorf("got %v, want %v", err, tt.want)
			case tt.want == nil && (errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrTooLarge)):
				t.Errorf("got %v, want an error of its own", err)
			case tt.want == session.ErrNotFound: //nolint:errorlint // of the table
				unexplained(t, "Login", err)
			}
			if c.times != 0 {
				t.Errorf("the client was given %d seals", c.times)
			}
			current, err := st.Get(ctx, before.ID())
			if err != nil || infoOf(t, current) != info {
				t.Fatalf("the session of the request: got %v, %v, want %+v", current, err, info)
			}
			shows(t, "the session of the request", current, map[string]any{"k": "v"})
			if err := before.Set(ctx, "k", "w"); err != nil {
				t.Errorf("Set afterwards: %v", err)
			}
			open(t, st, loaded, "the seal", nil)
		})
	}
}

// TestBegan: a check may take an hour, and not a nanosecond longer.
func TestBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := keyed("a")
		for ago, want := range map[time.Duration]error{
			session.BeganLimit: nil, session.BeganLimit + 1: session.ErrRevoked, 0: nil, -time.Hour: nil,
		} {
			_, err := st.Login(t.Context(), "", session.Login{User: "alice", Began: time.Now().Add(-ago)})
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("a check of %v: got %v, want %v", ago, err, want)
			}
		}
	})
}

// TestUnsupported: what needs a list of sessions says that there is none.
func TestUnsupported(t *testing.T) {
	st := keyed("a")
	s := opened(t, st, entered(t, st, session.Login{User: "alice", ID: "id"}))
	ctx := (&client{}).request(t.Context())
	_, list := st.UserSessions(t.Context(), "alice")
	_, all := st.RemoveUserSessions(t.Context(), "alice")
	_, get := st.Get(t.Context(), "id")
	_, getInRequest := st.Get(ctx, "id")
	for what, err := range map[string]error{
		"UserSessions": list, "RemoveUserSessions": all, "Get": get, "Get in a request": getInRequest,
		"Refresh": st.Refresh(t.Context(), "id"), "Remove": st.Remove(t.Context(), "id"), "Remove in a request": st.Remove(ctx, "id"),
	} {
		if !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %v, want ErrUnsupported", what, err)
		}
	}
	unexplained(t, "Refresh of a session of another request", st.Refresh(ctx, "id"))
	if err := s.Set(t.Context(), "k", "v"); err != nil {
		t.Errorf("the session afterwards: %v", err)
	}
	for _, user := range []string{"", strings.Repeat("u", 257)} {
		if _, err := st.UserSessions(t.Context(), user); !errors.Is(err, session.ErrInvalidUser) {
			t.Errorf("UserSessions: got %v, want ErrInvalidUser", err)
		}
		if _, err := st.RemoveUserSessions(t.Context(), user); !errors.Is(err, session.ErrInvalidUser) {
			t.Errorf("RemoveUserSessions: got %v, want ErrInvalidUser", err)
		}
	}
	for _, id := range []string{"", "a.b", strings.Repeat("i", 129), "ü"} {
		if _, err := st.Generate(t.Context(), id); !errors.Is(err, session.ErrInvalidID) {
			t.Errorf("Generate of %q: got %v, want ErrInvalidID", id, err)
		}
		_, err := st.Get(t.Context(), id)
		unexplained(t, "Get of a malformed id", err)
		unexplained(t, "Refresh of a malformed id", st.Refresh(t.Context(), id))
		if err := st.Remove(t.Context(), id); err != nil {
			t.Errorf("Remove of a malformed id: got %v", err)
		}
	}
	_, err := st.Rotate(t.Context(), session.Token(s), -1)
	if err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("a negative grace: got %v, want an error of its own", err)
	}
}
