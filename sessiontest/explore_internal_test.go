package sessiontest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

func goodExplorer() Explorer { return Explorer{New: goodStore, Idle: testIdle, goOn: true} }

// one explores one burst.
func (e Explorer) one(t *testing.T, text string) *explored {
	t.Helper()
	b, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e.explore(t, b, e.Random)
}

// explorer explores the wreck.
func (w wreck) explorer() Explorer {
	e := goodExplorer()
	e.flows = w.flows
	if w.store != nil {
		e.New = func(t *testing.T) session.Store {
			t.Helper()
			b := &brokenStore{Store: &memory.Store{IdleTimeout: testIdle, AbsoluteTimeout: testAbsolute}}
			w.store(t, b)
			return b
		}
	}
	return e
}

// TestExplorerCanFail holds the Explorer against stores and Managers that are
// broken.
func TestExplorerCanFail(t *testing.T) {
	for name, w := range wrecks() {
		t.Run(name, func(t *testing.T) {
			if x := goodExplorer().one(t, w.burst); x.wrong > 0 {
				t.Errorf("%s: a good store: %s", w.burst, x.found[0])
			}
			x := w.explorer().one(t, w.burst)
			if !x.all || !strings.Contains(strings.Join(x.found, "\n"), w.finds) {
				t.Fatalf("%s: %v, none says %q: %q", w.burst, x, w.finds, x.found)
			}
			t.Logf("%s: %d of %d orders\n%s", w.burst, x.wrong, x.orders, x.found[0])
		})
	}
}

// TestWholeRecords is what is known of stores that load a record at the beginning
// of a request, and store it at the end.
func TestWholeRecords(t *testing.T) {
	for _, test := range []struct {
		burst         string
		waits         int // between loading and storing
		wrong, orders int
	}{
		{"write write", 1, 60, 70},
		{"write logout", 2, 50, 56},
	} {
		e := goodExplorer()
		e.mirrored = true
		e.flows = map[string]flow{
			"write": func(v *visit, ctx *mist.Context) error { return storesWhole(v, ctx, test.waits) },
			kindLogout: func(v *visit, ctx *mist.Context) error {
				if err := v.load(ctx); err != nil {
					return err
				}
				err := v.manager.Store.Remove(ctx.Request.Context(), v.loaded.ID())
				v.park("answer")
				return err
			},
		}
		x := e.one(t, test.burst)
		if x.wrong != test.wrong || x.orders != test.orders {
			t.Errorf("%s: got %d wrong of %d, want %d of %d", test.burst, x.wrong, x.orders, test.wrong, test.orders)
		}
		good := goodExplorer()
		good.mirrored = true
		t.Logf("%s: whole records: %d orders, %d wrong; this module: %v", test.burst, x.orders, x.wrong, good.one(t, test.burst))
	}
}

// storesWhole finds the session, loads its record, waits, and stores all of it, in
// a new session where there is none any more.
func storesWhole(v *visit, ctx *mist.Context, waits int) error {
	reqctx, id := ctx.Request.Context(), idOf(v.sent)
	_ = v.load(ctx)
	v.park("load")
	whole := make(map[string]any)
	if s, err := v.store.Get(reqctx, id); err == nil {
		whole = record(reqctx, s)
	}
	for range waits {
		v.park("wait")
	}
	whole[v.name] = ""
	return v.stage.do(reqctx, call{op: "Set", id: id, key: v.name, value: ""}, func(c *call) {
		s, err := v.store.Get(reqctx, id)
		if err != nil {
			s, err = v.store.Generate(reqctx, id)
		}
		if c.err = err; err == nil {
			c.err = errors.Join(session.Clear(reqctx, s), session.SetAll(reqctx, s, whole))
		}
	}).err
}

// TestExplorerPlain: a store of the four methods is explored as far as it goes.
func TestExplorerPlain(t *testing.T) {
	e := goodExplorer()
	e.New = func(t *testing.T) session.Store { t.Helper(); return plain{goodStore(t)} }
	bursts, err := e.possible(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range bursts {
		for _, r := range b.requests {
			if !slices.Contains([]string{"write", "logout", "refresh", "expire"}, r.kind.name) {
				t.Errorf("%s: %s is not for a plain store", b.name, r.name)
			}
		}
	}
	Explore(t, e)
	e.New = func(t *testing.T) session.Store { t.Helper(); return plain{&memory.Store{}} }
	e.Idle, e.flows = 0, map[string]flow{"write": func(*visit, *mist.Context) error { return ErrFault }}
	if x := e.one(t, "write"); x.wrong != 1 || !strings.Contains(x.found[0], ErrFault.Error()) {
		t.Errorf("an error of another kind: got %v", x)
	}
}

// TestExplorerRandom: the same seed gives the same orders, another one others.
func TestExplorerRandom(t *testing.T) {
	run := func(seed uint64) (traces []string) {
		e := goodExplorer()
		e.Seed, e.Random = seed, 20
		e.flows = map[string]flow{"write": func(v *visit, ctx *mist.Context) error {
			_ = write(v, ctx)
			return ErrFault // so that the order is shown
		}}
		x := e.one(t, "write write rotate lose")
		if x.orders != 20 || x.all {
			t.Errorf("got %v, want 20 random orders", x)
		}
		return x.found
	}
	if first := run(1); !slices.Equal(first, run(1)) || slices.Equal(first, run(2)) {
		t.Error("Seed does not make the orders")
	}
}

// TestExplorerShares: all random orders are made.
func TestExplorerShares(t *testing.T) {
	e := Explorer{Random: 1001}
	var bursts []burst
	for _, text := range Bursts() {
		b, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		bursts = append(bursts, b)
	}
	sum := 0
	for _, n := range e.shares(bursts) {
		sum += n
	}
	if sum != e.Random {
		t.Errorf("got %d orders, want %d", sum, e.Random)
	}
}

func TestExplorerParse(t *testing.T) {
	for _, text := range []string{"", "in:", "write wirte", "write 2", "write3"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is a burst", text)
		}
	}
}

// TestExplorerDiverges: a store that does not do the same each time is no use.
func TestExplorerDiverges(t *testing.T) {
	e := goodExplorer()
	calls := 0
	e.flows = map[string]flow{"write": func(v *visit, ctx *mist.Context) error {
		if calls++; calls%2 == 0 {
			v.park("another step")
		}
		return write(v, ctx)
	}}
	if x := e.one(t, "write rotate"); x.all || len(x.found) != 1 {
		t.Errorf("got %v, want a complaint", x)
	}
}

// TestExplorerPanics: a panic of the store belongs to an order.
func TestExplorerPanics(t *testing.T) {
	e := goodExplorer()
	e.flows = map[string]flow{"write": func(*visit, *mist.Context) error { panic("ouch") }}
	if x := e.one(t, "write"); x.wrong != 1 || !strings.Contains(x.found[0], "ouch") {
		t.Errorf("got %v, want the panic", x)
	}
}

// TestExplorerStuck: a store that holds a lock over a step is found out.
func TestExplorerStuck(t *testing.T) {
	var held sync.Mutex
	told := make(chan string, 100)
	e := goodExplorer()
	e.patience = 50 * time.Millisecond
	e.onStuck = func(why string) {
		told <- why
		held.TryLock() // on a busy machine nobody may hold it
		held.Unlock()  // so that this test ends
	}
	e.New = func(t *testing.T) session.Store {
		t.Helper()
		b := &brokenStore{Store: &memory.Store{IdleTimeout: testIdle, AbsoluteTimeout: testAbsolute}}
		b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
			held.Lock()
			Step(ctx)
			Step(ctx)
			held.TryLock()
			held.Unlock()
			return b.Store.Rotate(ctx, token, grace)
		}
		return b
	}
	_ = e.one(t, "rotate rotate")
	select {
	case why := <-told:
		if !strings.Contains(why, `"rotate rotate"`) || !strings.Contains(why, "Rotate") {
			t.Errorf("got %q, want the burst and the call", why)
		}
	default:
		t.Error("nobody noticed")
	}
}
