package sessiontest

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

// An Explorer tries out what requests do to each other that are under way at the
// same time. It runs the real [session.Manager], with cookies, on a store of
// yours, and decides itself which request makes its next call of the store: in
// all orders, or in random ones. After each order it holds what was promised
// against what is there:
//
//   - a write that was acknowledged is there as long as its session is, and a
//     counter has counted every update;
//   - a session that was removed, revoked or expired is dead for every token that
//     was ever given away, and late writes do not bring it back;
//   - rotation, refresh and responses that get lost log nobody out, and all who
//     rotate together get the same new token;
//   - a login kills the tokens from before; the session is its user's, and shows
//     no data of another user or another browser;
//   - an anonymous session ends with its login, and what was acknowledged in it is
//     in the session that begins; a login that is refused leaves it as it was;
//   - a session of a user goes on with its id when the user logs in again;
//   - the sessions of a user are listed, and a revocation ends all of them;
//   - what was never given away opens nothing;
//   - errors are of the kinds that the burst explains.
//
// What the store cannot do (tokens, users, Update) is left out.
//
// Sessions that their clients keep, those of a [session.ClientStore], cannot promise all
// of this: see ByDesign.
type Explorer struct {
	// New returns a fresh and empty store for one burst. What must be closed is
	// closed by t.Cleanup.
	New func(t *testing.T) session.Store

	// Idle is the idle timeout of the stores, the absolute one being longer. Zero:
	// bursts in which sessions expire are left out.
	Idle time.Duration

	// Advance lets d pass for the store. Nil: each burst runs in a synctest
	// bubble of its own, as in [Harness]; that is for stores without a network.
	Advance func(d time.Duration)

	// Bursts are what is explored, see [Bursts]. Nil: all that it returns.
	Bursts []string

	// Middleware runs each request in the Manager's Middleware.
	Middleware bool

	// ByDesign is for a [session.ClientStore], and required with it. Explore counts here
	// what clients lose because nobody else has their sessions, and fails on everything
	// else: each cookie that was given away shows exactly what was there when its
	// request ended, until its deadline. If the store revokes, a logout, a login and a
	// revocation end the cookies of users. The responses arrive in all orders too.
	ByDesign *Losses

	// Random is how many random orders are run, of all bursts together. Zero: all
	// orders, depth first.
	Random int

	// Seed makes the random orders. Zero: another one each time; it is logged.
	Seed uint64

	// Limit bounds the orders of a burst. Where there are more, some random ones
	// follow, and the log says so. Zero: 20 000.
	Limit int

	// The rest is for the tests of the Explorer.
	flows    map[string]flow // in place of those of the Manager, by kind
	onStuck  func(why string)
	patience time.Duration
	goOn     bool // when enough was found
	mirrored bool // also orders that differ in the names of two requests alone
}

const (
	defaultLimit = 20_000
	enough       = 3 // orders that went wrong
)

// Explore runs an Explorer, a subtest for each burst. It logs how many orders
// there were.
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
			t.Helper() // so that a failure names the line that calls Explore
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

// shares divides the random orders among the bursts: more for longer ones.
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

// explore runs the orders of one burst, as many at random as it is told, or all.
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
				x.found = append(x.found, "the same order led to other calls: the store does not do the same each time")
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

// explored is what was found out about a burst.
type explored struct {
	orders, wrong int
	all           bool // there are no more orders
	found         []string
	losses        Losses
}

func (x *explored) String() string {
	how := "orders, which are all"
	if !x.all {
		how = "orders, not all there are"
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

// A depthFirst chooses all orders in turn: the choices of the last one, but for
// the last that had another possibility.
type depthFirst struct {
	picks, widths []int
	made          int  // choices of this order
	diverged      bool // it cannot be the same order
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

// next prepares the next order; false: there is none.
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

// dice choose at random (SplitMix64). What they choose is no secret, and has to
// come again from a seed.
type dice uint64

func (d *dice) choose(n int) int {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n)) //nolint:gosec // less than n, which is positive
}
