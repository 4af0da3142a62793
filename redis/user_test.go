package redis_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// loggedIn returns a new session of a user.
func loggedIn(t *testing.T, st *redis.Store, l session.Login) session.Session {
	t.Helper()
	s, err := st.Login(t.Context(), session.Token(generate(t, st)), l)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLogin(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		first := generate(t, st)
		if err := first.Set(ctx, "cart", 3); err != nil {
			t.Fatal(err)
		}
		rotated, err := st.Rotate(ctx, session.Token(first), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now().Truncate(time.Millisecond)
		s, err := st.Login(ctx, session.Token(rotated), session.Login{
			User: "alice\x00\n{}", Level: 3, IdleTimeout: 2 * time.Hour, AbsoluteTimeout: 3 * time.Hour,
			Persistent: true, UserAgent: "a\nb", Address: "192.0.2.0/24",
		})
		if err != nil {
			t.Fatal(err)
		}
		if s.ID() == first.ID() || !strings.HasPrefix(s.ID(), homeOf("alice\x00\n{}")+"_") || session.Token(s) == session.Token(rotated) {
			t.Error("the old id or token, or an id without the home")
		}
		if v, err := s.Get(ctx, "cart"); err != nil || v != 3 {
			t.Errorf("values: got %v, %v", v, err)
		}
		if err := first.Set(ctx, "later", 1); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Set by who loaded it before: got %v, want ErrNotFound", err)
		}
		for _, old := range []session.Session{first, rotated} {
			if _, err := st.Open(ctx, session.Token(old)); !errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrReused) {
				t.Errorf("Open with a token from before: got %v, want ErrNotFound", err)
			}
		}
		opened := open(t, st, session.Token(s))
		info := described(t, opened)
		if info != described(t, s) {
			t.Errorf("Login shows %+v, Open %+v", described(t, s), info)
		}
		at := info.AuthenticatedAt
		want := session.Info{
			ID: s.ID(), User: "alice\x00\n{}", Level: 3, CreatedAt: at,
			LastSeen: at, IdleDeadline: at.Add(2 * time.Hour), AbsoluteDeadline: at.Add(3 * time.Hour), AuthenticatedAt: at, RotatedAt: at,
			Persistent: true, UserAgent: "a\nb", Address: "192.0.2.0/24",
		}
		if info != want || at.Before(began) || at.After(time.Now()) {
			t.Errorf("got %+v, want %+v, between %v and now", info, want, began)
		}
		infos, err := st.UserSessions(ctx, "alice\x00\n{}")
		if err != nil || len(infos) != 1 || infos[0] != want {
			t.Errorf("UserSessions: got %+v, %v, want %+v", infos, err, want)
		}
		if n, err := st.RemoveUserSessions(ctx, "alice\x00\n{}"); n != 1 || err != nil {
			t.Errorf("RemoveUserSessions: got %d, %v", n, err)
		}
		if _, err := st.Open(ctx, session.Token(s)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Open after the revocation: got %v, want ErrNotFound", err)
		}
		if infos, err := st.UserSessions(ctx, "alice\x00\n{}"); err != nil || len(infos) != 0 {
			t.Errorf("UserSessions after the revocation: got %v, %v", infos, err)
		}
	})
}

// A login accepts the tokens that Open does.
func TestLoginWithAnOldToken(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		for name, c := range map[string]struct {
			grace time.Duration
			seen  bool
			want  error
		}{
			"nobody has shown its successor": {0, false, nil},
			"within its grace":               {time.Hour, true, nil},
			"after its grace":                {0, true, session.ErrNotFound},
		} {
			old := generate(t, st)
			newest, err := st.Rotate(ctx, session.Token(old), c.grace)
			if err != nil {
				t.Fatal(err)
			}
			if c.seen {
				open(t, st, session.Token(newest))
			}
			for _, l := range []session.Login{{User: name, MaxSessions: 1, EndOldest: true}, {User: name}} {
				s, err := st.Login(ctx, session.Token(old), l)
				if !errors.Is(err, c.want) {
					t.Errorf("an old token, %s: got %v, want %v", name, err, c.want)
				}
				if err == nil {
					open(t, st, session.Token(s))
					break
				}
			}
			if _, err := st.Open(ctx, session.Token(newest)); (err == nil) != (c.want != nil) {
				t.Errorf("%s: the newest token from before: got %v", name, err)
			}
		}
	})
}

// Reauthentication keeps what the login gave the session, but for the level where
// it says one.
func TestReauthentication(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		s := loggedIn(t, st, session.Login{
			User: "ada", Level: 2, IdleTimeout: 3 * time.Hour, AbsoluteTimeout: 5 * time.Hour, Persistent: true, UserAgent: strings.Repeat("u", 256), Address: strings.Repeat("a", 64),
		})
		want := described(t, s)
		for level, shown := range map[session.Level]session.Level{0: 2, 255: 255} {
			again, err := st.Login(ctx, session.Token(s), session.Login{User: "ada", Level: level, Reauthentication: true, IdleTimeout: time.Minute, UserAgent: "other"})
			if err != nil {
				t.Fatal(err)
			}
			got := described(t, open(t, st, session.Token(again)))
			at := got.AuthenticatedAt
			want.Level, want.LastSeen, want.AuthenticatedAt, want.RotatedAt = shown, at, at, at
			want.IdleDeadline, want.AbsoluteDeadline = at.Add(3*time.Hour), at.Add(5*time.Hour)
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			s, want.Level = again, 2
			if level == 255 {
				break
			}
		}
	})
}

// A login that may not be changes nothing.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		anonymous, bobs := generate(t, st), loggedIn(t, st, session.Login{User: "bob"})
		over := session.Token(generate(t, st))
		newest, err := st.Rotate(ctx, over, 0)
		if err != nil {
			t.Fatal(err)
		}
		open(t, st, session.Token(newest))
		records := func() (all []map[string]string) {
			for _, s := range []session.Session{anonymous, bobs, newest} {
				record := a.client.HGetAll(ctx, keyOf(st, s.ID())).Val()
				delete(record, "g") // a login was refused
				all = append(all, record)
			}
			return all
		}
		before := records()
		for name, c := range map[string]struct {
			token string
			l     session.Login
			want  error
		}{
			"another user's":                {session.Token(bobs), session.Login{User: "ada"}, session.ErrNotFound},
			"another user's again":          {session.Token(bobs), session.Login{User: "ada", Reauthentication: true}, session.ErrNotFound},
			"anonymous again":               {session.Token(anonymous), session.Login{User: "ada", Reauthentication: true}, session.ErrNotFound},
			"another secret":                {anonymous.ID() + "." + strings.Repeat("A", 26), session.Login{User: "ada"}, session.ErrNotFound},
			"a secret that is over":         {over, session.Login{User: "ada"}, session.ErrNotFound},
			"unknown":                       {uuid.NewString() + "." + strings.Repeat("A", 26), session.Login{User: "ada"}, session.ErrNotFound},
			"malformed":                     {anonymous.ID(), session.Login{User: "ada"}, session.ErrNotFound},
			"nobody":                        {session.Token(anonymous), session.Login{}, session.ErrInvalidUser},
			"a user of 257 bytes":           {session.Token(anonymous), session.Login{User: strings.Repeat("x", 257)}, session.ErrInvalidUser},
			"an idle timeout above":         {session.Token(anonymous), session.Login{User: "ada", IdleTimeout: 13 * time.Hour}, nil},
			"an absolute timeout too long":  {session.Token(anonymous), session.Login{User: "ada", AbsoluteTimeout: 401 * 24 * time.Hour}, nil},
			"a check of long ago":           {session.Token(anonymous), session.Login{User: "ada", Began: time.Now().Add(-session.BeganLimit - time.Second)}, session.ErrRevoked},
			"a full account, and malformed": {"x", session.Login{User: "bob", MaxSessions: 1}, session.ErrNotFound},
			"a full account, another secret, which must not end anybody": {
				anonymous.ID() + "." + strings.Repeat("A", 26), session.Login{User: "bob", MaxSessions: 1, EndOldest: true}, session.ErrNotFound,
			},
			"a full account, a secret that is over": {over, session.Login{User: "bob", MaxSessions: 1, EndOldest: true}, session.ErrNotFound},
			"a full account, again of an anonymous": {
				session.Token(anonymous), session.Login{User: "bob", MaxSessions: 1, EndOldest: true, Reauthentication: true}, session.ErrNotFound,
			},
			"a full account": {session.Token(anonymous), session.Login{User: "bob", MaxSessions: 1}, session.ErrUserLimit},
		} {
			c.l.Ended = func(string) { t.Errorf("%s: a session was ended", name) }
			s, err := st.Login(ctx, c.token, c.l)
			switch {
			case s != nil || err == nil, c.want != nil && !errors.Is(err, c.want), c.want == nil && errors.Is(err, session.ErrNotFound):
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			case strings.Contains(err.Error(), "bob"), strings.Contains(err.Error(), "ada"):
				t.Errorf("%s: the error names the user", name)
			}
			if !reflect.DeepEqual(records(), before) {
				t.Errorf("%s: a record has changed", name)
			}
			if a.client.Exists(ctx, indexOf(st, "ada")).Val() != 0 {
				t.Errorf("%s: it is listed", name)
			}
		}
		for _, user := range []string{"", strings.Repeat("x", 257)} {
			if _, err := st.UserSessions(ctx, user); !errors.Is(err, session.ErrInvalidUser) {
				t.Errorf("UserSessions: got %v, want ErrInvalidUser", err)
			}
			if _, err := st.RemoveUserSessions(ctx, user); !errors.Is(err, session.ErrInvalidUser) {
				t.Errorf("RemoveUserSessions: got %v, want ErrInvalidUser", err)
			}
		}
		lists(t, st, "bob", bobs)
	})
}

// The newest seven secrets that a session has had are recognised, until a login.
func TestReused(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		s := generate(t, st)
		var dead []string
		for range 12 {
			dead = append(dead, session.Token(s))
			rotated, err := st.Rotate(ctx, session.Token(s), 0)
			if err != nil {
				t.Fatal(err)
			}
			s = open(t, st, session.Token(rotated))
		}
		at := described(t, s).RotatedAt
		if at.Equal(described(t, s).CreatedAt) {
			t.Error("RotatedAt has not moved")
		}
		if _, err := st.Rotate(ctx, dead[11], 0); err != session.ErrNotFound { //nolint:errorlint // the plain one
			t.Errorf("Rotate with an old token: got %v, want the plain ErrNotFound", err)
		}
		remembered := 0
		for i, old := range dead {
			_, err := st.Open(ctx, old)
			switch {
			case !errors.Is(err, session.ErrNotFound):
				t.Fatalf("an old token: got %v", err)
			case errors.Is(err, session.ErrReused):
				remembered++
			case i >= 5:
				t.Errorf("the %d newest old token: got %v, want ErrReused", 12-i, err)
			}
		}
		if remembered > 8 {
			t.Errorf("%d old tokens are remembered", remembered)
		}
		if x := a.client.HGet(ctx, keyOf(st, s.ID()), "x").Val(); len(x) != 56 {
			t.Errorf("got %d bytes of old tokens, want 56", len(x))
		}
		if _, err := st.Open(ctx, s.ID()+"."+strings.Repeat("A", 26)); errors.Is(err, session.ErrReused) {
			t.Error("a token that never was is taken for an old one")
		}
		again, err := st.Login(ctx, session.Token(s), session.Login{User: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range append(dead, session.Token(s)) {
			if _, err := st.Open(ctx, old); !errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrReused) {
				t.Errorf("after a login: got %v, want the plain ErrNotFound", err)
			}
		}
		if info := described(t, again); !info.RotatedAt.Equal(info.AuthenticatedAt) {
			t.Errorf("RotatedAt is %v, the login was at %v", info.RotatedAt, info.AuthenticatedAt)
		}
	})
}

// UserSessions shows what Describe shows, the last seen first.
func TestUserSessions(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		if infos, err := st.UserSessions(ctx, "ada"); err != nil || len(infos) != 0 {
			t.Errorf("of a user without sessions: got %d, %v", len(infos), err)
		}
		want := make(map[string]session.Info)
		for i := range 20 {
			s := loggedIn(t, st, session.Login{User: "ada", Level: session.Level(1 + i), Persistent: i%2 == 0, UserAgent: strings.Repeat("x", i*13), Address: strings.Repeat("y", i%3*30)})
			if i%4 == 0 {
				if err := st.Refresh(ctx, s.ID()); err != nil {
					t.Fatal(err)
				}
			}
			if i%5 == 0 {
				rotated, err := st.Rotate(ctx, session.Token(s), time.Hour)
				if err != nil {
					t.Fatal(err)
				}
				s = rotated
			}
			want[s.ID()] = described(t, open(t, st, session.Token(s)))
		}
		infos, err := st.UserSessions(ctx, "ada")
		if err != nil {
			t.Fatal(err)
		}
		for i, info := range infos {
			if info != want[info.ID] {
				t.Errorf("got %+v, want %+v", info, want[info.ID])
			}
			if i > 0 && info.LastSeen.After(infos[i-1].LastSeen) {
				t.Error("not the last seen first")
			}
		}
		if len(infos) != len(want) {
			t.Errorf("got %d sessions, want %d", len(infos), len(want))
		}
	})
}
