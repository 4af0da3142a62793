package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// revocations keeps on Redis 7 which sealed sessions have ended, for all processes of an
// application. It is the example of docs/stores.md.
type revocations struct{ client goredis.UniversalClient }

// Revoke notes a revocation until nobody needs it.
func (r revocations) Revoke(ctx context.Context, ended sealed.Revocation) error {
	text, err := json.Marshal(ended)
	if err != nil {
		return err
	}
	key := "ended:user:" + ended.User
	if ended.ID != "" {
		key = "ended:id:" + ended.ID
	}
	_, err = r.client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
		p.SAdd(ctx, key, text)
		p.ExpireNX(ctx, key, time.Until(ended.Until)) // the first time,
		p.ExpireGT(ctx, key, time.Until(ended.Until)) // and never sooner than before: all are kept for the latest
		return nil
	})
	return err
}

// Revoked reports whether any revocation ends the session.
func (r revocations) Revoked(ctx context.Context, info session.Info) (bool, error) {
	answers, err := r.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.SMembers(ctx, "ended:user:"+info.User)
		p.SMembers(ctx, "ended:id:"+info.ID)
		return nil
	})
	if err != nil {
		return false, err
	}
	for _, answer := range answers {
		for _, text := range answer.(*goredis.StringSliceCmd).Val() {
			var ended sealed.Revocation
			if err := json.Unmarshal([]byte(text), &ended); err != nil {
				return false, err
			}
			if ended.Ends(info) {
				return true, nil
			}
		}
	}
	return false, nil
}

// Two processes seal with one key and share what has ended.
func TestRevocationsOfSealedSessions(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, client goredis.UniversalClient) {
		ended, keys := revocations{client}, [][]byte{sealed.NewKey()}
		a := &sealed.Store{Keys: keys, Revoked: ended.Revoked, Revoke: ended.Revoke}
		b := &sealed.Store{Keys: keys, Revoked: ended.Revoked, Revoke: ended.Revoke}
		login := func(st *sealed.Store, from string) session.Session {
			s, err := st.Login(t.Context(), from, session.Login{User: "ada"})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		check := func(what string, s session.Session, want error) {
			t.Helper()
			if _, err := b.Open(t.Context(), session.Token(s)); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
		}
		phone, laptop := login(a, ""), login(b, "")
		check("before", phone, nil)
		if err := a.Remove(t.Context(), phone.ID()); err != nil {
			t.Fatal(err)
		}
		check("after a logout elsewhere", phone, session.ErrNotFound)
		check("another session", laptop, nil)

		again := login(a, session.Token(laptop))
		check("from before a new login", laptop, session.ErrNotFound)
		check("from that login", again, nil)

		tablet := login(a, "")
		if _, err := a.RemoveUserSessions(t.Context(), "ada", tablet.ID()); err != nil {
			t.Fatal(err)
		}
		check("signed out everywhere", again, session.ErrNotFound)
		check("everywhere else", tablet, nil)
		check("a login after that", login(a, ""), nil)

		if ttl := client.PTTL(t.Context(), "ended:id:"+laptop.ID()).Val(); ttl <= 0 || ttl > 12*time.Hour+2*time.Minute {
			t.Errorf("a revocation is kept for %v, want up to the absolute timeout", ttl)
		}
		if ttl := client.PTTL(t.Context(), "ended:user:ada").Val(); ttl < 399*24*time.Hour {
			t.Errorf("a revocation of a user is kept for %v, want the longest session", ttl)
		}

		closed := goredis.NewClient(&goredis.Options{})
		_ = closed.Close()
		b = &sealed.Store{Keys: keys, Revoked: revocations{closed}.Revoked}
		check("without Redis", tablet, goredis.ErrClosed)
	})
}
