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
		tab.add(hash(id), r)
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
		if tab.byHash.most > 4*tab.count+8 {
			t.Fatalf("%d records have the memory of %d", tab.count, tab.byHash.most)
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
}

// TestTableCollisions: ids of one hash are told apart.
func TestTableCollisions(t *testing.T) {
	var tab table
	records := make([]*record, 200)
	for i := range records {
		records[i] = named(fmt.Sprint(i))
		tab.add(7, records[i])
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
		if sh := &st.shards[i]; sh.table.byHash.most > 8 || cap(sh.expiry) > 8 {
			t.Fatal("an empty shard keeps memory")
		}
	}
}

// TestExpiryHeap: records come in the order of their checks, after additions, removals
// and moves in any order, and memory follows the number of records.
func TestExpiryHeap(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var h expiryHeap
	var in []*record
	for range 20 {
		for range random.IntN(1000) {
			in = append(in, new(record))
			h.add(in[len(in)-1], random.Int64N(50))
		}
		for range random.IntN(1000) {
			if len(in) == 0 {
				break
			}
			if i := random.IntN(len(in)); random.IntN(2) == 0 {
				h.move(in[i], random.Int64N(50))
			} else {
				h.remove(in[i])
				in[i] = in[len(in)-1]
				in = in[:len(in)-1]
			}
		}
		if len(h) != len(in) {
			t.Fatalf("got %d records, want %d", len(h), len(in))
		}
	}
	last := int64(0)
	for n := len(in); n > 0; n-- {
		first := h[0]
		if first.at < last {
			t.Fatal("a later record came first")
		}
		last = first.at
		if h.remove(first.record); cap(h) > 4*len(h)+8 {
			t.Fatalf("%d records have the memory of %d", len(h), cap(h))
		}
	}
	if len(h) != 0 {
		t.Errorf("%d records did not come, want 0", len(h))
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
	now := st.now() + st.idle
	for i := range st.shards {
		for _, check := range st.shards[i].expiry {
			check.record.seen = now - 1
		}
	}
	own, _ := st.shard("visitor")
	if st.makeRoom(own, now) {
		t.Fatal("a live session made room")
	}
	for i := range st.shards {
		for _, check := range st.shards[i].expiry {
			if check.at <= now {
				t.Fatal("a refreshed record is still where it will be looked at again")
			}
		}
	}
}
