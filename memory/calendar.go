package memory

import "time"

// A calendar knows which records may have expired without looking at all of
// them: every record is in the list of the slot in which its deadline lay when
// it was put there. A refresh does not move it; when its slot is due it is
// either expired or put into the slot of its new deadline.
type calendar struct {
	slots map[int64]*record
	swept int64 // slots before this one are empty
}

// slotWidth is how long after its deadline a record may keep its memory, if
// there are calls to sweep it.
const slotWidth = int64(250 * time.Millisecond)

func (c *calendar) add(r *record, deadline int64) {
	if c.slots == nil {
		c.slots = make(map[int64]*record)
	}
	r.due = max(deadline/slotWidth, c.swept)
	first := c.slots[r.due]
	r.previous, r.later = nil, first
	if first != nil {
		first.previous = r
	}
	c.slots[r.due] = r
}

func (c *calendar) remove(r *record) {
	switch {
	case r.previous != nil:
		r.previous.later = r.later
	case r.later != nil:
		c.slots[r.due] = r.later
	default:
		delete(c.slots, r.due)
	}
	if r.later != nil {
		r.later.previous = r.previous
	}
	r.later, r.previous = nil, nil
}

// due returns a record whose slot has ended by now, or nil. It skips at most
// *budget slots and takes them off it.
func (c *calendar) next(now int64, budget *int) *record {
	for current := now / slotWidth; c.swept < current && *budget > 0; {
		if len(c.slots) == 0 {
			c.swept = current
			return nil
		}
		if r := c.slots[c.swept]; r != nil {
			return r
		}
		c.swept++
		*budget--
	}
	return nil
}
