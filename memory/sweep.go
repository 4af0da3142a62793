package memory

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A shard is a part of the store with a lock of its own.
type shard struct {
	store *Store // never changes, nor does index
	index uint32
	calls atomic.Uint32

	mu       sync.Mutex // guards what follows
	table    table
	calendar calendar

	// idleUntil is when the calendar may next have something due; it can be
	// read without the lock.
	idleUntil atomic.Int64
}

// sweepBudget is how many records one call looks at, at most, to remove those
// that have expired.
const sweepBudget = 1024

// Sweep removes all sessions that have expired and returns how many. Nothing
// depends on it being called; call it on a schedule where a store may go without
// any calls for long and its memory matters. Other calls go on meanwhile.
func (st *Store) Sweep() int {
	if st.Check() != nil {
		return 0
	}
	now := int64(time.Since(st.start))
	removed := 0
	for i := range st.shards {
		sh := &st.shards[i]
		for done := false; !done; {
			var n int
			n, done = st.sweepOnce(sh, now, sweepBudget)
			removed += n
		}
		removed += st.sweepSlot(sh, now)
	}
	return removed
}

// tidy does this call's share of the sweeping, in a shard that changes from call
// to call. The caller holds no lock.
func (st *Store) tidy(sh *shard, now int64) {
	other := &st.shards[(sh.index+sh.calls.Add(1))%shardCount]
	if other.idleUntil.Load() <= now {
		st.sweepOnce(other, now, sweepBudget)
	}
}

// sweepOnce removes what has expired in slots that have ended, looking at no
// more than budget records. done: there was no more to look at.
func (st *Store) sweepOnce(sh *shard, now int64, budget int) (removed int, done bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for ; budget > 0; budget-- {
		r := sh.calendar.next(now, &budget)
		if r == nil {
			break
		}
		if now >= st.deadline(r) {
			st.drop(sh, r)
			removed++
			continue
		}
		sh.calendar.remove(r)
		sh.calendar.add(r, st.deadline(r))
	}
	if budget > 0 {
		sh.idleUntil.Store((now/slotWidth + 1) * slotWidth)
	}
	return removed, budget > 0
}

// sweepSlot removes what has expired in the slot that has not ended yet, of
// which sweepOnce knows nothing.
func (st *Store) sweepSlot(sh *shard, now int64) (removed int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	// From the end, because what is dropped leaves its place to the last.
	for _, r := range slices.Backward(sh.calendar.slots[now/slotWidth]) {
		if now >= st.deadline(r) {
			st.drop(sh, r)
			removed++
		}
	}
	return removed
}

// makeRoom removes expired sessions from a full store, as few shards as it
// takes, and reports whether there were any.
func (st *Store) makeRoom(now int64) bool {
	for i := range st.shards {
		sh := &st.shards[i]
		for done := false; !done; {
			var n int
			if n, done = st.sweepOnce(sh, now, sweepBudget); n > 0 {
				return true
			}
		}
		if st.sweepSlot(sh, now) > 0 {
			return true
		}
	}
	return false
}
