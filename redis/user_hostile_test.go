package redis_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// A tampering is something that is put in the place of a user's index, or of the time
// of their last revocation.
type tampering struct {
	words   []any
	refuses bool // no login succeeds with it
	hides   bool // the session is listed no more
	ends    bool // and ends with the next login from it
}

func tamperings() map[string]tampering {
	ends := time.Now().Add(time.Hour).UnixMilli()
	large, long := strings.Repeat("1", 1<<20), strings.Repeat("x", 1<<20)
	all := map[string]tampering{
		"index SET":   {words: []any{"SET", "{index}", "value"}, refuses: true},
		"index RPUSH": {words: []any{"RPUSH", "{index}", "x"}, refuses: true},
		"index HSET":  {words: []any{"HSET", "{index}", "_ada1", "-1"}, refuses: true},
		"index SADD":  {words: []any{"SADD", "{index}", "_ada1"}, refuses: true},

		"revocation HSET":                  {words: []any{"HSET", "{revoked}", "x", "y"}, refuses: true},
		"revocation RPUSH":                 {words: []any{"RPUSH", "{revoked}", "1"}, refuses: true},
		"revocation ZADD":                  {words: []any{"ZADD", "{revoked}", "1", "1"}, refuses: true},
		"a revocation now":                 {words: []any{"SET", "{revoked}", strconv.FormatInt(time.Now().Add(time.Hour).UnixMicro(), 10)}, refuses: true},
		"a revocation in the first second": {words: []any{"SET", "{revoked}", "1"}},
	}
	for _, revoked := range []string{
		"", "x", "-1", "nan", "inf", "1e3", "0x10", " 1", "1 ", "1.5", "1\x00", "\x00", "99999999999999999", "9999999999999999", large, long, "١",
	} {
		all[fmt.Sprintf("a revocation at %.20q", revoked)] = tampering{words: []any{"SET", "{revoked}", revoked}, refuses: true}
	}
	for name, words := range map[string][]any{
		"strange names":      {-1, "", -2, "\x00", -3, "_", -4, "__", -5, "_*", -6, "_\x00", -7, "_" + long, -8, "bob", -9, "_bob1", -10, ":revoked:", -11, "_ada1.", -12, "_ada1:"},
		"strange times":      {"-inf", "_a", "-1e300", "_b", "-0.5", "_c", "-1e-300", "_d", "-9007199254740993", "_e", "-0", "_f"},
		"strange ends":       {"inf", "1", "1e300", "2", "0.5", "3", ends, "x", ends, "", ends, "-", ends, "-1", ends, "nan", ends, "inf", ends, "\x00", ends, large},
		"ends without names": {ends, "1", ends, "2", ends + 1, "3"},
		"names without ends": {-1, "_a", -2, "_b", -3, "_c"},
		"two with one time":  {-5, "_a", -5, "_b", ends, "5"},
		"ends long ago":      {-1, "_a", 1, "1", -2, "_b", 2, "2"},
		"ends for ever":      {"inf", "1", "-1", "_a"},
		"many":               many(-1000, "_m"),
		"many ends":          many(ends, ""),
	} {
		all[name] = tampering{words: append([]any{"ZADD", "{index}"}, words...)}
	}
	all["the session, no time"] = tampering{words: []any{"ZADD", "{index}", 1, "_ada1"}, hides: true, ends: true}
	for _, at := range []string{"-inf", "-0.0001", "-9007199254740993"} { // and no end
		all["the session, at "+at] = tampering{words: []any{"ZADD", "{index}", at, "_ada1"}, hides: true}
	}
	all["no index"] = tampering{words: []any{"UNLINK", "{index}"}, hides: true, ends: true}
	return all
}

func many(score int64, prefix string) (words []any) {
	for i := range 1100 {
		words = append(words, score, fmt.Sprint(prefix, i))
	}
	return words
}

// TestHostileIndexes puts what is no index in the place of one, and no time in the place
// of a revocation's. It is an error, or makes no difference: no session that is listed
// survives a revocation that says so, nobody else's ends by it, and who is refused is
// who they were.
func TestHostileIndexes(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := newClient(t, unhurried(server.Addr))
	for what, put := range tamperings() {
		for _, l := range []session.Login{{}, {MaxSessions: 3}, {MaxSessions: 2, EndOldest: true}, {MaxSessions: 1, EndOldest: true}, {Reauthentication: true}} {
			for _, from := range []string{"nobody", "anonymous", "the same user"} {
				if l.Reauthentication && from != "the same user" {
					continue
				}
				h := newHostileHome(t, client)
				h.put(t, server, put)
				h.try(t, fmt.Sprintf("%s, at most %d, in their place %t, again %t, %s", what, l.MaxSessions, l.EndOldest, l.Reauthentication, from), put, l, from)
			}
		}
	}
}

// A hostileHome is a server with a session of ada's, one of bob's, one of bob's under the
// name of one of hers, and one of nobody's.
type hostileHome struct {
	*redis.Store
	client                  goredis.UniversalClient
	first, other, anonymous session.Session
	foreign                 string
}

func newHostileHome(t *testing.T, client goredis.UniversalClient) *hostileHome {
	t.Helper()
	ctx := t.Context()
	client.FlushAll(ctx)
	h := &hostileHome{Store: &redis.Store{Client: client, OpTimeout: 20 * time.Second}, client: client}
	var err [3]error
	h.first, err[0] = h.Login(ctx, "", session.Login{User: "ada", ID: "ada1"})
	h.other, err[1] = h.Login(ctx, "", session.Login{User: "bob", ID: "bob1"})
	h.anonymous, err[2] = h.Generate(ctx, "anonymous")
	if err := errors.Join(err[:]...); err != nil {
		t.Fatal(err)
	}
	h.foreign = keyOf(h.Store, homeOf("ada")+"_foreign")
	if err := errors.Join(
		client.Copy(ctx, keyOf(h.Store, h.other.ID()), h.foreign, 0, false).Err(),
		client.ZAdd(ctx, indexOf(h.Store, "ada"), goredis.Z{Score: -1, Member: "_foreign"}, goredis.Z{Score: float64(time.Now().Add(time.Hour).UnixMilli()), Member: "1"}).Err(),
		h.anonymous.Set(ctx, "cart", 3),
	); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hostileHome) put(t *testing.T, server *redistest.Server, put tampering) {
	t.Helper()
	words := append([]any(nil), put.words...)
	key := strings.NewReplacer("{index}", indexOf(h.Store, "ada"), "{revoked}", revokedOf(h.Store, "ada")).Replace(words[1].(string))
	if words[1] = key; words[0] != "ZADD" || key != indexOf(h.Store, "ada") {
		h.client.Del(t.Context(), key)
	}
	server.MustDo(t, words...)
	h.client.PExpire(t.Context(), key, 30*time.Hour)
}

func (h *hostileHome) try(t *testing.T, what string, put tampering, l session.Login, from string) {
	t.Helper()
	ctx := t.Context()
	clientToken := map[string]string{"anonymous": session.Token(h.anonymous), "the same user": session.Token(h.first)}[from]
	l.User = "ada"
	made, err := h.Login(ctx, clientToken, l)
	if err == nil && (put.refuses || described(t, made).User != "ada") {
		t.Errorf("%s: Login succeeded", what)
	}
	ends := put.ends && from == "the same user"
	if err == nil && ends {
		t.Errorf("%s: Login from a session that no index lists", what)
	}
	if err != nil && clientToken != "" && !ends {
		if s, e := h.Open(ctx, clientToken); e != nil || from == "anonymous" && described(t, s).User != "" {
			t.Errorf("%s: after %v, with the old token: %v", what, err, e)
		} else if from == "anonymous" {
			wantShown(t, s, what, map[string]any{"cart": 3})
		}
	}
	infos, listErr := h.UserSessions(ctx, "ada")
	for _, info := range infos {
		if info.User != "ada" {
			t.Errorf("%s: a session of another is listed", what)
		}
	}
	_, revokeErr := h.RemoveUserSessions(ctx, "ada")
	for name, err := range map[string]error{"Login": err, "UserSessions": listErr, "RemoveUserSessions": revokeErr} {
		if ends && name == "Login" && errors.Is(err, session.ErrNotFound) {
			continue
		}
		if err != nil && !errors.Is(err, session.ErrUserLimit) && !errors.Is(err, session.ErrRevoked) && endingOf(err)&(endsAnswer|endsUnreadable) == 0 {
			t.Errorf("%s: %s: got %v", what, name, err)
		}
		if err != nil && strings.Contains(err.Error(), "ada") {
			t.Errorf("%s: %s: the error names somebody", what, name)
		}
	}
	if revokeErr == nil {
		if _, alive := h.Get(ctx, h.first.ID()); !put.hides && !errors.Is(alive, session.ErrNotFound) {
			t.Errorf("%s: the revocation succeeded, and the session: %v", what, alive)
		}
		if made != nil && (made.ID() != h.first.ID() || !put.hides) {
			if _, alive := h.Get(ctx, made.ID()); !errors.Is(alive, session.ErrNotFound) {
				t.Errorf("%s: the revocation succeeded, and the new session: %v", what, alive)
			}
		}
	}
	if _, err := h.Open(ctx, session.Token(h.other)); err != nil || h.client.Exists(ctx, h.foreign).Val() != 1 {
		t.Errorf("%s: another user's session: %v, or one in the place of hers", what, err)
	}
	keys, err := h.client.Keys(ctx, "*").Result()
	for _, key := range keys {
		if h.client.PTTL(ctx, key).Val() == -1 {
			t.Errorf("%s: %.60q never expires", what, key)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
