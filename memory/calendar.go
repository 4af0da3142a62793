package memory

import (
	"container/heap"
	"time"
)

// A calendar finds expired records without looking at all records. Each record is in the
// slot that contained its deadline when it was added, or in an earlier slot. A login
// moves the record; a refresh does not. When a slot has ended, each of its records is
// removed if it has expired, or moved to a new slot.
type calendar struct {
	slots map[int64][]*record // in no order; empty slots stay until they end
	order slotHeap            // the existing slots, each once
}

// A slot is as long as a record may keep its memory after its deadline, if calls come
// that sweep it. A slot stays until it ends, so no timeout of a store is longer than
// maxSlots.
const (
	minSlot  = 250 * time.Millisecond
	maxSlots = 4096
)

func slotWidth(idle time.Duration) int64 {
	return int64(max(minSlot, idle/maxSlots))
}

// slotOf returns the slot for a record's deadline, but at most one idle timeout of the
// store ahead. A login may have a longer idle timeout. The calendar then checks the
// record in between and moves it on.
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

// remove removes a record and moves the last record of its slot into its place.
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

// next returns a record of a slot before the present one, or nil. It drops empty slots
// that have ended, at one unit of budget each.
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
		*c = calendar{} // a Go map never shrinks
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

// Push implements [heap.Interface].
func (h *slotHeap) Push(slot any) { *h = append(*h, slot.(int64)) } //nolint:forcetypeassert // only add pushes

// Pop implements [heap.Interface].
func (h *slotHeap) Pop() any {
	last := len(*h) - 1
	slot := (*h)[last]
	*h = (*h)[:last]
	return slot
}
