package memory

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// A shard is a part of the store with a lock of its own.
type shard struct {
	store *Store // never changes, like index
	index uint32
	calls atomic.Uint32

	mu       sync.Mutex // guards the fields below; a login takes two of these locks, the smaller index first
	table    table
	calendar calendar

	// idleUntil is the earliest time at which the calendar may have work. It can be read
	// without the lock.
	idleUntil atomic.Int64
}

// sweepBudget is the maximum number of records that one call checks for expiry.
const sweepBudget = 1024

// roomBudget is the maximum number of records that a call checks if the store is full.
const roomBudget = 16 * sweepBudget

// Sweep removes all expired sessions and returns their number. Expiry does not depend on
// it. Call it on a schedule if the store may be unused for long and its memory matters.
// Other calls can run meanwhile.
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
			budget := sweepBudget // then other calls get the lock
			n, done = st.sweepOnce(sh, now, &budget)
			removed += n
		}
		all := math.MaxInt
		removed += st.sweepSlot(sh, now, &all)
	}
	return removed
}

// tidy does this call's share of the sweeping. Each call takes the next shard. The
// caller holds no lock.
func (st *Store) tidy(sh *shard, now int64) {
	other := &st.shards[(sh.index+sh.calls.Add(1))%shardCount]
	if other.idleUntil.Load() <= now {
		budget := sweepBudget
		st.sweepOnce(other, now, &budget)
	}
}

// sweepOnce removes expired records of slots that have ended, and old revocations. It
// checks at most budget of them. done reports that nothing is left to check.
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

// sweepSlot removes expired records of the present slot, which sweepOnce does not check.
// It checks at most budget records.
func (st *Store) sweepSlot(sh *shard, now int64, budget *int) (removed int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	// Backward, because a removal moves the last record into the gap.
	for _, r := range slices.Backward(sh.calendar.slots[now/st.slot]) {
		if *budget--; *budget < 0 {
			break
		}
		switch slot := st.slotOf(r, now); {
		case now >= st.deadline(r):
			st.drop(sh, r)
			removed++
		case slot != r.due: // refreshed: the next call need not check it again
			sh.calendar.remove(r)
			sh.calendar.add(r, slot)
		}
	}
	return removed
}

// makeRoom removes expired sessions from a full store and reports whether it found any.
// It checks at most roomBudget records, and starts in a different shard each time.
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
