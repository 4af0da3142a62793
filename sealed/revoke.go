package sealed

import (
	"slices"
	"time"

	"github.com/mist-contrib/session"
)

// A Revocation ends sessions of users before their time: that of an id, or all of a user.
// Whoever keeps them keeps all of one id, or user, until the latest Until of these: a session
// that one of them ended may have been prolonged by the login that told of another.
type Revocation struct {
	// ID is the session that ends. Empty: User says which.
	ID string

	// User is whose sessions end, where ID is empty.
	User string

	// Before is when: seals whose AuthenticatedAt is before it end. Zero: all of them.
	Before time.Time

	// Except are ids of the user that do not end.
	Except []string

	// Until is when the last session that this is about has ended by itself, so that
	// nobody needs to remember the Revocation.
	Until time.Time
}

// Ends reports whether the Revocation ends a session. A session has ended if any
// Revocation that is remembered ends it.
func (r *Revocation) Ends(info session.Info) bool {
	switch {
	case r.ID != "":
		if info.ID != r.ID {
			return false
		}
	case info.User != r.User || slices.Contains(r.Except, info.ID):
		return false
	}
	return r.Before.IsZero() || info.AuthenticatedAt.Before(r.Before)
}
