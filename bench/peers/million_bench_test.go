package peers_test

import (
	"runtime"
	"strings"
	"sync"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
)

// A crowd is many sessions of one library: anonymous ones, or of a user each.
type crowd struct {
	connect func(tb testing.TB) *peer
	page    string
	note    string
}

// crowds leaves out this module's middleware, which stores nothing. Only this module knows users.
func crowds(all []func(testing.TB) *peer) []crowd {
	result := []crowd{{all[0], start, ""}, {all[0], login, ", of a user each, with its browser"}}
	for _, connect := range all[2:] {
		result = append(result, crowd{connect, start, ""})
	}
	return result
}

// BenchmarkMillion measures many sessions with three small values: what each takes in memory and
// in Redis, and what a session costs when there are a million in memory.
func BenchmarkMillion(b *testing.B) {
	b.Run("store=memory", func(b *testing.B) {
		for b.Loop() {
			t := newTable("package", "bytes each", "CPU µs to begin one", "CPU µs to read one of them")
			for _, c := range crowds(onMemory()) {
				t.row(c.inMemory(b)...)
			}
			t.print("A million sessions in memory")
		}
	})
	b.Run("store=redis", func(b *testing.B) {
		server := redistest.Start(b)
		for b.Loop() {
			t := newTable("package", "bytes each")
			for _, c := range crowds(onRedis(server.Addr)) {
				t.row(c.inRedis(b, server)...)
			}
			t.print("100 000 sessions in Redis")
		}
	})
}

func heap() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one finalized
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

func (c crowd) inMemory(b *testing.B) []string {
	b.Helper()
	const sessions, every, most = 1_000_000, 50, 100e6
	empty := heap()
	if empty > most {
		b.Fatalf("%.0f bytes of others are still in memory", empty)
	}
	p := c.connect(b)
	defer p.close(b)
	must(b, check(p))
	var cookies []string
	var own float64
	visitor, bare := p.browser(), p.bare()
	none := per(sessions/10, func(int) { bare.visit(c.page) })
	begin := per(sessions, func(i int) {
		visitor.visit(c.page)
		if i%every == 0 {
			cookie := strings.Clone(keep(visitor))
			cookies = append(cookies, cookie)
			own += float64(len(cookie)) + 16
			visitor.carry("")
		}
	})
	must(b, p.err())
	taken := (heap() - empty - own) / sessions
	var readers []browser
	for _, cookie := range cookies {
		reader := p.browser()
		reader.carry(cookie)
		readers = append(readers, reader)
	}
	reading := per(len(readers), func(i int) { readers[i].visit(show + "user") })
	must(b, p.err())
	if p.shown == nil {
		b.Fatal("nothing was read")
	}
	return []string{p.name + c.note, figure(taken), micros(begin - none), micros(reading - none)}
}

// per returns what a call costs, in nanoseconds of the processor.
func per(n int, f func(i int)) float64 {
	began := processor()
	for i := range n {
		f(i)
	}
	return float64(processor()-began) / float64(n)
}

func (c crowd) inRedis(b *testing.B, server *redistest.Server) []string {
	b.Helper()
	const sessions, workers = 100_000, 16
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	defer func() { must(b, client.Close()) }()
	must(b, client.FlushAll(b.Context()).Err())
	p := c.connect(b)
	defer p.close(b)
	must(b, check(p))
	work := func(n int) {
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				visitor := p.browser()
				for range n / workers {
					visitor.visit(c.page)
				}
			})
		}
		all.Wait()
	}
	work(sessions / 100) // connections take memory, too
	began := info(b, server, "memory", "used_memory")
	work(sessions)
	must(b, p.err())
	each := (info(b, server, "memory", "used_memory") - began) / sessions
	if n, err := client.DBSize(b.Context()).Result(); err != nil || n < sessions {
		b.Fatalf("got %d keys, %v", n, err)
	}
	return []string{p.name + c.note, figure(each)}
}
