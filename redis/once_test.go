package redis_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestValuesAreWrittenOnce loses the reply of every write. Sent again it could put
// back what somebody has popped, overwrite what somebody has updated since, make a
// session that was removed since, or log in somebody who has logged out since.
func TestValuesAreWrittenOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.NewProxy(t, server.Addr)
	st := &redis.Store{Client: newClient(t, "redis://"+proxy.Addr)}
	warm(t, st.Client)
	for name, write := range map[string]func(ctx context.Context, s session.Session) error{
		"Set": func(ctx context.Context, s session.Session) error { return s.Set(ctx, "key", 1) },
		"SetAll": func(ctx context.Context, s session.Session) error {
			return session.SetAll(ctx, s, map[string]any{"key": 1, "other": 2})
		},
		"Generate": func(ctx context.Context, _ session.Session) error {
			_, err := st.Generate(ctx, uuid.NewString())
			return err
		},
		"Login": func(ctx context.Context, _ session.Session) error {
			return errorOf(st.Login(ctx, "", session.Login{User: "ada"}))
		},
		"Delete": func(ctx context.Context, s session.Session) error { return session.Delete(ctx, s, "key") },
		"Clear":  session.Clear,
		"Update": func(ctx context.Context, s session.Session) error {
			return session.Update(ctx, s, "key", func(any) (any, error) { return 1, nil })
		},
		"Pop": func(ctx context.Context, s session.Session) error {
			_, err := session.Pop(ctx, s, "key")
			return err
		},
	} {
		s, err := st.Generate(t.Context(), name)
		if err == nil {
			err = s.Set(t.Context(), "key", 0)
		}
		if err == nil {
			err = write(t.Context(), s) // the server knows the script from here on
		}
		if err == nil {
			err = s.Set(t.Context(), "key", 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		count := redistest.Commands(t, server)
		proxy.Match(redistest.Named("evalsha", "eval"))
		proxy.LoseReply(1)
		if err := write(t.Context(), s); err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s without a reply: got %v, want a failure", name, err)
		}
		want := int64(1)
		if name == "Login" {
			want = 2 // another script ends what nobody got
		}
		if got := count()["evalsha"].Calls; got != want {
			t.Errorf("%s without a reply: %d scripts were sent, want %d", name, got, want)
		}
	}
}
