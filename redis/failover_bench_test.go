package redis_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// spareFleet is a sentinelFleet with a second replica, so that writes have one to
// wait for after a failover, too.
func spareFleet(tb testing.TB) *fleet {
	tb.Helper()
	set := redistest.StartSentinel(tb, downAfter)
	spare := redistest.Start(tb)
	host, port, _ := strings.Cut(set.Master.Addr, ":")
	spare.MustDo(tb, "REPLICAOF", host, port)
	for _, s := range set.Sentinels {
		s.MustDo(tb, "SENTINEL", "DEBUG", "INFO-PERIOD", 100)
		await(tb, "the sentinels know both replicas", func() bool {
			return len(s.MustDo(tb, "SENTINEL", "REPLICAS", set.Name).([]any)) == 2
		})
		s.MustDo(tb, "SENTINEL", "DEBUG", "INFO-PERIOD", 10000)
	}
	await(tb, "both replicas have the link", func() bool { return set.Master.MustDo(tb, "WAIT", 2, 1000) == int64(2) })
	return fleetOf(tb, set)
}

// BenchmarkFailover measures what a failover does to visitors, once for each
// disaster, with sentinels at their defaults:
//
//	go test ./redis -run '^$' -bench Failover -benchtime 1x -count 5
func BenchmarkFailover(b *testing.B) {
	for _, d := range []disaster{
		{"sentinel/kill/wait=0", sentinelFleet, 0, kill},
		{"sentinel/kill/wait=1", sentinelFleet, 1, kill},
		{"sentinel/kill/wait=1/replicas=2", spareFleet, 1, kill},
		{"sentinel/stall/wait=0", sentinelFleet, 0, stall},
		{"sentinel/stall/wait=1", sentinelFleet, 1, stall},
		{"sentinel/ahead/wait=0", sentinelFleet, 0, killAhead},
		{"sentinel/ahead/wait=1", sentinelFleet, 1, killAhead},
		{"cluster/kill/wait=0", restlessFleet, 0, kill},
		{"cluster/kill/wait=1", restlessFleet, 1, kill},
		{"cluster/ahead/wait=0", restlessFleet, 0, killAhead},
		{"cluster/ahead/wait=1", restlessFleet, 1, killAhead},
	} {
		b.Run(d.name, func(b *testing.B) {
			var harm damage
			someTime := d
			someTime.strike = func(tb testing.TB, f *fleet, s *siege) {
				tb.Helper()
				// The servers look at each other once a second: not always at the same moment.
				wait := rand.N(time.Second)
				tb.Log("strikes after", wait)
				time.Sleep(wait)
				d.strike(tb, f, s)
			}
			for range b.N {
				harm = someTime.run(b)
				b.Log(harm)
			}
			failed := 0
			for _, n := range harm.errors {
				failed += n
			}
			b.ReportMetric(0, "ns/op")
			for unit, n := range map[string]float64{
				"write-gap-s": harm.writeGap.Seconds(), "read-gap-s": harm.readGap.Seconds(), "slowest-s": harm.slowest.Seconds(),
				"errors": float64(failed), "acked": float64(harm.writes), "lost": float64(harm.lost),
				"logouts": float64(harm.logouts), "undead": float64(harm.undead), "unborn": float64(harm.unborn),
				"foreign": float64(harm.foreign), "logged-out": float64(harm.strangers), "cookies": float64(harm.cookies),
			} {
				b.ReportMetric(n, unit)
			}
		})
	}
}

// BenchmarkWaitReplicas measures what it costs a write that a replica must have
// it, by turns with writes that wait for none:
//
//	go test ./redis -run '^$' -bench WaitReplicas -benchtime 3000x -count 5
func BenchmarkWaitReplicas(b *testing.B) {
	set := redistest.StartSentinel(b, time.Hour)
	client := newClient(b, "redis+sentinel://"+strings.Join(set.Addrs(), ",")+"/"+set.Name)
	const round = 200
	for _, n := range []int{1, 16} {
		b.Run(fmt.Sprintf("at_once=%d", n), func(b *testing.B) {
			var took [2][]time.Duration
			var mu sync.Mutex
			for done := 0; done < b.N; done += round {
				for wait := range took {
					st := &redis.Store{Client: client, WaitReplicas: wait, OpTimeout: patience}
					made := generate(b, st)
					atOnce(n, func(i int) {
						s, err := st.Open(b.Context(), session.Token(made))
						var mine []time.Duration
						for j := 0; j < round && err == nil; j++ {
							start := time.Now()
							err = s.Set(b.Context(), fmt.Sprint("key", i), "dark")
							mine = append(mine, time.Since(start))
						}
						mu.Lock()
						defer mu.Unlock()
						if took[wait] = append(took[wait], mine...); err != nil {
							b.Error(err)
						}
					})
				}
			}
			b.ReportMetric(0, "ns/op")
			for wait, all := range took {
				slices.Sort(all)
				b.ReportMetric(float64(all[len(all)/2].Microseconds()), fmt.Sprintf("p50-µs/wait=%d", wait))
				b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), fmt.Sprintf("p99-µs/wait=%d", wait))
			}
		})
	}
}
