package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// BenchmarkBound bounds what a session that is bound to a device costs: to open it beside
// one that is not, and a proof beside a rotation.
func BenchmarkBound(b *testing.B) {
	server, client := single(b)
	st := &redis.Store{Client: client}
	login := func() session.Session {
		l := aBrowser(uuid.NewString())
		l.Values = fiveValues(42)
		s, err := st.Login(b.Context(), "", l)
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	bind := func(s session.Session) string {
		bound, err := st.Bind(b.Context(), session.Token(s), aProof(""))
		if err == nil {
			_, err = st.Open(b.Context(), session.Token(bound))
		}
		if err != nil {
			b.Fatal(err)
		}
		return session.Token(bound)
	}
	opens := func(clientToken string) func(int) error {
		return func(int) error { return errorOf(st.Open(b.Context(), clientToken)) }
	}
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("open/at_once=%d", n), func(b *testing.B) {
			against(b, server, n, side{"hgetall", opens(session.Token(login()))}, side{"evalsha", opens(bind(login()))})
		})
	}
	b.Run("prove/at_once=1", func(b *testing.B) {
		var proofs atomic.Int64
		p := session.Proof{Device: theDevice, Lifetime: time.Millisecond, Remember: time.Millisecond} // so that there is room for the next
		rotated := login()
		bound, err := st.Bind(b.Context(), session.Token(login()), p)
		if err != nil {
			b.Fatal(err)
		}
		rotate := func(int) (err error) {
			rotated, err = st.Rotate(b.Context(), session.Token(rotated), 0)
			return err
		}
		prove := func(int) error {
			p.Challenge = fmt.Sprint(proofs.Add(1))
			return errorOf(st.Prove(b.Context(), bound.ID(), p))
		}
		against(b, server, 1, side{"evalsha", rotate}, side{"evalsha", prove})
	})
}
