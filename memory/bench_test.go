package memory_test

import (
	"fmt"
	"math/bits"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// fill makes n sessions of five small values each and returns their tokens in
// one piece of memory, so that they do not count as the store's.
func fill(b *testing.B, st *memory.Store, tokens [][63]byte) {
	b.Helper()
	since := time.Now()
	for i := range tokens {
		s, err := st.Generate(b.Context(), uuid.NewString())
		if err != nil {
			b.Fatal(err)
		}
		if copy(tokens[i][:], session.Token(s)) != len(tokens[i]) {
			b.Fatal("a token has another length")
		}
		err = session.SetAll(b.Context(), s, map[string]any{
			"user": fmt.Sprintf("user%07d", i), "theme": "dark", "visits": int64(i), "trusted": true, "since": since,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen bounds the load of a session by its token: serial, and in
// parallel on different sessions, where it should scale with the cores.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{1024, 128 * 1024} {
		st := new(memory.Store)
		tokens := make([][63]byte, n)
		fill(b, st, tokens)
		b.Run(fmt.Sprintf("sessions=%d/serial", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if _, err := st.Open(b.Context(), string(tokens[i%n][:])); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("sessions=%d/parallel", n), func(b *testing.B) {
			b.ReportAllocs()
			var next atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				i := int(next.Add(1)) * n / 7
				for pb.Next() {
					i++
					if _, err := st.Open(b.Context(), string(tokens[i%n][:])); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkSession bounds single operations on a session of five values.
func BenchmarkSession(b *testing.B) {
	st := new(memory.Store)
	tokens := make([][63]byte, 1)
	fill(b, st, tokens)
	s, err := st.Open(b.Context(), string(tokens[0][:]))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("op=get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Get(b.Context(), "theme"); err != nil {
				b.Fatal(err)
			}
		}
	})
	themes := []string{"dark", "light"} // so that the value is boxed each time
	b.Run("op=set", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := s.Set(b.Context(), "theme", themes[i%2]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("op=update", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			err := session.Update(b.Context(), s, "visits", func(old any) (any, error) {
				n, _ := old.(int64)
				return n + 1, nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("op=refresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := st.Refresh(b.Context(), s.ID()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkLogin bounds a login: from nothing, from an anonymous session of two
// values, which is made as well, and of the session's own user. What it makes it
// removes.
func BenchmarkLogin(b *testing.B) {
	for _, from := range []string{"nothing", "anonymous", "user"} {
		b.Run("from="+from, func(b *testing.B) {
			st := new(memory.Store)
			var token string
			b.ReportAllocs()
			for b.Loop() {
				if from == "anonymous" {
					s, err := st.Generate(b.Context(), "anonymous")
					if err != nil {
						b.Fatal(err)
					}
					if err := session.SetAll(b.Context(), s, map[string]any{"cart": "apples", "step": 1}); err != nil {
						b.Fatal(err)
					}
					token = session.Token(s)
				}
				s, err := st.Login(b.Context(), token, session.Login{User: "alice", ID: "new"})
				if err != nil {
					b.Fatal(err)
				}
				if from == "user" {
					token = session.Token(s)
					continue
				}
				if err := st.Remove(b.Context(), s.ID()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkScale measures a million sessions of five small values, once:
//
//	go test -run '^$' -bench Scale -benchtime 1x -timeout 10m ./memory
//
// It reports the heap of a session with its values, a forced garbage collection
// with all of them live, reads while all of them expire under load, and, with
// another million that expires while nobody calls, how long the next thousand
// calls take and what they leave in memory.
func BenchmarkScale(b *testing.B) {
	const n = 1_000_000
	tokens := make([][63]byte, n)
	for b.Loop() {
		before := heap()
		st := new(memory.Store)
		begin := time.Now()
		fill(b, st, tokens)
		filled := time.Since(begin)
		b.ReportMetric(float64(heap()-before)/n, "B/session")
		var pauses []time.Duration
		for range 5 {
			start := time.Now()
			runtime.GC()
			pauses = append(pauses, time.Since(start))
		}
		slices.Sort(pauses)
		b.ReportMetric(float64(pauses[2].Milliseconds()), "GC-ms")
		runtime.KeepAlive(st)

		idle := 2*filled + time.Second
		st = &memory.Store{IdleTimeout: idle}
		begin = time.Now()
		fill(b, st, tokens)
		filled = time.Since(begin)
		time.Sleep(time.Until(begin.Add(idle - 500*time.Millisecond)))
		readDuringExpiry(b, st, tokens, time.Until(begin.Add(idle+filled+time.Second)))
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-after-expiry")
		runtime.KeepAlive(st)

		st = &memory.Store{IdleTimeout: idle}
		fill(b, st, tokens)
		time.Sleep(idle + time.Second)
		start := time.Now()
		for i := range 1000 {
			_, _ = st.Open(b.Context(), string(tokens[i*997][:]))
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms-for-1000-calls")
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-after-1000-calls")
		runtime.KeepAlive(st)
	}
}

// readDuringExpiry reads for a while, a writer beside it, and reports how long
// the reads took.
func readDuringExpiry(b *testing.B, st *memory.Store, tokens [][63]byte, d time.Duration) {
	b.Helper()
	end := time.Now().Add(d)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for time.Now().Before(end) {
			if s, err := st.Generate(b.Context(), uuid.NewString()); err == nil {
				_ = s.Set(b.Context(), "theme", "dark")
				_ = st.Remove(b.Context(), s.ID())
			}
		}
	}()
	var took [64]int // by the length of the duration in bits
	var longest time.Duration
	reads := 0
	for i := 0; ; i += 7919 {
		start := time.Now()
		if start.After(end) {
			break
		}
		_, _ = st.Open(b.Context(), string(tokens[i%len(tokens)][:]))
		t := time.Since(start)
		took[bits.Len64(uint64(t))]++
		longest = max(longest, t)
		reads++
	}
	<-done
	b.ReportMetric(float64(percentile(took[:], reads*50/100)), "p50-ns<")
	b.ReportMetric(float64(percentile(took[:], reads*99/100)), "p99-ns<")
	b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
}

// percentile returns the upper bound of the bucket that the k-th read is in.
func percentile(took []int, k int) int {
	for bucket, n := range took {
		if k -= n; k < 0 {
			return 1 << bucket
		}
	}
	return 0
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
