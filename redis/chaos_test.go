package redis_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

var (
	chaosFor  = flag.Duration("chaos", 10*time.Second, "how long TestChaos breaks things")
	chaosSeed = flag.Uint64("chaos.seed", 1, "of all that TestChaos draws")
)

const (
	chaosVisitors = 50
	chaosKeepers  = 5 // of them never log out

	// chaosBound is how long a request may take: some calls of OpTimeout each, on
	// a machine that does other things, too.
	chaosBound = 10 * time.Second

	// chaosLag is for how long a write without an answer may still come into
	// effect: it may lie in a buffer before a server that is paused.
	chaosLag = 10 * time.Second

	chaosGrace = 2 * time.Second
	chaosSlack = 100 * time.Millisecond // between the clocks of Go and Redis
)

// TestChaos lets visitors use a site while its Redis is paused, killed and cut
// off. What each of them is answered must be explained by what they know to have
// happened. The numbers in its complaints are those of the invariants in the
// module's design:
//
//	1  a response shows the session of its own cookie, or none
//	2  what was logged out, lost or replaced stays dead, also across restarts
//	3  nothing that was acknowledged is lost or happens twice
//	4  every record expires, none later than its absolute deadline
//	6  only logins make records, under ids that the server chose
//	7  an outage is 503: it logs nobody out, and sets and clears no cookie
//	8  every request ends in time, and nothing goes on after the end
//	10 no token in a log, in an error or in Redis
func TestChaos(t *testing.T) { //nolint:tparallel // alone, or it takes the time of tests that measure some
	for _, persistent := range []bool{true, false} {
		t.Run(fmt.Sprintf("persistent=%t", persistent), func(t *testing.T) {
			t.Parallel()
			config := []string{"--slowlog-log-slower-than", "0", "--slowlog-max-len", "2000"}
			if persistent {
				config = append(config, "--appendonly", "yes", "--appendfsync", "always")
			}
			c := &chaos{
				t: t, began: time.Now(), persistent: persistent, name: t.Name(),
				server: redistest.Start(t, config...), stop: make(chan struct{}),
			}
			c.proxy = redistest.NewProxy(t, c.server.Addr)
			c.model.init(c)
			t.Logf("seed %d", *chaosSeed)
			c.run()
			c.report()
		})
	}
}

// A chaos is one run.
type chaos struct {
	t          *testing.T
	began      time.Time
	persistent bool
	name       string // what its goroutines are labelled with
	server     *redistest.Server
	proxy      *redistest.Proxy
	client     goredis.UniversalClient
	site       *chaosSite
	model      chaosModel
	stop       chan struct{} // closed when the visitors shall go

	waited  atomic.Int64 // see had
	givenUp atomic.Bool  // by verify, which does not wait so long twice

	mu         sync.Mutex
	violations map[int]int
	faults     map[string]int
	scans      int
}

// now is the time of the run.
func (c *chaos) now() time.Duration { return time.Since(c.began) }

// had is the time of the run in which this process could work. Others use the
// machine, too, and what they take is no fault of the site.
func (c *chaos) had() time.Duration { return c.now() - time.Duration(c.waited.Load()) }

// pulse measures how much later than it should this process goes on.
func (c *chaos) pulse(stop <-chan struct{}) {
	const beat = 10 * time.Millisecond
	for last := c.now(); ; {
		select {
		case <-stop:
			return
		case <-time.After(beat):
		}
		now := c.now()
		if late := now - last - beat; late > beat {
			c.waited.Add(int64(late))
		}
		last = now
	}
}

// random returns a source of its own for each use.
func (c *chaos) random(use uint64) *rand.Rand {
	if c.persistent {
		use += 1 << 32
	}
	return rand.New(rand.NewPCG(*chaosSeed, use))
}

// What draws.
const (
	drawsProcess uint64 = iota
	drawsNetwork
	drawsID
	drawsVisitor // and those behind it
)

// violate notes that an invariant does not hold.
func (c *chaos) violate(invariant int, format string, args ...any) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.violations == nil {
		c.violations = make(map[int]int)
	}
	if c.violations[invariant]++; c.violations[invariant] <= 5 {
		c.t.Errorf("invariant %d, after %.3fs: %s", invariant, c.now().Seconds(), fmt.Sprintf(format, args...))
	}
}

func (c *chaos) note(fault string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.faults == nil {
		c.faults = make(map[string]int)
	}
	c.faults[fault]++
}

func (c *chaos) run() {
	var err error
	if c.client, err = redis.NewClient("redis://" + c.proxy.Addr); err != nil {
		c.t.Fatal(err)
	}
	c.site = newChaosSite(c)
	var visitors, others sync.WaitGroup
	labels := pprof.Labels("chaos", c.name)
	pprof.Do(context.Background(), labels, func(context.Context) {
		c.site.Start()
		for i := range chaosVisitors {
			v := newChaosVisitor(c, i)
			visitors.Go(v.visit)
		}
	})
	stopOthers, end := make(chan struct{}), make(chan struct{})
	go c.pulse(end)
	defer close(end)
	others.Go(func() { c.breakNetwork(c.stop) })
	others.Go(func() { c.watch(stopOthers) })
	c.breakProcess() // here, because it may end the test
	close(c.stop)
	visitors.Wait()
	close(stopOthers)
	others.Wait()

	c.outage()
	if c.persistent {
		c.restart(0)
	}
	c.verify()
	if !c.persistent {
		c.restart(0)
		c.verify()
	}
	c.scan()
	c.searchRedis()
	c.site.close()
	if err := c.client.Close(); err != nil {
		c.t.Error(err)
	}
	c.noGoroutines()
}

// noGoroutines waits for the end of all that was started with the label.
func (c *chaos) noGoroutines() {
	label := fmt.Sprintf("%q:%q", "chaos", c.name)
	var all strings.Builder
	for deadline := c.had() + chaosBound; ; time.Sleep(10 * time.Millisecond) {
		all.Reset()
		if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
			c.t.Fatal(err)
		}
		if !strings.Contains(all.String(), label) {
			return
		}
		if c.had() > deadline {
			break
		}
	}
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		if strings.Contains(stack, label) {
			c.violate(8, "still there after the end: %s", stack)
		}
	}
}

// report says what the run was made of, and fails where it shows too little.
func (c *chaos) report() {
	c.t.Log(c.model.summary())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Logf("faults %v, %d scans, waited %v for the machine, violations %v",
		c.faults, c.scans, time.Duration(c.waited.Load()).Round(time.Millisecond), c.violations)
}

// missing names what has not happened yet, and has to before a run shows
// anything.
func (c *chaos) missing() (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fault := range append(chaosProcessFaults(c), chaosNetworkFaults(c)...) {
		if c.faults[fault.name] == 0 {
			names = append(names, fault.name)
		}
	}
	for _, op := range chaosOps {
		if c.model.acknowledged(op) < 5 {
			names = append(names, op)
		}
	}
	if c.scans == 0 {
		names = append(names, "a look into Redis")
	}
	return names
}
