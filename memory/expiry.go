package memory

import (
	"container/heap"
	"math"
)

// An expiryHeap holds at index 0 the record to check for expiry next. A
// record is checked at the deadline that it had when it was added or last checked. A
// refresh does not move it, so a refresh costs nothing here.
type expiryHeap []expiryCheck

type expiryCheck struct {
	at     int64
	record *record
}

func (h *expiryHeap) add(r *record, at int64) {
	heap.Push(h, r)
	h.move(r, at)
}

func (h *expiryHeap) move(r *record, at int64) {
	(*h)[r.heapIndex].at = at
	heap.Fix(h, int(r.heapIndex))
}

// remove removes a record. After three of four have gone, it frees their memory.
func (h *expiryHeap) remove(r *record) {
	heap.Remove(h, int(r.heapIndex))
	if size := len(*h); cap(*h) > 4*size+8 {
		*h = append(make(expiryHeap, 0, size), *h...)
	}
}

// Len implements [heap.Interface].
func (h *expiryHeap) Len() int { return len(*h) }

// Less implements [heap.Interface].
func (h *expiryHeap) Less(i, j int) bool { return (*h)[i].at < (*h)[j].at }

// Swap implements [heap.Interface].
func (h *expiryHeap) Swap(i, j int) {
	a, b := &(*h)[i], &(*h)[j]
	*a, *b = *b, *a
	a.record.heapIndex, b.record.heapIndex = b.record.heapIndex, a.record.heapIndex
}

// Push implements [heap.Interface]. It adds a record behind all others.
func (h *expiryHeap) Push(x any) {
	r := x.(*record)             //nolint:forcetypeassert // only add pushes
	r.heapIndex = int32(len(*h)) //nolint:gosec // a shard holds no two thousand million records
	*h = append(*h, expiryCheck{math.MaxInt64, r})
}

// Pop implements [heap.Interface]. Nothing uses its result.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	(*h)[last].record = nil
	*h = (*h)[:last]
	return nil
}
