package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"
	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/redis"
)

// fiveValues are the values that the sessions of the benchmarks hold.
func fiveValues(i int) map[string]any {
	return map[string]any{
		"user":    fmt.Sprintf("user%07d", i),
		"theme":   "dark",
		"visits":  int64(i),
		"trusted": true,
		"since":   time.Now(),
	}
}

// A side is what a benchmark holds against another: a call, and the command that
// it sends.
type side struct {
	command string
	call    func(i int) error // in goroutine i
}

// against measures what session code costs beside bare commands: both in turn,
// in short rounds of one run, with n goroutines each. It reports the median of
// the ratios of their throughputs, and the server's time for each.
func against(b *testing.B, server *redistest.Server, n int, bare, ours side) {
	b.Helper()
	const rounds, round = 21, 100 * time.Millisecond
	var ratios, rates, bareUsec, ourUsec []float64
	for range rounds {
		bareRate, u := bare.throughput(b, server, n, round)
		ourRate, v := ours.throughput(b, server, n, round)
		ratios, rates = append(ratios, 100*ourRate/bareRate), append(rates, ourRate)
		bareUsec, ourUsec = append(bareUsec, u), append(ourUsec, v)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ratios), "%-of-bare")
	b.ReportMetric(median(rates), "op/s")
	b.ReportMetric(median(bareUsec), "server-µs/bare")
	b.ReportMetric(median(ourUsec), "server-µs/op")
}

// throughput calls in n goroutines for a while, and returns how often it did in
// a second, and what the command took the server each time.
func (s side) throughput(b *testing.B, server *redistest.Server, n int, d time.Duration) (rate, usec float64) {
	b.Helper()
	used := redistest.Commands(b, server)
	calls := make([]int, n)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			for time.Since(start) < d {
				if err := s.call(i); err != nil {
					b.Error(err)
					return
				}
				calls[i]++
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	total := 0
	for _, c := range calls {
		total += c
	}
	stat := used()[s.command]
	return float64(total) / took.Seconds(), float64(stat.Usec) / float64(stat.Calls)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// site is a mist server whose sessions are in Redis, and a request of somebody
// who is logged in, with the key of the session's record.
func site(b *testing.B, client goredis.UniversalClient) (m *session.Manager, s session.Session, r *http.Request, key string) {
	b.Helper()
	m = &session.Manager{Store: &redis.Store{Client: client}, Propagator: &cookie.Propagator{}}
	rec := httptest.NewRecorder()
	r = httptest.NewRequest(http.MethodGet, "/", nil)
	s, err := m.InitSession(&mist.Context{Request: r, ResponseWriter: rec})
	if err != nil {
		b.Fatal(err)
	}
	if err := session.SetAll(b.Context(), s, fiveValues(42)); err != nil {
		b.Fatal(err)
	}
	for _, c := range rec.Result().Cookies() {
		r.AddCookie(c)
	}
	return m, s, r, "session:" + s.ID()
}

// BenchmarkRequest bounds what a session costs a mist request that reads one
// value, beside a handler with one bare HGETALL of the same record.
func BenchmarkRequest(b *testing.B) {
	server, client := single(b)
	m, _, r, key := site(b, client)
	var failed error
	mux := mist.InitHTTPServer()
	mux.GET("/bare", func(ctx *mist.Context) {
		if v, err := client.HGetAll(ctx.Request.Context(), key).Result(); err != nil || v[":user"] == "" {
			failed = fmt.Errorf("bare: %w", err)
		}
	})
	mux.GET("/", func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if err != nil {
			failed = err
			return
		}
		if v, err := s.Get(ctx.Request.Context(), "user"); err != nil || v != "user0000042" {
			failed = fmt.Errorf("session: %w", err)
		}
	})
	direct := func(path string) func(int) error {
		one := r.Clone(b.Context())
		one.URL.Path = path
		return func(int) error {
			mux.ServeHTTP(webtest.DiscardWriter{}, one)
			return failed
		}
	}
	listener := httptest.NewServer(mux)
	defer listener.Close()
	browser := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	over := func(path string) func(int) error {
		return func(int) error {
			one, err := http.NewRequestWithContext(b.Context(), http.MethodGet, listener.URL+path, nil)
			if err != nil {
				return err
			}
			one.Header = r.Header
			res, err := browser.Do(one)
			if err != nil {
				return err
			}
			res.Body.Close()
			return failed
		}
	}
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("over=http/at_once=%d", n), func(b *testing.B) {
			against(b, server, n, side{"hgetall", over("/bare")}, side{"hgetall", over("/")})
		})
	}
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("over=nothing/at_once=%d", n), func(b *testing.B) {
			against(b, server, n, side{"hgetall", direct("/bare")}, side{"hgetall", direct("/")})
		})
	}
}

// BenchmarkSet bounds what the guard costs a write, beside a bare HSET of the
// same field.
func BenchmarkSet(b *testing.B) {
	server, client := single(b)
	_, s, _, key := site(b, client)
	st := &redis.Store{Client: client}
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("at_once=%d", n), func(b *testing.B) {
			var mine []session.Session // of each goroutine, as each request has its own
			for range n {
				one, err := st.Open(b.Context(), session.Token(s))
				if err != nil {
					b.Fatal(err)
				}
				mine = append(mine, one)
			}
			bare := func(int) error { return client.HSet(b.Context(), key, ":theme", "\x03dark").Err() }
			ours := func(i int) error { return mine[i].Set(b.Context(), "theme", "dark") }
			against(b, server, n, side{"hset", bare}, side{"evalsha", ours})
		})
	}
}

// proved binds a session to a device as package dbsc does, and lets it prove itself ten
// minutes later.
func proved(ctx context.Context, st *redis.Store, s session.Session) error {
	p := session.Proof{Device: strings.Repeat("d", 108), Challenge: "1", Remember: time.Hour, Lifetime: time.Millisecond}
	bound, err := st.Bind(ctx, session.Token(s), p)
	if err == nil {
		_, err = st.Open(ctx, session.Token(bound))
	}
	if errors.Is(err, session.ErrUnproved) {
		err = nil // it has ended
	}
	if err == nil {
		_, err = st.Prove(ctx, s.ID(), p)
	}
	return err
}

// BenchmarkSize measures what a session of five small values takes in Redis, over
// 100 000 of them, and what makes it larger.
func BenchmarkSize(b *testing.B) {
	const sessions = 100_000
	long := string(make([]byte, 80))
	for _, bench := range []struct {
		name   string
		config []string
		grow   func(ctx context.Context, st *redis.Store, s session.Session) error
	}{
		{"five_values", nil, nil},
		{"rotated", nil, func(ctx context.Context, st *redis.Store, s session.Session) error {
			_, err := st.Rotate(ctx, session.Token(s), time.Minute)
			return err
		}},
		{"one_of_80_bytes", nil, func(ctx context.Context, _ *redis.Store, s session.Session) error {
			return s.Set(ctx, "theme", long)
		}},
		{"one_of_80_bytes/listpack_512", []string{"--hash-max-listpack-value", "512"}, func(ctx context.Context, _ *redis.Store, s session.Session) error {
			return s.Set(ctx, "theme", long)
		}},
		{"logged_in", nil, nil},
		{"logged_in/listpack_512", []string{"--hash-max-listpack-value", "512"}, nil},
		{"logged_in/bound", nil, proved},
		{"logged_in/bound/listpack_512", []string{"--hash-max-listpack-value", "512"}, proved},
		{"no_values", nil, func(ctx context.Context, _ *redis.Store, s session.Session) error {
			return session.Clear(ctx, s)
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			server, client := single(b, bench.config...)
			st := &redis.Store{Client: client}
			used := func() float64 {
				n, err := strconv.ParseFloat(server.Info(b, "memory")["used_memory"], 64)
				if err != nil {
					b.Fatal(err)
				}
				return n
			}
			client.Ping(b.Context()) // its connection counts, too
			before := used()
			var wg sync.WaitGroup
			for worker := range 16 {
				wg.Go(func() {
					for i := worker; i < sessions; i += 16 {
						var s session.Session
						var err error
						if strings.HasPrefix(bench.name, "logged_in") {
							l := aBrowser(uuid.NewString()) // each is of a user of its own
							l.Values = fiveValues(i)
							s, err = st.Login(b.Context(), "", l)
						} else if s, err = st.Generate(b.Context(), uuid.NewString()); err == nil {
							err = session.SetAll(b.Context(), s, fiveValues(i))
						}
						if err == nil && bench.grow != nil {
							err = bench.grow(b.Context(), st, s)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(0, "ns/op")
			b.ReportMetric((used()-before)/sessions, "B/session")
		})
	}
}
