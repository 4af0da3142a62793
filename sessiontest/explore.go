package sessiontest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

// An Explorer finds out what concurrent requests do to each other. It runs the real
// [session.Manager], with cookies, on your store, and decides which request makes its
// next call of the store: in all orders, or in random ones. After each order it checks
// the promises:
//
//   - An acknowledged write is stored as long as its session is alive, and a counter
//     has counted every update.
//   - A removed, revoked or expired session is dead for every token that was ever
//     given away, and late writes do not bring it back.
//   - Rotation, refresh and lost responses log nobody out, and concurrent rotations
//     return the same new token.
//   - A login ends the older tokens. The session belongs to its user, and shows no
//     data of another user or another browser.
//   - An anonymous session ends with its login, and its acknowledged writes are in
//     the session that begins. A refused login leaves it as it was.
//   - When a user logs in again, the session keeps its id.
//   - The sessions of a user are listed, and a revocation ends all of them.
//   - A token that was never given away opens nothing.
//   - Every error is of a kind that the burst explains.
//
// An Explorer leaves out what the store cannot do (tokens, users, Update).
//
// A [session.ClientStore], whose clients keep their sessions, cannot promise all of this:
// see ByDesign.
type Explorer struct {
	// New returns a fresh and empty store for one burst. It closes with t.Cleanup
	// what has to be closed.
	New func(t *testing.T) session.Store

	// Idle is the idle timeout of the stores. Their absolute timeout is longer. If
	// it is zero, the Explorer leaves out the bursts in which sessions expire.
	Idle time.Duration

	// Advance lets d pass for the store. If it is nil, each burst runs in a synctest
	// bubble of its own, as in [Harness]. Only stores without a network work there.
	Advance func(d time.Duration)

	// Bursts are the bursts to explore, see [Bursts]. Nil means all that it returns.
	Bursts []string

	// Middleware runs each request in the Manager's Middleware.
	Middleware bool

	// ByDesign is for a [session.ClientStore], and required with it. Explore counts here
	// what clients lose because nobody else has their sessions, and fails on everything
	// else. Until its deadline each cookie must show exactly the session at the end of
	// the request that gave it. If the store revokes, a logout, a login and a revocation
	// end the cookies of users. The responses, too, arrive in all orders.
	ByDesign *Losses

	// Random is the number of random orders, for all bursts together. Zero means all
	// orders, depth first.
	Random int

	// Seed makes the random orders. Zero means another seed each time. Explore logs it.
	Seed uint64

	// Limit bounds the orders of a burst. If there are more, some random ones follow,
	// and the log says so. Zero means 20 000.
	Limit int

	// The other fields are for the tests of the Explorer.
	flows    map[string]flow // replace those of the Manager, by kind
	onStuck  func(why string)
	patience time.Duration
	goOn     bool // even after enough wrong orders
	mirrored bool // run also orders that differ only in the names of two requests
}

const (
	defaultLimit = 20_000
	enough       = 3 // wrong orders
)

// Explore runs an Explorer, with a subtest for each burst. It logs the number of orders.
func Explore(t *testing.T, e Explorer) {
	t.Helper()
	if e.New == nil || e.Random < 0 || e.Limit < 0 || e.Idle < 0 {
		t.Fatal("sessiontest: Explorer needs New; Random, Limit and Idle are not negative")
	}
	bursts, err := e.possible(t)
	if err != nil {
		t.Fatal(err)
	}
	if e.Seed == 0 {
		e.Seed = uint64(time.Now().UnixNano())
	}
	orders, wrong, sampled := 0, 0, 0
	shares := e.shares(bursts)
	for i, b := range bursts {
		t.Run(b.name, func(t *testing.T) {
			t.Helper() // a failure names the line that calls Explore
			x := e.explore(t, b, shares[i])
			for _, f := range x.found {
				t.Errorf("%s\nSeed: %d", f, e.Seed)
			}
			t.Log(x)
			orders, wrong = orders+x.orders, wrong+x.wrong
			if e.ByDesign != nil {
				t.Log(&x.losses)
				e.ByDesign.add(x.losses)
			}
			if !x.all {
				sampled++
			}
		})
	}
	if e.ByDesign != nil {
		t.Log(e.ByDesign)
	}
	t.Logf("%d bursts, %d orders, %d of them wrong; %d bursts at random (Seed %d)", len(bursts), orders, wrong, sampled, e.Seed)
}

// shares divides the random orders among the bursts. Longer bursts get more.
func (e Explorer) shares(bursts []burst) []int {
	total, sum, given := 0, 0, 0
	weight := func(b burst) int { n := len(b.requests); return n * n * n }
	for _, b := range bursts {
		total += weight(b)
	}
	all := make([]int, len(bursts))
	for i, b := range bursts {
		sum += weight(b)
		all[i] = e.Random*sum/total - given
		given += all[i]
	}
	return all
}

// explore runs random orders of one burst, or all orders.
func (e Explorer) explore(t *testing.T, b burst, random int) *explored {
	t.Helper()
	x := &explored{}
	s := &site{Explorer: e, burst: b}
	if s.Advance == nil {
		s.Advance = time.Sleep
		s.tick = time.Millisecond
	}
	guard := s.watch()
	defer guard.end()
	run := func(t *testing.T) {
		t.Helper()
		s.store = e.New(t)
		s.revokes = revokes(s.store)
		x = s.orders(random)
	}
	if e.Advance == nil {
		synctest.Test(t, run)
	} else {
		run(t)
	}
	return x
}

func (s *site) orders(random int) *explored {
	x := &explored{}
	limit := s.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	if s.Random == 0 {
		var d depthFirst
		for !x.all && x.orders < limit && (x.wrong < enough || s.goOn) {
			x.add(s.order(d.choose))
			if d.diverged {
				x.found = append(x.found, "the same order led to other calls: the store is not deterministic")
				return x
			}
			x.all = !d.next()
		}
		if x.all {
			return x
		}
		random = limit + limit/4
	}
	d := dice(s.Seed)
	for x.orders < random && (x.wrong < enough || s.goOn) {
		x.add(s.order(d.choose))
	}
	return x
}

type explored struct {
	orders, wrong int
	all           bool // there are no more orders
	found         []string
	losses        Losses
}

func (x *explored) String() string {
	how := "orders (all)"
	if !x.all {
		how = "orders (not all)"
	}
	return fmt.Sprintf("%d %s; %d of them wrong", x.orders, how, x.wrong)
}

func (x *explored) add(o *order) {
	x.orders++
	x.losses.add(o.losses)
	if len(o.wrong) > 0 {
		x.wrong++
		x.found = append(x.found, strings.Join(o.wrong, "\n")+"\norder of calls: "+o.String())
	}
}

// A depthFirst chooses all orders in turn. Each order repeats the choices of the one before
// up to the last choice that has another possibility.
type depthFirst struct {
	picks, widths []int
	made          int  // choices in this order
	diverged      bool // the same choices led to another order
}

func (d *depthFirst) choose(n int) int {
	if d.made == len(d.picks) {
		d.picks, d.widths = append(d.picks, 0), append(d.widths, n)
	}
	pick := d.picks[d.made]
	d.diverged = d.diverged || d.widths[d.made] != n
	d.made++
	return min(pick, n-1)
}

// next prepares the next order. It returns false after the last.
func (d *depthFirst) next() bool {
	d.diverged = d.diverged || d.made != len(d.picks)
	d.made = 0
	for last := len(d.picks) - 1; last >= 0; last-- {
		if d.picks[last]++; d.picks[last] < d.widths[last] {
			return true
		}
		d.picks, d.widths = d.picks[:last], d.widths[:last]
	}
	return false
}

// dice choose at random (SplitMix64). The choices are not secret, and a seed has to
// reproduce them.
type dice uint64

func (d *dice) choose(n int) int {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n)) //nolint:gosec // less than n, which is positive
}
