package memory

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// A shard is a part of the store with a lock of its own.
type shard struct {
	store *Store // never changes, nor does index
	index uint32
	calls atomic.Uint32

	mu       sync.Mutex // guards what follows; a login takes two, that of the smaller index first
	table    table
	calendar calendar

	// idleUntil is when the calendar may next have something due; it can be
	// read without the lock.
	idleUntil atomic.Int64
}

// sweepBudget is how many records one call looks at, at most, to remove those
// that have expired.
const sweepBudget = 1024

// roomBudget is how many a call looks at that finds the store full.
const roomBudget = 16 * sweepBudget

// Sweep removes all sessions that have expired and returns how many. Nothing
// depends on it being called; call it on a schedule where a store may go without
// any calls for long and its memory matters. Other calls go on meanwhile.
func (st *Store) Sweep() int {
	if st.Check() != nil {
		return 0
	}
	now := st.now()
	removed := 0
	for i := range st.shards {
		sh := &st.shards[i]
		for done := false; !done; {
			var n int
			budget := sweepBudget // then others get the lock
			n, done = st.sweepOnce(sh, now, &budget)
			removed += n
		}
		all := math.MaxInt
		removed += st.sweepSlot(sh, now, &all)
	}
	return removed
}

// tidy does this call's share of the sweeping, in a shard that changes from call
// to call. The caller holds no lock.
func (st *Store) tidy(sh *shard, now int64) {
	other := &st.shards[(sh.index+sh.calls.Add(1))%shardCount]
	if other.idleUntil.Load() <= now {
		budget := sweepBudget
		st.sweepOnce(other, now, &budget)
	}
}

// sweepOnce removes what has expired in slots that have ended, and revocations
// that are old, looking at no more than budget of them. done: there was no more
// to look at.
func (st *Store) sweepOnce(sh *shard, now int64, budget *int) (removed int, done bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for *budget > 0 {
		r := sh.calendar.next(now/st.slot, budget)
		if r == nil {
			break
		}
		*budget--
		if now >= st.deadline(r) {
			st.drop(sh, r)
			removed++
			continue
		}
		sh.calendar.remove(r)
		sh.calendar.add(r, st.slotOf(r, now))
	}
	st.users[sh.index].forget(now, budget)
	if *budget > 0 {
		sh.idleUntil.Store((now/st.slot + 1) * st.slot)
	}
	return removed, *budget > 0
}

// sweepSlot removes what has expired in the slot that has not ended yet, of
// which sweepOnce knows nothing. It looks at no more than budget records.
func (st *Store) sweepSlot(sh *shard, now int64, budget *int) (removed int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	// From the end, because what leaves gives its place to the last.
	for _, r := range slices.Backward(sh.calendar.slots[now/st.slot]) {
		if *budget--; *budget < 0 {
			break
		}
		switch slot := st.slotOf(r, now); {
		case now >= st.deadline(r):
			st.drop(sh, r)
			removed++
		case slot != r.due: // refreshed: the next call need not look again
			sh.calendar.remove(r)
			sh.calendar.add(r, slot)
		}
	}
	return removed
}

// makeRoom looks for expired sessions in a full store and reports whether it
// removed any. It looks at roomBudget records at most, and begins in another
// shard each time.
func (st *Store) makeRoom(own *shard, now int64) bool {
	budget := roomBudget
	first := own.index + own.calls.Add(1)
	for i := range uint32(shardCount) {
		sh := &st.shards[(first+i)%shardCount]
		removed, _ := st.sweepOnce(sh, now, &budget)
		removed += st.sweepSlot(sh, now, &budget)
		if removed > 0 || budget <= 0 {
			return removed > 0
		}
	}
	return false
}
