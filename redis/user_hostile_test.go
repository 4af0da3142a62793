package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestHostileIndexes puts what is no index in the place of one. It is an error, or
// makes no difference: no session of the user survives a revocation that says so,
// and nobody else's ends by it.
func TestHostileIndexes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := newClient(t, unhurried(server.Addr))
	ctx := t.Context()
	entry := fmt.Sprintf("%016d%013d", time.Now().UnixMicro(), time.Hour.Milliseconds())
	large := strings.Repeat("1", 1<<20)
	for what, put := range map[string][]any{
		"index SET":                   {"SET", "{index}", "value"},
		"index RPUSH":                 {"RPUSH", "{index}", "x"},
		"index ZADD":                  {"ZADD", "{index}", 1, "x"},
		"slot SET":                    {"SET", "{slot}", "value"},
		"slot HSET":                   {"HSET", "{slot}", "x", "y"},
		"index, no revocation":        {"HSET", "{index}", "!", "x"},
		"index, an empty revocation":  {"HSET", "{index}", "!", ""},
		"index, a large revocation":   {"HSET", "{index}", "!", large},
		"index, a negative one":       {"HSET", "{index}", "!", "-1"},
		"index, a revocation of nan":  {"HSET", "{index}", "!", "nan"},
		"index, empty entry":          {"HSET", "{index}", "a", "", "b", ""},
		"index, entries of nonsense":  {"HSET", "{index}", "a", "x", "b", strings.Repeat("x", 29), "c", large, "d", strings.Repeat("9", 29), "e", "0000000000000nan0000000000inf"},
		"index, strange ids":          {"HSET", "{index}", "", entry, "\x00", entry, "user:x", entry, "*", entry, large, entry, "bob", entry, "!!", entry},
		"slot, strange ids":           {"ZADD", "{slot}", "inf", "", "inf", "\x00", "inf", "user:x", "-inf", "*", "inf", large, "inf", "bob"},
		"index, the entry, nonsense":  {"HSET", "{index}", "ada1", "x"},
		"index, the entry, far ahead": {"HSET", "{index}", "ada1", strings.Repeat("9", 29)},
		"index, the entry, long ago":  {"HSET", "{index}", "ada1", strings.Repeat("0", 29)},
	} {
		for _, l := range []session.Login{{User: "ada"}, {User: "ada", MaxSessions: 3}, {User: "ada", MaxSessions: 2, EndOldest: true}, {User: "ada", Reauthentication: true}} {
			client.FlushAll(ctx)
			st := &redis.Store{Client: client, OpTimeout: time.Minute}
			named := func(id, user string) session.Session {
				s, err := st.Generate(ctx, id)
				if err == nil && user != "" {
					s, err = st.Login(ctx, session.Token(s), session.Login{User: user})
				}
				if err != nil {
					t.Fatal(err)
				}
				return s
			}
			first, other, anonymous := named("ada1", "ada"), named("bob", "bob"), named("ada2", "")
			args := append([]any(nil), put...)
			args[1] = strings.NewReplacer("{index}", indexOf(&redis.Store{Prefix: "session:"}, "ada"), "{slot}",
				strings.Replace(indexOf(&redis.Store{Prefix: "session:"}, "ada"), "user:", "user:{-}", 1)).Replace(put[1].(string))
			if args[0] != "HSET" || strings.HasPrefix(what, "slot") { // another type
				if args[0] != "ZADD" || !strings.HasPrefix(what, "slot") {
					client.Del(ctx, args[1].(string))
				}
			}
			server.MustDo(t, args...)
			client.PExpire(ctx, args[1].(string), 30*time.Hour)
			carried := session.Token(anonymous)
			if l.Reauthentication {
				carried = session.Token(first)
			}
			for name, err := range map[string]error{
				"Login":        errorOf(st.Login(ctx, carried, l)),
				"UserSessions": errorOf(st.UserSessions(ctx, "ada")),
			} {
				if err != nil && !errors.Is(err, session.ErrUserLimit) && endingOf(err)&(endsAnswer|endsUnreadable) == 0 {
					t.Errorf("%s, %+v: %s: got %v", what, l, name, err)
				}
				if err != nil && strings.Contains(err.Error(), "ada") {
					t.Errorf("%s: %s: the error names somebody", what, name)
				}
			}
			_, err := st.RemoveUserSessions(ctx, "ada")
			_, alive := st.Get(ctx, "ada1")
			if err == nil && !errors.Is(alive, session.ErrNotFound) {
				t.Errorf("%s, %+v: the revocation succeeded, and the session: %v", what, l, alive)
			}
			if s, e := st.Get(ctx, "ada2"); err == nil && e == nil && described(t, s).User == "ada" {
				t.Errorf("%s, %+v: the revocation succeeded, and the new session lives", what, l)
			}
			if _, err := st.Open(ctx, session.Token(other)); err != nil {
				t.Errorf("%s, %+v: another user's session: %v", what, l, err)
			}
			keys, err := client.Keys(ctx, "*").Result()
			for _, key := range keys {
				if client.PTTL(ctx, key).Val() == -1 {
					t.Errorf("%s, %+v: %.60q never expires", what, l, key)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
