package memory

import "container/heap"

// An expiryHeap has the record that has to be checked for expiry first at index 0. A
// record is checked at the deadline that it had when it was added or last checked. A
// refresh does not move it, so a refresh costs nothing here.
type expiryHeap []*record

func (h *expiryHeap) add(r *record, checkAt int64) {
	r.checkAt = checkAt
	heap.Push(h, r)
}

func (h *expiryHeap) move(r *record, checkAt int64) {
	r.checkAt = checkAt
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
func (h *expiryHeap) Less(i, j int) bool { return (*h)[i].checkAt < (*h)[j].checkAt }

// Swap implements [heap.Interface].
func (h *expiryHeap) Swap(i, j int) {
	a, b := (*h)[i], (*h)[j]
	(*h)[i], (*h)[j] = b, a
	a.heapIndex, b.heapIndex = b.heapIndex, a.heapIndex
}

// Push implements [heap.Interface].
func (h *expiryHeap) Push(x any) {
	r := x.(*record)             //nolint:forcetypeassert // only add pushes
	r.heapIndex = int32(len(*h)) //nolint:gosec // a shard holds no two thousand million records
	*h = append(*h, r)
}

// Pop implements [heap.Interface].
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return r
}
