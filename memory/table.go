package memory

import "math/bits"

// A table finds records by id. It is a linear hash table: it grows and shrinks by a
// bucket or two at a time. So no call pays for moving the whole table, and the table
// frees memory that it does not need. A Go map does neither.
type table struct {
	segments []*segment
	buckets  int // in use, of all segments
	count    int
}

type segment [64]*record

func (t *table) bucket(i int) **record {
	return &t.segments[i/len(segment{})][i%len(segment{})]
}

// index returns the bucket of a hash in a table of n buckets. The bucket is the low bits
// of the hash, or one bit fewer if that bucket is not in use yet.
func index(hash uint64, n int) int {
	size := ceil(n)
	i := int(hash & uint64(size-1)) //nolint:gosec // below size
	if i >= n {
		i -= size / 2
	}
	return i
}

// ceil returns the smallest power of two that is at least n.
func ceil(n int) int {
	return 1 << bits.Len(uint(n-1))
}

func (t *table) find(hash uint64, id string) *record {
	if t.buckets == 0 {
		return nil
	}
	r := *t.bucket(index(hash, t.buckets))
	for r != nil && r.id() != id {
		r = r.next
	}
	return r
}

// add adds a record that is not in the table. The function rehash returns the hash of an
// id.
func (t *table) add(hash uint64, r *record, rehash func(id string) uint64) {
	if t.count >= t.buckets {
		t.grow(rehash)
	}
	head := t.bucket(index(hash, t.buckets))
	r.next, *head = *head, r
	t.count++
}

// remove removes a record that is in the table.
func (t *table) remove(hash uint64, r *record) {
	at := t.bucket(index(hash, t.buckets))
	for *at != r {
		at = &(*at).next
	}
	*at, r.next = r.next, nil
	t.count--
	// Give up two buckets at a time: with one, the buckets would fall behind.
	for n := 0; n < 2 && 2*t.count < t.buckets; n++ {
		t.shrink()
	}
}

// grow adds a bucket and moves the records that belong to it.
func (t *table) grow(rehash func(id string) uint64) {
	if t.buckets == len(t.segments)*len(segment{}) {
		t.segments = append(t.segments, new(segment))
	}
	t.buckets++
	if t.buckets == 1 {
		return
	}
	mine := t.buckets - 1
	to := t.bucket(mine)
	for at := t.bucket(mine - ceil(t.buckets)/2); *at != nil; {
		r := *at
		if index(rehash(r.id()), t.buckets) != mine {
			at = &r.next
			continue
		}
		*at = r.next
		r.next, *to = *to, r
	}
}

// shrink removes the last bucket and moves its records back to the bucket they came
// from.
func (t *table) shrink() {
	last := t.bucket(t.buckets - 1)
	r := *last
	*last = nil
	t.buckets--
	if t.buckets > 0 {
		at := t.bucket(t.buckets - ceil(t.buckets+1)/2)
		for *at != nil {
			at = &(*at).next
		}
		*at = r
	}
	if spare := (t.buckets + len(segment{}) - 1) / len(segment{}); spare < len(t.segments) {
		t.segments[spare] = nil
		t.segments = t.segments[:spare]
	}
}
