package sealed

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// Revocations remembers in memory which sessions of users have ended:
//
//	var ended sealed.Revocations
//	store := &sealed.Store{Keys: keys, Revoked: ended.Revoked, Revoke: ended.Revoke}
//
// The zero value is ready to use, and safe for concurrent use. Revocations serves one process
// and ends with it: after a restart, an ended session is alive again until its deadline.
// docs/stores.md shows a version that uses Redis.
//
// A logout costs about 200 bytes until the session's absolute deadline. Signing a user out
// everywhere costs as much for 400 days. Calls of Revoke also remove outdated entries.
type Revocations struct {
	mu    sync.Mutex
	ids   map[string]cutoff
	users map[string]cutoff
	sweep int // how many entries there may be before the next search for outdated ones
}

// A cutoff ends the sessions that authenticated before a time.
type cutoff struct {
	before time.Time
	except map[string]time.Time // ids with an earlier time
	until  time.Time
}

const minSweep = 1024

// never is later than any time of a session.
var never = time.Unix(1<<40, 0) //nolint:gochecknoglobals // never changes

// Revoked reports whether a session has ended. Use it as [Store].Revoked.
func (r *Revocations) Revoked(_ context.Context, info session.Info) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return info.AuthenticatedAt.Before(r.ids[info.ID].before) || info.AuthenticatedAt.Before(r.users[info.User].of(info.ID)), nil
}

// Revoke records that sessions have ended. Use it as [Store].Revoke.
func (r *Revocations) Revoke(_ context.Context, revoked Revocation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids, r.users = make(map[string]cutoff), make(map[string]cutoff)
	}
	if len(r.ids)+len(r.users) >= max(r.sweep, minSweep) {
		r.forget(time.Now())
		r.sweep = 2 * (len(r.ids) + len(r.users))
	}
	if revoked.ID != "" {
		r.ids[revoked.ID] = r.ids[revoked.ID].and(&revoked)
	} else {
		r.users[revoked.User] = r.users[revoked.User].and(&revoked)
	}
	return nil
}

func (r *Revocations) forget(now time.Time) {
	for _, cuts := range []map[string]cutoff{r.ids, r.users} {
		for key, c := range cuts {
			if c.until.Before(now) {
				delete(cuts, key)
			}
		}
	}
}

// of returns the time before which the cutoff ends the session of an id.
func (c cutoff) of(id string) time.Time {
	if before, ok := c.except[id]; ok {
		return before
	}
	return c.before
}

// and returns a cutoff that ends the sessions of both c and r.
func (c cutoff) and(r *Revocation) cutoff {
	before := r.Before
	if before.IsZero() {
		before = never
	}
	both := cutoff{before: later(c.before, before), until: later(c.until, r.Until), except: make(map[string]time.Time)}
	for _, id := range r.Except {
		both.except[id] = c.of(id)
	}
	for id, spared := range c.except {
		if _, again := both.except[id]; !again {
			both.except[id] = later(spared, before)
		}
	}
	maps.DeleteFunc(both.except, func(_ string, spared time.Time) bool { return !spared.Before(both.before) })
	return both
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
