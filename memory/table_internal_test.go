package memory

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/lifetime"
)

func named(id string) *record { return &record{data: id, idLen: uint8(len(id))} }

// TestTable holds the table against a map, through growth and decline.
func TestTable(t *testing.T) {
	seed := maphash.MakeSeed()
	hash := func(id string) uint64 { return maphash.String(seed, id) }
	random := rand.New(rand.NewPCG(1, 2))
	var tab table
	model := make(map[string]*record)
	add := func(id string) {
		r := named(id)
		tab.add(hash(id), r, hash)
		model[id] = r
	}
	remove := func(id string) {
		tab.remove(hash(id), model[id])
		delete(model, id)
	}
	check := func() {
		t.Helper()
		if tab.count != len(model) {
			t.Fatalf("count: got %d, want %d", tab.count, len(model))
		}
		for id, want := range model {
			if got := tab.find(hash(id), id); got != want {
				t.Fatalf("%s of %d: got %v, want the record", id, len(model), got)
			}
		}
		if spare := len(tab.segments)*len(segment{}) - max(2*tab.count, tab.buckets); spare > len(segment{}) {
			t.Fatalf("%d records in %d segments", tab.count, len(tab.segments))
		}
	}
	if tab.find(hash("x"), "x") != nil {
		t.Fatal("an empty table finds something")
	}
	next := 0
	for _, n := range []int{1, 0, 2, 1, 65, 3, 5000, 4000, 100, 0, 300, 0} {
		for len(model) < n {
			add(fmt.Sprint(next))
			next++
			if random.IntN(3) == 0 && len(model) > 0 {
				for id := range model {
					remove(id)
					break
				}
			}
		}
		for len(model) > n {
			for id := range model {
				remove(id)
				break
			}
		}
		check()
		if tab.find(hash("absent"), "absent") != nil {
			t.Fatal("an absent id is found")
		}
	}
	if len(tab.segments) != 0 {
		t.Errorf("an empty table keeps %d segments", len(tab.segments))
	}
}

// TestTableCollisions: ids of one hash are told apart.
func TestTableCollisions(t *testing.T) {
	hash := func(string) uint64 { return 7 }
	var tab table
	records := make([]*record, 200)
	for i := range records {
		records[i] = named(fmt.Sprint(i))
		tab.add(7, records[i], hash)
	}
	for i, r := range records {
		if i%2 == 0 {
			tab.remove(7, r)
		}
	}
	for i, r := range records {
		want := r
		if i%2 == 0 {
			want = nil
		}
		if got := tab.find(7, r.id()); got != want {
			t.Fatalf("%s: got %v", r.id(), got)
		}
	}
}

// TestBoundedWork: a call looks at no more than its budget, and all calls
// together leave nothing behind.
func TestBoundedWork(t *testing.T) {
	const n = 20_000
	st := &Store{IdleTimeout: time.Hour}
	for i := range n {
		if _, err := st.Generate(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	later := st.idle + int64(time.Hour)
	for i := range st.shards {
		sh := &st.shards[i]
		before := sh.table.count
		budget := 10
		removed, done := st.sweepOnce(sh, later, &budget)
		if removed > 10 || done || sh.table.count != before-removed {
			t.Fatalf("a budget of 10: removed %d of %d, done %t", removed, before, done)
		}
	}
	// The calls of one visitor sweep every shard, not its own only.
	own, _ := st.shard("visitor")
	calls := 0
	for ; st.live.Load() > 0; calls++ {
		if calls > 10*shardCount {
			t.Fatalf("%d sessions are left after %d calls", st.live.Load(), calls)
		}
		st.tidy(own, later)
	}
	if calls < n/sweepBudget {
		t.Errorf("%d calls removed %d sessions, more than %d each", calls, n, sweepBudget)
	}
	for i := range st.shards {
		if sh := &st.shards[i]; len(sh.table.segments) != 0 || len(sh.calendar.slots) != 0 {
			t.Fatal("an empty shard keeps memory")
		}
	}
}

// TestCalendar: what is due comes in its turn, however long nobody called.
func TestCalendar(t *testing.T) {
	var c calendar
	soon, late := named("soon"), named("late")
	c.add(soon, 0)
	c.add(late, 1_000_000)
	due := func(present int64) *record {
		budget := 1
		return c.next(present, &budget)
	}
	if r := due(0); r != nil {
		t.Errorf("in the first slot: got %s", r.id())
	}
	for _, present := range []int64{1, 900_000, 2_000_000} {
		if r := due(present); r != soon {
			t.Errorf("in slot %d: got %v, want soon", present, r)
		}
	}
	c.remove(soon)
	if r := due(1_000_000); r != nil {
		t.Errorf("in its slot: got %s", r.id())
	}
	if r := due(1_000_001); r != late {
		t.Errorf("after its slot: got %v, want late", r)
	}
	c.remove(late)
	if r := due(1_000_001); r != nil || len(c.slots)+len(c.order) != 0 {
		t.Error("an empty calendar keeps slots")
	}
}

// TestCalendarOrder: any number of records in any order, several in a slot, and
// removal from the middle of them.
func TestCalendarOrder(t *testing.T) {
	var c calendar
	random := rand.New(rand.NewPCG(3, 4))
	records := make([]*record, 1000)
	for i := range records {
		records[i] = new(record)
		c.add(records[i], int64(random.IntN(50)))
	}
	left := len(records)
	for i := range records {
		if i%3 == 0 {
			c.remove(records[i])
			left--
		}
	}
	last := int64(0)
	for budget := 10_000; ; left-- {
		r := c.next(1000, &budget)
		if r == nil {
			break
		}
		if r.due < last {
			t.Fatal("a later slot came first")
		}
		last = r.due
		c.remove(r)
	}
	if left != 0 {
		t.Errorf("%d records did not come, want 0", left)
	}
}

// TestSlots: a slot is short, but no timeout is very many of them, because a slot
// from which all were removed stays until it ends.
func TestSlots(t *testing.T) {
	for _, idle := range []time.Duration{time.Millisecond, 30 * time.Minute, 12 * time.Hour, lifetime.Max} {
		width := time.Duration(slotWidth(idle))
		if width < minSlot || idle/width > maxSlots || width > max(minSlot, idle/1000) {
			t.Errorf("idle %v: slots of %v", idle, width)
		}
	}
}

// TestFullStoreLooksOnce: finding no room is bounded, and records that were
// refreshed are not looked at again.
func TestFullStoreLooksOnce(t *testing.T) {
	const n = 5000
	st := &Store{IdleTimeout: time.Hour, MaxSessions: n}
	for i := range n {
		if _, err := st.Generate(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if err := st.Refresh(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	// All are as if refreshed just before their first deadline.
	present := st.idle / st.slot
	now := (present+1)*st.slot - 1 // the slot of that deadline has not ended
	for i := range st.shards {
		for _, slot := range st.shards[i].calendar.slots {
			for _, r := range slot {
				r.seen = st.idle
			}
		}
	}
	own, _ := st.shard("visitor")
	if st.makeRoom(own, now) {
		t.Fatal("a live session made room")
	}
	for i := range st.shards {
		for due, slot := range st.shards[i].calendar.slots {
			if due <= present && len(slot) > 0 {
				t.Fatal("a refreshed record is still where it will be looked at again")
			}
		}
	}
}
