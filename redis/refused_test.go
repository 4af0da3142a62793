package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// TestRefusedLoginKeepsDeadline: a login keeps an anonymous session for some seconds
// only. A session that it gives back lives until its own deadline.
func TestRefusedLoginKeepsDeadline(t *testing.T) {
	t.Parallel()
	_, client := single(t)
	st := &redis.Store{Client: client, Prefix: "p:", OpTimeout: time.Second}
	s, err := st.Generate(t.Context(), uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	info, err := session.Describe(s)
	if err != nil {
		t.Fatal(err)
	}
	late := session.Login{User: "ada", Began: time.Now().Add(-2 * session.BeganLimit)}
	if _, err := st.Login(t.Context(), session.Token(s), late); !errors.Is(err, session.ErrRevoked) {
		t.Fatalf("Login: got %v, want ErrRevoked", err)
	}
	left, err := client.PTTL(t.Context(), "p:"+s.ID()).Result()
	if err != nil {
		t.Fatal(err)
	}
	now, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	if ends := now.Add(left); ends.Before(info.IdleDeadline.Add(-time.Millisecond)) {
		t.Errorf("the key ends %v before the session", info.IdleDeadline.Sub(ends))
	}
}
