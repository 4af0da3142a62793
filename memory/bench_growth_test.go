package memory_test

import (
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session/memory"
)

// BenchmarkGrowth measures what a Go map and a heap cost each session, once:
//
//	go test -run '^$' -bench Growth -benchtime 1x -timeout 10m ./memory
//
// It makes a million sessions without values, replaces the oldest ten million times, and
// removes the oldest 90 %. It reports the time of each step and the heap of a live session
// after it.
func BenchmarkGrowth(b *testing.B) {
	const n, churn = 1_000_000, 10_000_000
	for b.Loop() {
		ids := make([][36]byte, n) // as bytes, so that they do not count
		st := new(memory.Store)
		before := heap()
		create := func(i int) {
			id := uuid.NewString()
			copy(ids[i%n][:], id)
			if _, err := st.Generate(b.Context(), id); err != nil {
				b.Fatal(err)
			}
		}
		remove := func(i int) {
			if err := st.Remove(b.Context(), string(ids[i%n][:])); err != nil {
				b.Fatal(err)
			}
		}
		measure := func(step string, calls, live int, f func(i int)) {
			start := time.Now()
			for i := range calls {
				f(i)
			}
			b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(calls), "ns/"+step)
			b.ReportMetric(float64(heap()-before)/float64(live), "B/session-"+step)
		}
		measure("create", n, n, create)
		measure("replace", churn, n, func(i int) { remove(i); create(i) })
		measure("remove", n*9/10, n/10, remove)
		runtime.KeepAlive(ids)
		runtime.KeepAlive(st)
	}
}
