package redis_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// aBrowser is a login as the Manager makes it of a request of a browser.
func aBrowser(user string) session.Login {
	return session.Login{
		User: user, Address: "198.51.100.0/24", ID: uuid.NewString(),
		UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
	}
}

// onTwo runs a benchmark on one server and on a Cluster.
func onTwo(b *testing.B, run func(b *testing.B, st *redis.Store, servers []*redistest.Server)) {
	b.Helper()
	b.Run("standalone", func(b *testing.B) {
		server, client := single(b)
		run(b, &redis.Store{Client: client, OpTimeout: time.Minute}, []*redistest.Server{server})
	})
	b.Run("cluster", func(b *testing.B) {
		set, client := cluster(b)
		run(b, &redis.Store{Client: client, OpTimeout: time.Minute}, set.Nodes[:3])
	})
}

// populate logs a user in many times.
func populate(b *testing.B, st *redis.Store, user string, sessions int) {
	b.Helper()
	atOnce(min(sessions, 32), func(i int) {
		for j := i; j < sessions; j += min(sessions, 32) {
			if _, err := st.Login(b.Context(), "", aBrowser(user)); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkLogin measures a login with what a browser tells, beside a SET of a record
// of that size, which is what a store costs that knows nothing of users.
func BenchmarkLogin(b *testing.B) {
	server, client := single(b)
	st := &redis.Store{Client: client}
	record := make([]byte, 300)
	set := func(int) error { return client.Set(b.Context(), "other:"+uuid.NewString(), record, time.Minute).Err() }
	var users atomic.Int64
	name := func() string { return "user" + strconv.FormatInt(users.Add(1), 10) }
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("from=nothing/at_once=%d", n), func(b *testing.B) {
			against(b, server, n, side{"set", set}, side{"evalsha", func(int) error {
				return errorOf(st.Login(b.Context(), "", aBrowser(name())))
			}})
		})
		b.Run(fmt.Sprintf("from=anonymous/at_once=%d", n), func(b *testing.B) {
			tokens := make([]string, n)
			against(b, server, n, side{"set", set}, side{"evalsha", func(i int) error {
				if tokens[i] == "" { // and so every second call is a Generate
					s, err := st.Generate(b.Context(), uuid.NewString())
					if err == nil {
						tokens[i] = session.Token(s)
					}
					return err
				}
				_, err := st.Login(b.Context(), tokens[i], aBrowser(name()))
				tokens[i] = ""
				return err
			}})
		})
		b.Run(fmt.Sprintf("again/at_once=%d", n), func(b *testing.B) {
			tokens := make([]string, n)
			against(b, server, n, side{"set", set}, side{"evalsha", func(i int) error {
				s, err := st.Login(b.Context(), tokens[i], aBrowser(fmt.Sprint("again", n, "x", i)))
				if err == nil {
					tokens[i] = session.Token(s)
				}
				return err
			}})
		})
	}
}

// BenchmarkUsers measures what concerns all sessions of a user, of users with a few and
// with many sessions: a login at the limit, a list of devices, signing out everywhere.
func BenchmarkUsers(b *testing.B) {
	onTwo(b, func(b *testing.B, st *redis.Store, servers []*redistest.Server) {
		b.Helper()
		for _, sessions := range []int{1, 10, 1000, 20_000} {
			populate(b, st, fmt.Sprint("user", sessions), sessions)
		}
		for _, sessions := range []int{10, 1000, 20_000} {
			b.Run(fmt.Sprintf("limit/sessions=%d", sessions), func(b *testing.B) {
				scripts := slowest(b, servers)
				for b.Loop() {
					l := aBrowser(fmt.Sprint("user", sessions))
					l.MaxSessions, l.EndOldest = sessions, true
					if _, err := st.Login(b.Context(), "", l); err != nil {
						b.Fatal(err)
					}
				}
				scripts()
			})
		}
		for _, sessions := range []int{1, 10, 1000, 20_000} {
			b.Run(fmt.Sprintf("list/sessions=%d", sessions), func(b *testing.B) {
				scripts := slowest(b, servers)
				for b.Loop() {
					if infos, err := st.UserSessions(b.Context(), fmt.Sprint("user", sessions)); err != nil || len(infos) != sessions {
						b.Fatal(len(infos), err)
					}
				}
				scripts()
			})
		}
		for _, sessions := range []int{1, 10, 1000, 20_000} {
			b.Run(fmt.Sprintf("revoke/sessions=%d", sessions), func(b *testing.B) {
				scripts := slowest(b, servers)
				most := time.Duration(0)
				for b.Loop() {
					b.StopTimer()
					user := uuid.NewString()
					populate(b, st, user, sessions)
					b.StartTimer()
					start := time.Now()
					if n, err := st.RemoveUserSessions(b.Context(), user); err != nil || n != sessions {
						b.Fatal(n, err)
					}
					most = max(most, time.Since(start))
				}
				b.ReportMetric(float64(most.Microseconds())/1000, "ms-slowest")
				scripts()
			})
		}
		b.Run("revoke/at_once=64", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				users := make([]string, 64)
				for i := range users {
					users[i] = uuid.NewString()
					populate(b, st, users[i], 10)
				}
				b.StartTimer()
				atOnce(64, func(i int) {
					if n, err := st.RemoveUserSessions(b.Context(), users[i]); err != nil || n != 10 {
						b.Error(n, err)
					}
				})
			}
		})
	})
}

// slowest reports, when it is called, how long the slowest script took its server since.
func slowest(b *testing.B, servers []*redistest.Server) (report func()) {
	b.Helper()
	var all []*goredis.Client
	for _, server := range servers {
		c := goredis.NewClient(&goredis.Options{Addr: server.Addr})
		b.Cleanup(func() { _ = c.Close() })
		server.MustDo(b, "CONFIG", "SET", "slowlog-log-slower-than", 500, "slowlog-max-len", 100_000)
		server.MustDo(b, "SLOWLOG", "RESET")
		all = append(all, c)
	}
	return func() {
		most := time.Duration(0)
		for _, c := range all {
			logs, err := c.SlowLogGet(b.Context(), -1).Result()
			if err != nil {
				b.Error(err)
			}
			for _, log := range logs {
				if log.Args[0] == "evalsha" || log.Args[0] == "eval" {
					most = max(most, log.Duration)
				}
			}
		}
		b.ReportMetric(float64(most.Microseconds())/1000, "ms-slowest-script")
	}
}
