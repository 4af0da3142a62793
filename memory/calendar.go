package memory

import (
	"container/heap"
	"time"
)

// A calendar knows which records may have expired without looking at all of
// them: every record is in the slot in which its deadline lay when it was put
// there, or in one before it. A refresh does not move it, a login does; when its
// slot has ended it is either expired or put into a new one.
type calendar struct {
	slots map[int64][]*record // in no order; empty ones stay until they end
	order slotHeap            // the slots there are, each once
}

// A slot is as long as a record may keep its memory after its deadline, if there
// are calls to sweep it; and no timeout of a store is more than maxSlots long,
// because a slot stays until it ends.
const (
	minSlot  = 250 * time.Millisecond
	maxSlots = 4096
)

func slotWidth(idle time.Duration) int64 {
	return int64(max(minSlot, idle/maxSlots))
}

// slotOf is the slot of a record: that of its deadline, but none that is further
// away than the store's idle timeout, because a login may have a longer one. Such
// a record is looked at in between, and moved on.
func (st *Store) slotOf(r *record, now int64) int64 {
	return min(st.deadline(r), now+max(st.idle, st.slot)) / st.slot
}

func (c *calendar) add(r *record, slot int64) {
	if c.slots == nil {
		c.slots = make(map[int64][]*record)
	}
	records, known := c.slots[slot]
	if !known {
		heap.Push(&c.order, slot)
	}
	r.due, r.place = slot, int32(len(records)) //nolint:gosec // a slot of a shard holds no two thousand million
	c.slots[slot] = append(records, r)
}

// remove takes out a record; the last of its slot takes its place.
func (c *calendar) remove(r *record) {
	slot := c.slots[r.due]
	last := len(slot) - 1
	slot[r.place] = slot[last]
	slot[r.place].place = r.place
	slot[last] = nil
	if slot = slot[:last]; last == 0 {
		slot = nil
	}
	c.slots[r.due] = slot
}

// next returns a record of a slot before the present one, or nil. It gives up
// empty slots that have ended, for a unit of budget each.
func (c *calendar) next(present int64, budget *int) *record {
	for len(c.order) > 0 && c.order[0] < present && *budget > 0 {
		if slot := c.slots[c.order[0]]; len(slot) > 0 {
			return slot[len(slot)-1]
		}
		delete(c.slots, c.order[0])
		heap.Pop(&c.order)
		*budget--
	}
	if len(c.order) == 0 {
		*c = calendar{} // a map that was large once
	}
	return nil
}

// A slotHeap has the earliest slot first, see [container/heap].
//
//nolint:recvcheck // the receivers that the interface is used with
type slotHeap []int64

func (h slotHeap) Len() int           { return len(h) }
func (h slotHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h slotHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is for package heap.
func (h *slotHeap) Push(slot any) { *h = append(*h, slot.(int64)) } //nolint:forcetypeassert // only add pushes

// Pop is for package heap.
func (h *slotHeap) Pop() any {
	last := len(*h) - 1
	slot := (*h)[last]
	*h = (*h)[:last]
	return slot
}
