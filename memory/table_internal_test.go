package memory

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"testing"
	"time"
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
		removed, done := st.sweepOnce(sh, later, 10)
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
	day := int64(24 * time.Hour)
	soon, late := named("soon"), named("late")
	c.add(soon, 1)
	c.add(late, 30*day)
	due := func(now int64) *record {
		budget := 1
		return c.next(now, &budget)
	}
	if r := due(slotWidth - 1); r != nil {
		t.Errorf("before the end of the first slot: got %s", r.id())
	}
	for _, now := range []int64{slotWidth, 20 * day, 40 * day} {
		if r := due(now); r != soon {
			t.Errorf("at %d: got %v, want soon", now, r)
		}
	}
	c.remove(soon)
	if r := due(29 * day); r != nil {
		t.Errorf("before its slot: got %s", r.id())
	}
	if r := due(31 * day); r != late {
		t.Errorf("after its slot: got %v, want late", r)
	}
	c.remove(late)
	if r := due(31 * day); r != nil || len(c.slots)+len(c.order) != 0 {
		t.Error("an empty calendar keeps slots")
	}
}

// TestCalendarOrder: any number of records in any order, lists of several
// records in a slot, and removal from the middle of them.
func TestCalendarOrder(t *testing.T) {
	var c calendar
	random := rand.New(rand.NewPCG(3, 4))
	records := make([]*record, 1000)
	for i := range records {
		records[i] = &record{seen: int64(random.IntN(100)) * slotWidth / 2}
		c.add(records[i], records[i].seen)
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
		r := c.next(1000*slotWidth, &budget)
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
