package memory_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

func randomUser(random *rand.Rand) string { return fmt.Sprint("user", random.IntN(3)) }

func randomLogin(random *rand.Rand) session.Login {
	l := session.Login{
		User: randomUser(random), Level: session.Level(random.IntN(3)), MaxSessions: random.IntN(4),
		EndOldest: random.IntN(2) == 0, Reauthentication: random.IntN(4) == 0,
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

// login logs in, but for the token, and returns whose end makes room for it.
func (m *model) login(id, token string, l session.Login) (ended []string, err error) {
	s := m.get(id)
	began := time.Now()
	if !l.Began.IsZero() {
		began = l.Began
	}
	switch {
	case s == nil, !s.accepts(token), s.user != l.User && (s.user != "" || l.Reauthentication):
		return nil, session.ErrNotFound
	case began.Before(m.revoked[l.User]), time.Since(began) > time.Hour:
		return nil, session.ErrRevoked
	}
	others := slices.DeleteFunc(m.of(l.User), func(other string) bool { return other == id })
	if many := len(others) - (l.MaxSessions - 1); l.MaxSessions > 0 && many > 0 {
		if !l.EndOldest {
			return nil, session.ErrUserLimit
		}
		for _, id := range others[:many] {
			ended = append(ended, id)
			delete(m.live, id)
		}
	}
	if l.Reauthentication {
		s.level = cmp.Or(l.Level, s.level)
	} else {
		s.level = cmp.Or(l.Level, session.Authenticated)
		s.idle, s.absolute = cmp.Or(l.IdleTimeout, m.idle), cmp.Or(l.AbsoluteTimeout, m.absolute)
	}
	s.user, s.at, s.seen, s.rotated = l.User, time.Now(), time.Now(), time.Now()
	s.good = make(map[string]*grace)
	m.logins++
	s.login = m.logins
	return ended, nil
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
