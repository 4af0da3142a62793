package memory

import (
	"container/list"

	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// A record is a session in the store. Its shard's lock guards the fields that may
// change.
//
// If the session has a user, the lock of the [userShard] alone guards listed and evicted. A
// change of seen or login needs both locks, so either lock is enough to read them.
type record struct {
	data      string // the id followed by the values, in one allocation
	secrets   token.Secrets
	created   int64         // never changes; all times are nanoseconds since the store's start
	seen      int64         // the last Refresh or login
	login     *login        // nil: no user, for the whole life of the record
	listed    *list.Element // in the sessions of its user
	idLen     uint8         // never changes
	dead      bool          // removed; no call writes to it any more
	evicted   bool          // a login did not count it, so no call may prolong it; it will soon be dead
	heapIndex int32         // in the expiryHeap
	next      *record       // in the table, if another id has the same hash
}

func (r *record) id() string { return r.data[:r.idLen] }

func (r *record) values() values.Block { return values.Block(r.data[r.idLen:]) }

// rotated returns the time when the present secret was made.
func (r *record) rotated() int64 {
	at, ok := r.secrets.Replaced()
	switch {
	case ok:
		return at
	case r.login != nil:
		return r.login.at
	}
	return r.created
}
