package redis_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestOtherVersions puts records of the version before this one, and of the one after
// it, where a session is looked for. Nobody is told that there is none, so no client
// loses its cookie, and the records stay what they are.
func TestOtherVersions(t *testing.T) {
	t.Parallel()
	for _, binary := range redistest.Binaries(t) {
		t.Run(binary.Name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, unhurried(binary.Start(t).Addr))
			for name, change := range map[string]func(r map[string]string){
				"1":           func(r map[string]string) { r["n"] = "1" + r["n"][1:] },
				"1, a fence":  func(r map[string]string) { r["n"], r["f"] = "1"+r["n"][1:], "1795320063785000r" },
				"3":           func(r map[string]string) { r["n"], r["new"] = "3"+r["n"][1:], "field" },
				"3, all else": func(r map[string]string) { clear(r); r["n"] = "3later" },
				"10":          func(r map[string]string) { r["n"] = "10" + r["n"][1:] },
			} {
				client.FlushAll(t.Context())
				st := &redis.Store{Client: client, OpTimeout: time.Minute}
				in, err := st.Login(t.Context(), "", session.Login{User: "ada"})
				if err != nil {
					t.Fatal(err)
				}
				nobody := newVisit(t, st, "nobody").s
				old := newVisit(t, st, "ada1").s // where the version before had the sessions of users
				copied := client.HGetAll(t.Context(), keyOf(st, in.ID())).Val()
				copied["c"], copied["h"] = copied["l"], client.HGet(t.Context(), keyOf(st, "ada1"), "h").Val()
				client.HSet(t.Context(), keyOf(st, "ada1"), copied)
				for whose, s := range map[string]session.Session{"nobody": nobody, "a user": in, "a user, without a home": old} {
					otherVersion(t, st, name+", "+whose, s, change)
				}
			}
		})
	}
}

func otherVersion(t *testing.T, st *redis.Store, what string, s session.Session, change func(r map[string]string)) {
	t.Helper()
	ctx, key, clientToken := t.Context(), keyOf(st, s.ID()), session.Token(s)
	client, _ := st.Client.(goredis.UniversalClient)
	r := client.HGetAll(ctx, key).Val()
	change(r)
	if err := errors.Join(client.Del(ctx, key).Err(), client.HSet(ctx, key, r).Err(), client.PExpire(ctx, key, time.Hour).Err()); err != nil {
		t.Fatal(err)
	}
	ends := client.PExpireTime(ctx, key).Val()
	for name, call := range map[string]func() error{
		"Open":             func() error { return errorOf(st.Open(ctx, clientToken)) },
		"Get":              func() error { return errorOf(st.Get(ctx, s.ID())) },
		"Refresh":          func() error { return st.Refresh(ctx, s.ID()) },
		"Rotate":           func() error { return errorOf(st.Rotate(ctx, clientToken, time.Hour)) },
		"Login":            func() error { return errorOf(st.Login(ctx, clientToken, session.Login{User: "ada"})) },
		"Login of another": func() error { return errorOf(st.Login(ctx, clientToken, session.Login{User: "bob"})) },
	} {
		if err := call(); endingOf(err) != endsUnreadable || errors.Is(err, session.ErrReused) || errors.Is(err, session.ErrRevoked) {
			t.Errorf("version %s: %s: got %v, want an error that is none of package session's", what, name, err)
		}
	}
	if strings.HasPrefix(s.ID(), homeOf("ada")) && r["u"] == "ada" {
		if infos, err := st.UserSessions(ctx, "ada"); endingOf(err) != endsUnreadable {
			t.Errorf("version %s: UserSessions: got %d, %v, want an error", what, len(infos), err)
		}
	}
	if _, err := st.Generate(ctx, s.ID()); !errors.Is(err, session.ErrExists) {
		t.Errorf("version %s: Generate: got %v, want ErrExists", what, err)
	}
	if !maps.Equal(client.HGetAll(ctx, key).Val(), r) || client.PExpireTime(ctx, key).Val() != ends {
		t.Errorf("version %s: the record has changed", what)
	}
}
