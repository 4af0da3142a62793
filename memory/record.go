package memory

import (
	"container/list"

	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// A record is a session in the store. Its shard's lock guards it, but for what
// never changes.
//
// Of one that a user has, entry and evicted are guarded by the lock of the
// [users] alone; seen and login change under both locks, so that either is
// enough to read them.
type record struct {
	data    string // the id and behind it the values, one piece of memory
	secrets token.Secrets
	created int64         // never changes; all times are nanoseconds since the store's start
	seen    int64         // the last Refresh or login
	login   *login        // whose it is; nil: nobody's, for its whole life
	entry   *list.Element // among the sessions of its account
	idLen   uint8         // never changes
	dead    bool          // removed: nobody writes to it any more
	evicted bool          // a login did not count it, so nothing may prolong it; soon dead
	place   int32         // in its slot of the calendar
	due     int64         // its slot of the calendar
	next    *record       // in its bucket of the table
}

func (r *record) id() string { return r.data[:r.idLen] }

func (r *record) values() values.Block { return values.Block(r.data[r.idLen:]) }

// rotated is when the present secret was made.
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
