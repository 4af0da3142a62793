package redis_test

import (
	"math/rand/v2"
	"time"

	"github.com/mist-contrib/session/internal/redistest"
)

// A chaosFault is something that goes wrong, and right again when it returns.
type chaosFault struct {
	name string
	do   func(r *rand.Rand)
}

// between draws a time, to the millisecond.
func chaosBetween(r *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(r.Int64N(int64((high-low)/time.Millisecond)+1))*time.Millisecond
}

// chaosProcessFaults are those of the server.
func chaosProcessFaults(c *chaos) []chaosFault {
	return []chaosFault{
		{"pause", func(r *rand.Rand) {
			c.server.Pause()
			time.Sleep(chaosBetween(r, 50*time.Millisecond, 1500*time.Millisecond))
			c.server.Resume()
		}},
		{"kill", func(r *rand.Rand) { c.restart(chaosBetween(r, 0, 300*time.Millisecond)) }},
	}
}

// restart kills the server, and starts it again after a while.
func (c *chaos) restart(down time.Duration) {
	done := c.model.killing()
	c.server.Kill()
	done()
	time.Sleep(down)
	c.server.Restart(c.t)
}

// chaosNetworkFaults are those between the site and the server, and those that
// a server answers for.
func chaosNetworkFaults(c *chaos) []chaosFault {
	a := func(high time.Duration, on, off func()) func(*rand.Rand) {
		return func(r *rand.Rand) {
			on()
			time.Sleep(chaosBetween(r, 50*time.Millisecond, high))
			off()
		}
	}
	order := func(args ...any) func(*rand.Rand) {
		return func(*rand.Rand) { _, _ = c.server.Do(args...) } // it may be down just now
	}
	lose := func(match func([]byte) bool) func(*rand.Rand) {
		return func(r *rand.Rand) {
			c.proxy.Match(match)
			for range 5 { // not all at once: what is repeated shall arrive
				c.proxy.LoseReply(1 + r.IntN(5))
				time.Sleep(chaosBetween(r, 10*time.Millisecond, 100*time.Millisecond))
			}
			c.proxy.LoseReply(0)
			c.proxy.Match(nil)
		}
	}
	writes := lose(redistest.Named("evalsha", "eval", "unlink"))
	return []chaosFault{
		{"cut", func(*rand.Rand) { c.proxy.Cut() }},
		{"replies lost", lose(nil)},
		{"answers to writes lost", writes},
		{"answers to writes lost", writes}, // twice as often: they are what a client may repeat
		{"reply cut", func(r *rand.Rand) {
			for range 1 + r.IntN(10) {
				c.proxy.CutReply(r.IntN(100))
				time.Sleep(chaosBetween(r, 5*time.Millisecond, 30*time.Millisecond))
			}
			c.proxy.CutReply(-1)
		}},
		{"slow", func(r *rand.Rand) {
			c.proxy.SetDelay(chaosBetween(r, time.Millisecond, 300*time.Millisecond))
			time.Sleep(chaosBetween(r, 50*time.Millisecond, 800*time.Millisecond))
			c.proxy.SetDelay(0)
		}},
		{"stalled", a(1000*time.Millisecond, func() { c.proxy.Stall(true) }, func() { c.proxy.Stall(false) })},
		{"refused", a(500*time.Millisecond, func() { c.proxy.Refuse(true) }, func() { c.proxy.Refuse(false) })},
		{"cut off", a(500*time.Millisecond, func() {
			c.proxy.Refuse(true)
			c.proxy.Cut()
		}, func() { c.proxy.Refuse(false) })},
		{"cut while stalled", a(700*time.Millisecond, func() { c.proxy.Stall(true) }, func() {
			c.proxy.Cut()
			c.proxy.Stall(false)
		})},
		{"scripts flushed", order("SCRIPT", "FLUSH")},
		{"clients killed", order("CLIENT", "KILL", "TYPE", "normal")},
	}
}

// breakProcess does things to the server for as long as the run shall last, and
// longer where the machine is so busy that little has happened. It leaves it
// whole.
func (c *chaos) breakProcess() {
	r := c.random(drawsProcess)
	faults := chaosProcessFaults(c)
	faults = append(faults, faults[0]) // the more frequent one
	for i := 0; ; i++ {
		if i%len(faults) == 0 { // each in turn, or short runs would miss some
			r.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		}
		time.Sleep(chaosBetween(r, 300*time.Millisecond, 1300*time.Millisecond))
		if c.now() > *chaosFor {
			missing := c.missing()
			if len(missing) == 0 {
				return
			}
			if c.now() > *chaosFor+time.Minute {
				c.t.Errorf("never or hardly ever: %q", missing)
				return
			}
		}
		fault := faults[i%len(faults)]
		fault.do(r)
		c.note(fault.name)
	}
}

// breakNetwork does things to the network until it is told to stop. It leaves it
// whole.
func (c *chaos) breakNetwork(stop <-chan struct{}) {
	r := c.random(drawsNetwork)
	faults := chaosNetworkFaults(c)
	for i := 0; ; i++ {
		if i%len(faults) == 0 {
			r.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		}
		select {
		case <-stop:
			return
		case <-time.After(chaosBetween(r, 50*time.Millisecond, 700*time.Millisecond)):
		}
		fault := faults[i%len(faults)]
		fault.do(r)
		c.note(fault.name)
	}
}
