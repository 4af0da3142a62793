package redis_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// BenchmarkUsers measures a login, a list of devices and signing out everywhere,
// of users with a few and with many sessions. In a Cluster the last asks every
// slot, and has Store.OpTimeout, a second, for it.
func BenchmarkUsers(b *testing.B) {
	for name, start := range map[string]func() *redis.Store{
		"standalone": func() *redis.Store {
			_, client := single(b)
			return &redis.Store{Client: client}
		},
		"cluster": func() *redis.Store {
			_, client := cluster(b)
			return &redis.Store{Client: client}
		},
	} {
		b.Run(name, func(b *testing.B) {
			st := start()
			login := func(user string) session.Session {
				s, err := st.Login(b.Context(), session.Token(generate(b, st)), session.Login{User: user})
				if err != nil {
					b.Fatal(err)
				}
				return s
			}
			if _, err := st.RemoveUserSessions(b.Context(), "nobody"); err != nil {
				b.Fatal(err)
			}
			b.Run("login", func(b *testing.B) {
				s := login("ada")
				b.ReportAllocs()
				for b.Loop() {
					again, err := st.Login(b.Context(), session.Token(s), session.Login{User: "ada"})
					if err != nil {
						b.Fatal(err)
					}
					s = again
				}
			})
			for _, sessions := range []int{1, 10, 100, 1000} {
				user := fmt.Sprint("user", sessions)
				for range sessions {
					login(user)
				}
				b.Run(fmt.Sprintf("list/sessions=%d", sessions), func(b *testing.B) {
					for b.Loop() {
						if infos, err := st.UserSessions(b.Context(), user); err != nil || len(infos) != sessions {
							b.Fatal(len(infos), err)
						}
					}
				})
				b.Run(fmt.Sprintf("revoke/sessions=%d", sessions), func(b *testing.B) {
					b.ReportAllocs()
					var slowest time.Duration
					run := 0
					for b.Loop() {
						b.StopTimer()
						run++
						user := fmt.Sprint(user, "run", b.N, run)
						for range sessions {
							login(user)
						}
						start := time.Now()
						b.StartTimer()
						if n, err := st.RemoveUserSessions(b.Context(), user); err != nil || n != sessions {
							b.Fatal(n, err)
						}
						slowest = max(slowest, time.Since(start))
					}
					b.ReportMetric(float64(slowest.Milliseconds()), "ms-slowest")
				})
			}
		})
	}
}
