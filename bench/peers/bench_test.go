package peers_test

import (
	"fmt"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/redistest"
)

// timed are the pages that are compared, in this order: sessions of logged-in users are read
// and written, and login takes an anonymous session.
func timed() []string { return []string{read, write, login, logout, none} }

// A cost is what a page takes more than one of an empty handler, and the time of that.
type cost struct{ ns, allocations, trips, empty float64 }

// A contest lets peers take turns, in short rounds, so that a slow machine slows all of them.
type contest struct {
	peers []*peer
	clock func() time.Duration
	trips func() float64 // of the server so far
}

// pass visits a page once with each browser.
func (c *contest) pass(all []browser, page string) cost {
	var before, after runtime.MemStats
	n := float64(len(all))
	trips := c.trips()
	runtime.ReadMemStats(&before)
	began := c.clock()
	for _, b := range all {
		b.visit(page)
	}
	took := c.clock() - began
	runtime.ReadMemStats(&after)
	trips = c.trips() - trips
	return cost{ns: float64(took) / n, allocations: float64(after.Mallocs-before.Mallocs) / n, trips: trips / n}
}

// A sample holds the costs of a page for each peer, one of each round.
type sample [][]cost

// median returns the median of a figure of a peer.
func (s sample) median(peer int, figure func(c cost) float64) float64 {
	var v []float64
	for _, c := range s[peer] {
		v = append(v, figure(c))
	}
	return median(v)
}

// round adds what each page costs a peer in one round of n requests.
func (c *contest) round(all map[string]sample, peer, n int) {
	p := c.peers[peer]
	bare, strangers, users := make([]browser, n), make([]browser, n), make([]browser, n)
	for i := range n {
		bare[i], strangers[i], users[i] = p.bare(), p.browser(), p.browser()
		users[i].visit(start)
		keep(users[i])
	}
	for _, page := range []string{login, read, write, logout, none} { // each needs the one before
		visitors := users
		if page == none {
			visitors = strangers
		}
		empty, got := c.pass(bare, page), c.pass(visitors, page)
		all[page][peer] = append(all[page][peer], cost{
			ns: got.ns - empty.ns, allocations: got.allocations - empty.allocations, trips: got.trips - empty.trips, empty: empty.ns,
		})
		for _, b := range visitors {
			keep(b)
		}
	}
}

// run returns the costs of all pages. In each round another peer is first.
func (c *contest) run(b *testing.B, rounds, n int) map[string]sample {
	b.Helper()
	all := make(map[string]sample)
	for _, page := range timed() {
		all[page] = make(sample, len(c.peers))
	}
	for r := range rounds {
		for i := range c.peers {
			c.round(all, (r+i)%len(c.peers), n)
		}
		for _, p := range c.peers {
			must(b, p.err())
		}
	}
	return all
}

// BenchmarkPeers compares what requests cost with each library, beside an empty handler of the
// same framework.
func BenchmarkPeers(b *testing.B) {
	fmt.Printf("\n%s\n", setup(b))
	b.Run("store=memory", func(b *testing.B) {
		c := contest{clock: processor, trips: func() float64 { return 0 }}
		c.print(b, onMemory(), "Memory: CPU µs, allocations", 21, 1000, func(c cost) float64 { return c.allocations })
	})
	b.Run("store=redis", func(b *testing.B) {
		server := redistest.Start(b)
		c := contest{clock: wall(), trips: func() float64 { return info(b, server, "stats", "total_reads_processed") }}
		c.print(b, onRedis(server.Addr), "Redis "+server.Info(b, "server")["redis_version"]+": µs, round trips", 15, 300, func(c cost) float64 { return c.trips })
	})
}

// print prints the time of each page and a second figure.
func (c *contest) print(b *testing.B, peers []func(testing.TB) *peer, title string, rounds, n int, second func(c cost) float64) {
	b.Helper()
	for _, connect := range peers {
		p := connect(b)
		defer p.close(b)
		must(b, check(p))
		c.peers = append(c.peers, p)
	}
	for b.Loop() {
		all := c.run(b, rounds, n)
		t := newTable("package", "read", "read and write", "login", "logout", "no cookie", "empty handler")
		for i, p := range c.peers {
			row := []string{p.name}
			for _, page := range timed() {
				row = append(row, micros(all[page].median(i, func(c cost) float64 { return c.ns }))+", "+
					fmt.Sprintf("%.0f", all[page].median(i, second)))
			}
			t.row(append(row, micros(all[read].median(i, func(c cost) float64 { return c.empty })))...)
		}
		t.print(title)
	}
}

// processor is the time that the process has computed for, garbage collection included. Other
// processes hardly change it.
func processor() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func wall() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}

func info(tb testing.TB, server *redistest.Server, section, name string) float64 {
	tb.Helper()
	v, err := strconv.ParseFloat(server.Info(tb, section)[name], 64)
	must(tb, err)
	return v
}
