package memory_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// A model is what the store should be: a map and some times.
type model struct {
	idle, absolute time.Duration
	live           map[string]*modelSession
	revoked        map[string]time.Time // by user
	logins         int
}

type modelSession struct {
	created, seen, rotated time.Time
	idle, absolute         time.Duration
	values                 map[string]any
	newest                 string            // token
	good                   map[string]*grace // old tokens

	user  string
	level session.Level
	at    time.Time // of the login
	login int       // how many there were before
}

func (s *modelSession) deadlines() (idle, absolute time.Time) {
	from := s.created
	if s.user != "" {
		from = s.at
	}
	idle, absolute = s.seen.Add(s.idle), from.Add(s.absolute)
	if idle.After(absolute) {
		idle = absolute
	}
	return idle, absolute
}

type grace struct {
	d     time.Duration
	until time.Time // zero: the successor was not seen
	next  string
}

func (m *model) get(id string) *modelSession {
	s := m.live[id]
	if s == nil {
		return nil
	}
	if idle, _ := s.deadlines(); !time.Now().Before(idle) {
		delete(m.live, id)
		return nil
	}
	return s
}

// accepts reports whether token opens s.
func (s *modelSession) accepts(token string) bool {
	g := s.good[token]
	return token == s.newest || g != nil && (g.until.IsZero() || time.Now().Before(g.until))
}

// open is accepts, and notes that token was seen.
func (s *modelSession) open(token string) bool {
	if !s.accepts(token) {
		return false
	}
	for _, old := range s.good {
		// All that lead to token have been followed.
		for next := old; next != nil && old.until.IsZero(); next = s.good[next.next] {
			if next.next == token {
				old.until = time.Now().Add(old.d)
			}
		}
	}
	return true
}

// TestSimulation makes random calls at random times and holds every answer
// against the model. SIMULATION_SEED repeats a run.
func TestSimulation(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("SIMULATION_SEED"), 10, 64); err == nil {
		seed = s
	}
	for n := range uint64(30) {
		t.Run(fmt.Sprintf("SIMULATION_SEED=%d", seed+n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { simulate(t, rand.New(rand.NewPCG(seed+n, 0))) })
		})
	}
}

func simulate(t *testing.T, random *rand.Rand) {
	ctx := t.Context()
	m := &model{
		idle: 10 * time.Second, absolute: time.Minute, live: make(map[string]*modelSession), revoked: make(map[string]time.Time),
	}
	st := &memory.Store{IdleTimeout: m.idle, AbsoluteTimeout: m.absolute}
	tokens := make(map[string][]string) // all that were ever given out, by id
	for step := range 3000 {
		if random.IntN(3) == 0 {
			// Often exactly to a deadline.
			time.Sleep([]time.Duration{time.Millisecond, 2500 * time.Millisecond, 9999 * time.Millisecond, 10 * time.Second}[random.IntN(4)])
		}
		id := randomID(random)
		want := m.get(id)
		fail := func(call string, got any, wanted any) {
			t.Helper()
			t.Fatalf("step %d, %s of %s: got %v, want %v", step, call, id, got, wanted)
		}
		wantErr := func(call string, err error, is error) bool {
			t.Helper()
			if !errors.Is(err, is) || (is == nil) != (err == nil) {
				fail(call, err, is)
			}
			return err == nil
		}
		notFound := error(nil)
		if want == nil {
			notFound = session.ErrNotFound
		}
		switch op := random.IntN(14); op {
		case 0, 1:
			exists := error(nil)
			if want != nil {
				exists = session.ErrExists
			}
			s, err := st.Generate(ctx, id)
			if wantErr("Generate", err, exists) {
				token := session.Token(s)
				now := time.Now()
				m.live[id] = &modelSession{
					created: now, seen: now, rotated: now, idle: m.idle, absolute: m.absolute,
					values: make(map[string]any), newest: token, good: make(map[string]*grace),
				}
				tokens[id] = append(tokens[id], token)
			}
		case 2:
			if wantErr("Refresh", st.Refresh(ctx, id), notFound) {
				want.seen = time.Now()
			}
		case 3:
			if random.IntN(4) == 0 {
				wantErr("Remove", st.Remove(ctx, id), nil)
				delete(m.live, id)
			}
		case 4, 5, 6:
			if len(tokens[id]) == 0 {
				continue
			}
			// One of the last few that were given out.
			token := tokens[id][max(0, len(tokens[id])-1-random.IntN(4))]
			is := error(nil)
			if want == nil || !want.open(token) {
				is = session.ErrNotFound
			}
			if op == 6 {
				d := time.Duration(random.IntN(3)) * 5 * time.Second
				s, err := st.Rotate(ctx, token, d)
				if !wantErr("Rotate", err, is) {
					continue
				}
				got := session.Token(s)
				switch {
				case token != want.newest && got != want.newest:
					fail("Rotate with an old token", "another", "the newest")
				case token == want.newest && got == token:
					fail("Rotate", "the same token", "a new one")
				case token == want.newest:
					want.good[token] = &grace{d: d, next: got}
					want.newest, want.rotated = got, time.Now()
					tokens[id] = append(tokens[id], got)
				}
				continue
			}
			s, err := st.Open(ctx, token)
			if wantErr("Open", err, is) {
				if session.Token(s) != want.newest {
					fail("Open", "another token", "the newest")
				}
				compare(t, s, want, step)
			}
		case 10, 11, 12:
			from, token := "", ""
			if n := len(tokens[id]); n > 0 && random.IntN(4) > 0 {
				from, token = id, tokens[id][max(0, n-1-random.IntN(4))]
			}
			l := randomLogin(random)
			var told []string
			l.Ended = func(id string) { told = append(told, id) }
			want, ended, is := m.login(from, token, l)
			s, err := st.Login(ctx, token, l)
			if !errors.Is(err, is) || (err == nil) != (is == nil) || !slices.Equal(told, ended) {
				t.Fatalf("step %d, Login from %q: got %v, ended %v, want %v, %v", step, from, err, told, is, ended)
			}
			if err == nil {
				want.newest = session.Token(s)
				tokens[s.ID()] = append(tokens[s.ID()], want.newest)
				compare(t, s, want, step)
			}
		case 13:
			m.account(t, st, random, step)
		default:
			s, err := st.Get(ctx, id)
			if !wantErr("Get", err, notFound) {
				continue
			}
			compare(t, s, want, step)
			key := fmt.Sprint("key", random.IntN(5))
			switch random.IntN(4) {
			case 0:
				wantErr("Delete", session.Delete(ctx, s, key), nil)
				delete(want.values, key)
			case 1:
				got, err := session.Pop(ctx, s, key)
				if wantErr("Pop", err, nil); got != want.values[key] {
					fail("Pop", got, want.values[key])
				}
				delete(want.values, key)
			default:
				wantErr("Set", s.Set(ctx, key, step), nil)
				want.values[key] = step
			}
			compare(t, s, want, step)
		}
	}
	st.Sweep()
}

func compare(t *testing.T, s session.Session, want *modelSession, step int) {
	t.Helper()
	all, err := session.All(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := maps.Collect(all); !maps.Equal(got, want.values) {
		t.Fatalf("step %d: got values %v, want %v", step, got, want.values)
	}
	info, err := session.Describe(s)
	if err != nil {
		t.Fatal(err)
	}
	idle, absolute := want.deadlines()
	got := session.Info{
		User: info.User, Level: info.Level, CreatedAt: info.CreatedAt, LastSeen: info.LastSeen, IdleDeadline: info.IdleDeadline,
		AbsoluteDeadline: info.AbsoluteDeadline, AuthenticatedAt: info.AuthenticatedAt, RotatedAt: info.RotatedAt,
	}
	should := session.Info{
		User: want.user, Level: want.level, CreatedAt: want.created.Round(0), LastSeen: want.seen.Round(0), IdleDeadline: idle.Round(0),
		AbsoluteDeadline: absolute.Round(0), AuthenticatedAt: want.at.Round(0), RotatedAt: want.rotated.Round(0),
	}
	if got != should {
		t.Fatalf("step %d:\ngot  %+v\nwant %+v", step, got, should)
	}
}
