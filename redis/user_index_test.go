package redis_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// indexOf is the name of a user's index, as docs/redis.md tells it.
func indexOf(st *redis.Store, user string) string {
	sum := sha256.Sum256([]byte(user))
	return st.Prefix + "user:" + base64.RawURLEncoding.EncodeToString(sum[:16]) + ":"
}

// slotIndexes are the names of ada's indexes for slots.
func slotIndexes(t *testing.T, a *arena, st *redis.Store) (all []string) {
	t.Helper()
	hash := indexOf(st, "ada")[len(st.Prefix+"user:"):]
	for _, server := range a.servers {
		for _, key := range server.MustDo(t, "KEYS", st.Prefix+"user:{*}"+hash).([]any) {
			all = append(all, key.(string))
		}
	}
	return all
}

// lists checks which sessions of a user are listed.
func lists(t *testing.T, st *redis.Store, user string, want ...session.Session) {
	t.Helper()
	infos, err := st.UserSessions(t.Context(), user)
	if err != nil {
		t.Errorf("UserSessions: %v", err)
	}
	var got, ids []string
	for _, info := range infos {
		got = append(got, info.ID)
	}
	for _, s := range want {
		ids = append(ids, s.ID())
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("UserSessions: got %d sessions, want %d others", len(got), len(ids))
	}
}

// isAlive checks whether a session lives.
func isAlive(t *testing.T, st *redis.Store, s session.Session, want bool, when string) {
	t.Helper()
	_, err := st.Get(t.Context(), s.ID())
	if err == nil != want || err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Errorf("%s: got %v, want that it lives: %t", when, err, want)
	}
}

func revokes(t *testing.T, st *redis.Store, user string, want int, except ...string) {
	t.Helper()
	if n, err := st.RemoveUserSessions(t.Context(), user, except...); n != want || err != nil {
		t.Errorf("RemoveUserSessions: got %d, %v, want %d", n, err, want)
	}
}

// entryOf is what the index of a user holds of a login, as scripts/index.lua tells.
func entryOf(carried string, at time.Time, span time.Duration) string {
	_, secret, _ := strings.Cut(carried, ".")
	sum := sha256.Sum256([]byte(secret))
	return fmt.Sprintf("%016d%013d", at.UnixMicro(), span.Milliseconds()) + base64.RawURLEncoding.EncodeToString(sum[:8])
}

// What the index has lost, a revocation finds.
func TestLostIndex(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		for name, lose := range map[string]func(st *redis.Store) error{
			"nothing": func(*redis.Store) error { return nil },
			"the index": func(st *redis.Store) error {
				return a.client.Del(t.Context(), indexOf(st, "ada")).Err()
			},
			"the indexes of slots": func(st *redis.Store) (err error) {
				for _, key := range slotIndexes(t, a, st) {
					err = errors.Join(err, a.client.Del(t.Context(), key).Err())
				}
				return err
			},
			"an entry": func(st *redis.Store) error {
				return a.client.HDel(t.Context(), indexOf(st, "ada"), a.client.HKeys(t.Context(), indexOf(st, "ada")).Val()[0]).Err()
			},
		} {
			t.Run(name, func(t *testing.T) {
				st := a.store(time.Hour)
				var mine []session.Session
				for range 40 {
					mine = append(mine, loggedIn(t, st, session.Login{User: "ada"}))
				}
				other, nobody := loggedIn(t, st, session.Login{User: "bob"}), generate(t, st)
				if len(slotIndexes(t, a, st)) == 0 {
					t.Fatal("no index of a slot: the test is wrong")
				}
				if err := lose(st); err != nil {
					t.Fatal(err)
				}
				revokes(t, st, "ada", 39, mine[7].ID(), "", "x", other.ID())
				for i, s := range mine {
					isAlive(t, st, s, i == 7, fmt.Sprint("session ", i))
				}
				isAlive(t, st, other, true, "another user's session")
				isAlive(t, st, nobody, true, "nobody's session")
				revokes(t, st, "ada", 1)
				revokes(t, st, "ada", 0)
				lists(t, st, "ada")
				lists(t, st, "bob", other)
			})
		}
	})
}

// A login that came no further than its note is listed by nobody, stands in the way
// of others for a minute at most, and ends nobody's session.
func TestCrashBeforeBinding(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		mine, crashed := loggedIn(t, st, session.Login{User: "ada"}), generate(t, st)
		index := indexOf(st, "ada")
		note := func(s session.Session, at time.Time) {
			t.Helper()
			// All that index.lua leaves.
			if err := a.client.HSet(ctx, index, s.ID(), entryOf(session.Token(s), at, time.Hour)).Err(); err != nil {
				t.Fatal(err)
			}
		}
		note(crashed, time.Now())
		lists(t, st, "ada", mine)
		lists(t, st, "ada", mine) // and it is no reason to forget the note
		if !a.client.HExists(ctx, index, crashed.ID()).Val() {
			t.Error("the note of a login under way is gone")
		}
		limited := session.Login{User: "ada", MaxSessions: 2}
		if _, err := st.Login(ctx, session.Token(generate(t, st)), limited); !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("a login beside one under way: got %v, want ErrUserLimit", err)
		}
		rotated, err := st.Rotate(ctx, session.Token(crashed), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Login(ctx, session.Token(generate(t, st)), limited); !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("a login beside one under way with an old token: got %v, want ErrUserLimit", err)
		}
		if err := st.Remove(ctx, rotated.ID()); err != nil {
			t.Fatal(err)
		}
		again, err := st.Generate(ctx, crashed.ID()) // which nobody has logged in to
		if err != nil {
			t.Fatal(err)
		}
		third, err := st.Login(ctx, session.Token(generate(t, st)), limited)
		if err != nil {
			t.Fatalf("a login beside one that has ended: %v", err)
		}

		late := generate(t, st)
		note(late, time.Now().Add(-61*time.Second))
		limited.MaxSessions = 3
		fourth, err := st.Login(ctx, session.Token(generate(t, st)), limited)
		if err != nil {
			t.Fatalf("a login beside one that was noted a minute ago: %v", err)
		}
		if err := st.Remove(ctx, fourth.ID()); err != nil {
			t.Fatal(err)
		}
		crashed = generate(t, st)
		note(crashed, time.Now())
		revokes(t, st, "ada", 2) // it does not count: it was nobody's
		for _, s := range []session.Session{mine, third} {
			isAlive(t, st, s, false, "after the revocation")
		}
		for _, s := range []session.Session{again, late, crashed} {
			open(t, st, session.Token(s))
		}
		if _, err := st.Login(ctx, session.Token(crashed), session.Login{User: "ada"}); err != nil {
			t.Errorf("a login after the revocation: %v", err)
		}
		revokes(t, st, "ada", 1)
	})
}

// A login that fails after its note leaves the session no less listed than it was.
func TestNoteNeverShortens(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		const long = 100 * 24 * time.Hour
		index := indexOf(st, "ada")
		noted := func(s session.Session) time.Duration {
			entry := a.client.HGet(ctx, index, s.ID()).Val()
			if len(entry) != 40 {
				t.Fatalf("got an entry of %d bytes, want 40", len(entry))
			}
			ms, err := strconv.ParseInt(entry[16:29], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return time.Duration(ms) * time.Millisecond
		}
		s := loggedIn(t, st, session.Login{User: "ada", AbsoluteTimeout: long})
		for name, l := range map[string]session.Login{
			"a short one": {User: "ada", AbsoluteTimeout: time.Minute}, "a default one": {User: "ada"}, "another proof": {User: "ada", Reauthentication: true},
		} {
			if _, err := st.Login(ctx, s.ID()+"."+strings.Repeat("A", 26), l); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: got %v, want ErrNotFound", name, err)
			}
			if got := noted(s); got != long {
				t.Errorf("%s: the session is noted for %v, want %v", name, got, long)
			}
		}
		again, err := st.Login(ctx, session.Token(s), session.Login{User: "ada", Reauthentication: true})
		if err != nil || noted(again) != long {
			t.Errorf("reauthentication: the session is noted for %v, %v, want %v", noted(again), err, long)
		}
		if err := a.client.Del(ctx, index).Err(); err != nil {
			t.Fatal(err)
		}
		again, err = st.Login(ctx, session.Token(again), session.Login{User: "ada", Reauthentication: true})
		if err != nil || noted(again) < long {
			t.Errorf("reauthentication, the index lost: the session is noted for %v, %v, want %v at least", noted(again), err, long)
		}
	})
}

// What is listed but is another user's by now is not touched.
func TestForeignEntries(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		ada, bob := loggedIn(t, st, session.Login{User: "ada"}), loggedIn(t, st, session.Login{User: "bob"})
		index := indexOf(st, "ada")
		ghosts := []any{bob.ID(), a.client.HGet(ctx, index, ada.ID()).Val(), uuid.NewString(), "garbage", "user:x", "", "\x00", ""}
		if err := a.client.HSet(ctx, index, ghosts...).Err(); err != nil {
			t.Fatal(err)
		}
		lists(t, st, "ada", ada)
		if a.client.HExists(ctx, index, bob.ID()).Val() || a.client.HExists(ctx, index, ghosts[2].(string)).Val() {
			t.Error("UserSessions leaves what is not the user's in the index")
		}
		if err := a.client.HSet(ctx, index, ghosts...).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Login(ctx, session.Token(generate(t, st)), session.Login{User: "ada", MaxSessions: 2}); err != nil {
			t.Errorf("a login that ghosts stand in the way of: %v", err)
		}
		revokes(t, st, "ada", 2)
		isAlive(t, st, bob, true, "another user's session")
	})
}

// No key of a user stays for ever, and none ends before what it lists.
func TestIndexesExpire(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		s := loggedIn(t, st, session.Login{User: "ada"})
		latest := described(t, s).AbsoluteDeadline
		check := func(what string) {
			t.Helper()
			keys := append(slotIndexes(t, a, st), indexOf(st, "ada"))
			for i, key := range keys {
				ends := a.client.PExpireTime(ctx, key).Val()
				deadline := latest
				if len(a.servers) > 1 && i < len(keys)-1 {
					continue // in a Cluster each has its own
				}
				if ends < time.Duration(deadline.UnixMilli())*time.Millisecond {
					t.Errorf("%s: %s ends %v before a session that it lists", what, key, time.Duration(deadline.UnixMilli())*time.Millisecond-ends)
				}
			}
			if _, forever, err := a.keys(st); err != nil || len(forever) > 0 {
				t.Errorf("%s: keys for ever: %q, %v", what, forever, err)
			}
		}
		check("login")
		for _, absolute := range []time.Duration{time.Millisecond, time.Minute, 400 * 24 * time.Hour, time.Hour} {
			s := loggedIn(t, st, session.Login{User: "ada", AbsoluteTimeout: absolute})
			if end := described(t, s).AbsoluteDeadline; end.After(latest) {
				latest = end
			}
			check(absolute.String())
		}
		again, err := st.Login(ctx, session.Token(s), session.Login{User: "ada", Reauthentication: true})
		if err != nil {
			t.Fatal(err)
		}
		if end := described(t, again).AbsoluteDeadline; end.After(latest) {
			latest = end
		}
		check("reauthentication")
		revokes(t, st, "ada", 4)
		check("revocation")
		revokes(t, st, "nobody", 0)
		if err := a.client.PExpire(ctx, indexOf(st, "nobody"), time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		latest = time.Now().Add(session.BeganLimit)
		revokes(t, st, "nobody", 0)
		if ends := a.client.PExpireTime(ctx, indexOf(st, "nobody")).Val(); ends < time.Duration(latest.UnixMilli())*time.Millisecond {
			t.Error("a revocation is forgotten too early")
		}
		if _, forever, err := a.keys(st); err != nil || len(forever) > 0 {
			t.Errorf("keys for ever: %q, %v", forever, err)
		}
	})
}

// An entry that cannot be of a session any more is taken out by a login that looks
// at all, and by one in as many as there are.
func TestIndexIsSwept(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx := t.Context()
		for _, limit := range []int{0, 100} {
			st := a.store(time.Hour)
			alive := loggedIn(t, st, session.Login{User: "ada"})
			index := indexOf(st, "ada")
			old := make([]any, 0, 40)
			for i := range 20 {
				old = append(old, uuid.NewString(), fmt.Sprintf("%016d%013d", time.Now().Add(-2*time.Hour-time.Minute).UnixMicro(), (time.Hour+time.Duration(i)).Milliseconds()))
			}
			young := uuid.NewString()
			old = append(old, young, fmt.Sprintf("%016d%013d", time.Now().Add(-2*time.Hour+time.Minute).UnixMicro(), time.Hour.Milliseconds()))
			if err := a.client.HSet(ctx, index, old...).Err(); err != nil {
				t.Fatal(err)
			}
			logins := 1
			for ; a.client.HLen(ctx, index).Val() > 20 && logins < 2000; logins++ {
				s, err := st.Login(ctx, session.Token(alive), session.Login{User: "ada", MaxSessions: limit})
				if err != nil {
					t.Fatal(err)
				}
				alive = s
			}
			if logins >= 2000 || limit > 0 && logins > 2 {
				t.Errorf("limit %d: not swept after %d logins", limit, logins)
			}
			if !a.client.HExists(ctx, index, alive.ID()).Val() || !a.client.HExists(ctx, index, young).Val() {
				t.Errorf("limit %d: an entry is gone that may be of a session", limit)
			}
		}
	})
}

// An index of a slot forgets sessions whose time is over.
func TestSlotIndexIsSwept(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, a *arena) {
		ctx, st := t.Context(), a.store(time.Hour)
		s := loggedIn(t, st, session.Login{User: "ada", AbsoluteTimeout: time.Hour})
		index := slotIndexes(t, a, st)[0]
		score := a.client.ZScore(ctx, index, s.ID()).Val()
		if want := float64(described(t, s).AbsoluteDeadline.UnixMilli()); score != want {
			t.Errorf("got score %s, want the deadline %s", strconv.FormatFloat(score, 'f', 0, 64), strconv.FormatFloat(want, 'f', 0, 64))
		}
		for i := range 3 {
			over := goredis.Z{Score: float64(time.Now().Add(-time.Minute).UnixMilli()), Member: fmt.Sprint("over", i)}
			if err := a.client.ZAdd(ctx, index, over).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := st.Login(ctx, session.Token(s), session.Login{User: "ada"}); err != nil {
			t.Fatal(err)
		}
		if n := a.client.ZCard(ctx, index).Val(); n != 1 {
			t.Errorf("got %d entries, want 1", n)
		}
	})
}
