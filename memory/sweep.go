package memory

import (
	"sync"
	"sync/atomic"
	"time"
)

// A shard is a part of the store with a lock of its own.
type shard struct {
	store *Store // never changes, like index
	index uint32
	calls atomic.Uint32

	mu     sync.Mutex // guards the fields below; a login takes two of these locks, the smaller index first
	table  table
	expiry expiryHeap

	// sweepAt is when the next call has to sweep. It can be read without the lock.
	sweepAt atomic.Int64
}

func (sh *shard) add(hash uint64, r *record) {
	sh.table.add(hash, r)
	sh.expiry.add(r, sh.store.deadline(r))
}

const (
	// sweepPause is how long calls do not sweep a shard after one has swept all of it.
	// A record may keep its memory that long after its deadline.
	sweepPause = int64(250 * time.Millisecond)

	// sweepBudget is the maximum number of records that one call checks for expiry.
	sweepBudget = 512

	// roomBudget is the maximum number of records that a call checks if the store is full.
	roomBudget = 32 * sweepBudget
)

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
		for done := false; !done; {
			var n int
			budget := sweepBudget // then other calls get the lock
			n, done = st.sweepOnce(&st.shards[i], now, &budget)
			removed += n
		}
	}
	return removed
}

// tidy does this call's share of the sweeping. Each call takes the next shard. The
// caller holds no lock.
func (st *Store) tidy(sh *shard, now int64) {
	other := &st.shards[(sh.index+sh.calls.Add(1))%shardCount]
	if other.sweepAt.Load() <= now {
		budget := sweepBudget
		st.sweepOnce(other, now, &budget)
	}
}

// sweepOnce removes expired records and old revocations. It checks at most budget of
// them. done reports that nothing is left to check.
func (st *Store) sweepOnce(sh *shard, now int64, budget *int) (removed int, done bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for ; *budget > 0 && len(sh.expiry) > 0 && sh.expiry[0].at <= now; *budget-- {
		r := sh.expiry[0].record
		if deadline := st.deadline(r); now < deadline {
			sh.expiry.move(r, deadline)
			continue
		}
		st.drop(sh, r)
		removed++
	}
	st.users[sh.index].forget(now, budget)
	if *budget > 0 {
		sh.sweepAt.Store(now + sweepPause)
	}
	return removed, *budget > 0
}

// makeRoom removes expired sessions from a full store and reports whether it found any.
// It checks at most roomBudget records, and starts in a different shard each time.
func (st *Store) makeRoom(own *shard, now int64) bool {
	budget := roomBudget
	first := own.index + own.calls.Add(1)
	for i := range uint32(shardCount) {
		sh := &st.shards[(first+i)%shardCount]
		removed, _ := st.sweepOnce(sh, now, &budget)
		if removed > 0 || budget <= 0 {
			return removed > 0
		}
	}
	return false
}
