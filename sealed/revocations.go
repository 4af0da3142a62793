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
// The zero value is ready to use, and safe for concurrent use. It is for one process, and
// forgets everything with it: a session that was ended before a restart is alive after it,
// if its deadline has not come. docs/stores.md has one that Redis keeps.
//
// A logout costs about 200 bytes until the absolute deadline of the session, a user who
// signed out everywhere as many for 400 days. Calls that add to it take out what nobody
// needs any more.
type Revocations struct {
	mu    sync.Mutex
	ids   map[string]cut
	users map[string]cut
	sweep int // how many there may be before the next search for what nobody needs
}

// A cut is before what time sessions have ended.
type cut struct {
	before time.Time
	except map[string]time.Time // ids of which it is an earlier one
	until  time.Time
}

const minSweep = 1024

// never comes after any time of a session.
var never = time.Unix(1<<40, 0) //nolint:gochecknoglobals // never changes

// Revoked reports whether a session has ended, for [Store].Revoked.
func (r *Revocations) Revoked(_ context.Context, info session.Info) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return info.AuthenticatedAt.Before(r.ids[info.ID].before) || info.AuthenticatedAt.Before(r.users[info.User].of(info.ID)), nil
}

// Revoke notes that sessions have ended, for [Store].Revoke.
func (r *Revocations) Revoke(_ context.Context, revoked Revocation) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.ids, r.users = make(map[string]cut), make(map[string]cut)
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
	for _, cuts := range []map[string]cut{r.ids, r.users} {
		for key, c := range cuts {
			if c.until.Before(now) {
				delete(cuts, key)
			}
		}
	}
}

// of is before what time the session of an id has ended.
func (c cut) of(id string) time.Time {
	if before, ok := c.except[id]; ok {
		return before
	}
	return c.before
}

// and is a cut that ends what c ends, and what r does.
func (c cut) and(r *Revocation) cut {
	before := r.Before
	if before.IsZero() {
		before = never
	}
	both := cut{before: later(c.before, before), until: later(c.until, r.Until), except: make(map[string]time.Time)}
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
