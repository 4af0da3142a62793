package sealed

import (
	"slices"
	"time"

	"github.com/mist-contrib/session"
)

// A Revocation ends sessions of users before their deadline: the session of one id, or all
// sessions of a user. A program that stores Revocations must keep all of an id or user until
// the latest of their Until times. A session that one of them ended may have been prolonged by
// the login that caused a later one.
type Revocation struct {
	// ID is the session that ends. Empty: User selects the sessions.
	ID string

	// User is the user whose sessions end, if ID is empty.
	User string

	// Before limits the Revocation to seals whose AuthenticatedAt is earlier. Zero: all seals.
	Before time.Time

	// Except lists ids of the user's sessions that do not end.
	Except []string

	// Until is when the last of these sessions reaches its deadline. After that, the Revocation
	// can be forgotten.
	Until time.Time
}

// Ends reports whether the Revocation ends a session. A session has ended if any remembered
// Revocation ends it.
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
