package memory_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

func randomID(random *rand.Rand) string { return fmt.Sprint("id", random.IntN(8)) }

func randomUser(random *rand.Rand) string { return fmt.Sprint("user", random.IntN(3)) }

func randomLogin(random *rand.Rand) session.Login {
	l := session.Login{
		User: randomUser(random), Level: session.Level(random.IntN(3)), MaxSessions: random.IntN(4),
		EndOldest: random.IntN(2) == 0, Reauthentication: random.IntN(4) == 0, ID: randomID(random),
	}
	switch random.IntN(6) {
	case 0:
		l.Values = map[string]any{fmt.Sprint("key", random.IntN(5)): "of a login", "key0": random.IntN(100)}
	case 1:
		l.Values = map[string]any{"key0": "of a login", "key1": new(int)}
	}
	switch random.IntN(4) {
	case 0:
		l.IdleTimeout, l.AbsoluteTimeout = 3*time.Second, 20*time.Second
	case 1:
		l.IdleTimeout, l.AbsoluteTimeout = 2*time.Minute, 5*time.Minute
	}
	if random.IntN(2) == 0 {
		l.Began = time.Now().Add(-[]time.Duration{0, 5 * time.Second, time.Minute, 59 * time.Minute, 61 * time.Minute}[random.IntN(5)])
	}
	return l
}

// of returns the ids of a user's sessions, the one that logged in first first.
func (m *model) of(user string) []string {
	var ids []string
	for id, s := range m.live {
		if s.user == user && m.get(id) != nil {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int { return m.live[a].login - m.live[b].login })
	return ids
}

// login logs in from the session of id; empty: from none. It returns the session,
// but for its token, and whose end makes room for it.
func (m *model) login(id, token string, l session.Login) (s *modelSession, ended []string, err error) {
	began := time.Now()
	if !l.Began.IsZero() {
		began = l.Began
	}
	if id != "" {
		s = m.get(id)
	}
	invalid := false
	for _, v := range l.Values {
		_, pointer := v.(*int)
		invalid = invalid || pointer
	}
	begins := s == nil || s.user == ""
	switch {
	case begins && l.Reauthentication && id == "":
		return nil, nil, session.ErrNotFound
	case invalid:
		return nil, nil, session.ErrValue
	case id != "" && (s == nil || !s.accepts(token)), !begins && s.user != l.User, begins && l.Reauthentication:
		return nil, nil, session.ErrNotFound
	case began.Before(m.revoked[l.User]), time.Since(began) > time.Hour:
		return nil, nil, session.ErrRevoked
	case begins && m.get(l.ID) != nil:
		return nil, nil, session.ErrExists
	}
	others := slices.DeleteFunc(m.of(l.User), func(other string) bool { return other == id })
	if many := len(others) - (l.MaxSessions - 1); l.MaxSessions > 0 && many > 0 {
		if !l.EndOldest {
			return nil, nil, session.ErrUserLimit
		}
		for _, id := range others[:many] {
			ended = append(ended, id)
			delete(m.live, id)
		}
	}
	now := time.Now()
	if begins {
		kept := make(map[string]any)
		if s != nil {
			kept = s.values
			delete(m.live, id)
		}
		s = &modelSession{created: now, values: kept}
		m.live[l.ID] = s
	}
	maps.Copy(s.values, l.Values)
	if l.Reauthentication {
		s.level = cmp.Or(l.Level, s.level)
	} else {
		s.level = cmp.Or(l.Level, session.Authenticated)
		s.idle, s.absolute = cmp.Or(l.IdleTimeout, m.idle), cmp.Or(l.AbsoluteTimeout, m.absolute)
	}
	s.user, s.at, s.seen, s.rotated = l.User, now, now, now
	s.good = make(map[string]*grace)
	m.logins++
	s.login = m.logins
	return s, ended, nil
}

// account ends sessions of a user, now and then, and holds what is listed against
// the model.
func (m *model) account(t *testing.T, st *memory.Store, random *rand.Rand, step int) {
	t.Helper()
	user := randomUser(random)
	want := m.of(user)
	if random.IntN(3) == 0 {
		var except []string
		if len(want) > 0 && random.IntN(2) == 0 {
			except = want[:1]
		}
		m.revoked[user] = time.Now()
		n, err := st.RemoveUserSessions(t.Context(), user, except...)
		if err != nil || n != len(want)-len(except) {
			t.Fatalf("step %d, RemoveUserSessions: got %d, %v, want %d", step, n, err, len(want)-len(except))
		}
		for _, id := range want[len(except):] {
			delete(m.live, id)
		}
		want = except
	}
	slices.SortStableFunc(want, func(a, b string) int { return m.live[b].seen.Compare(m.live[a].seen) })
	if got := ids(t, st, user); !slices.Equal(got, want) {
		t.Fatalf("step %d, UserSessions: got %v, want %v", step, got, want)
	}
}
