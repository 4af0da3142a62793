package memory

import (
	"container/list"
	"context"
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/mist-contrib/session"
)

// A userShard is a part of the index of users, with its own lock. A call that holds this
// lock takes no other lock. It takes the locks of shards before this one.
type userShard struct {
	mu      sync.Mutex                       // guards the fields below, and some fields of record
	byName  shrinkingMap[string, *userEntry] // only users with sessions or a revocation
	revoked list.List                        // the users with a revocation, the oldest revocation first
	floor   int64                            // logins that began earlier are refused, because a revocation up to then was forgotten
}

// maxRevocations is how many revocations each part of the index remembers; the whole
// store remembers 16 384.
const maxRevocations = 256

// A userEntry holds a user's sessions and perhaps a revocation.
type userEntry struct {
	shard      *userShard // never changes, like name
	name       string
	sessions   list.List // of logins, the oldest first; includes sessions that are not swept yet
	revocation *list.Element
	at         int64 // the time of the revocation, if any
}

// UserSessions lists the sessions of a user, see [session.UserStore].
func (st *Store) UserSessions(ctx context.Context, user string) ([]session.Info, error) {
	now, err := st.beginFor(ctx, user)
	if err != nil {
		return nil, err
	}
	defer st.tidy(&st.shards[0], now)
	us := st.usersOf(user)
	us.mu.Lock()
	sessions := slices.Collect(us.entry(user).logins())
	us.mu.Unlock()

	var infos []session.Info
	err = forEachLive(ctx, sessions, now, func(sh *shard, r *record) {
		infos = append(infos, sh.load(r, "", r.secrets.Ends()).Info())
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(infos, func(a, b session.Info) int { return b.LastSeen.Compare(a.LastSeen) })
	return infos, nil
}

// RemoveUserSessions ends the sessions of a user, see [session.UserStore]. The store
// remembers about 16 000 revocations of the last hour in a few megabytes, for users with
// and without sessions. Beyond that it forgets the oldest and refuses logins whose check
// began before them. Such a user must enter the password again, but no revoked login
// succeeds.
func (st *Store) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	now, err := st.beginFor(ctx, user)
	if err != nil {
		return 0, err
	}
	defer st.tidy(&st.shards[0], now)
	us := st.usersOf(user)
	us.mu.Lock()
	u := us.entry(user)
	u.revoke(now)
	sessions := slices.Collect(u.logins())
	us.mu.Unlock()

	n := 0
	err = forEachLive(ctx, sessions, now, func(sh *shard, r *record) {
		if !slices.Contains(except, r.id()) {
			st.drop(sh, r)
			n++
		}
	})
	return n, err
}

// beginFor is begin for calls about a user.
func (st *Store) beginFor(ctx context.Context, user string) (now int64, err error) {
	if now, err = st.begin(ctx); err != nil {
		return 0, err
	}
	return now, (&session.Login{User: user}).Check()
}

// forEachLive calls f, under the lock, with each live session.
func forEachLive(ctx context.Context, sessions []*login, now int64, f func(sh *shard, r *record)) error {
	for _, l := range sessions {
		if err := contextErr(ctx); err != nil {
			return err
		}
		l.withLock(func() {
			if l.shard.checkAlive(l.record, now) == nil {
				f(l.shard, l.record)
			}
		})
	}
	return nil
}

func (st *Store) usersOf(user string) *userShard {
	return &st.users[maphash.String(st.seed, user)%shardCount]
}

// entry returns the entry of a user. If the index has none, it returns a new
// entry, which is not in the index yet.
func (us *userShard) entry(user string) *userEntry {
	if u := us.byName.entries[user]; u != nil {
		return u
	}
	return &userEntry{shard: us, name: strings.Clone(user)}
}

// release removes an entry from the index if it is empty.
func (us *userShard) release(u *userEntry) {
	if u.sessions.Len() > 0 || u.revocation != nil {
		return
	}
	us.byName.remove(u.name)
}

// forget removes revocations that are too old to refuse any login. It costs one unit of
// budget for each.
func (us *userShard) forget(now int64, budget *int) {
	us.mu.Lock()
	defer us.mu.Unlock()
	for first := us.revoked.Front(); first != nil && *budget > 0; first = us.revoked.Front() {
		u := first.Value.(*userEntry) //nolint:forcetypeassert // only revoke puts them there
		if u.at > now-int64(session.BeganLimit) {
			return
		}
		us.unrevoke(u)
		*budget--
	}
}

func (us *userShard) unrevoke(u *userEntry) {
	us.revoked.Remove(u.revocation)
	u.revocation = nil
	us.release(u)
}

// revoke records that logins that began before now are void.
func (u *userEntry) revoke(now int64) {
	if u.revocation == nil {
		u.revocation, u.at = u.shard.revoked.PushBack(u), now
	} else {
		u.shard.revoked.MoveToBack(u.revocation)
		u.at = max(u.at, now)
	}
	us := u.shard
	us.byName.set(u.name, u)
	if us.revoked.Len() > maxRevocations {
		first := us.revoked.Front().Value.(*userEntry) //nolint:forcetypeassert // only revoke puts them there
		us.floor = max(us.floor, first.at)
		us.unrevoke(first)
	}
}

// refuses reports whether a login of the user whose check began then must be refused.
func (u *userEntry) refuses(began, now int64) bool {
	return began < max(u.shard.floor, now-int64(session.BeganLimit)) || u.revocation != nil && began < u.at
}

// logins yields the logins of the user's sessions, the oldest first.
func (u *userEntry) logins() iter.Seq[*login] {
	return func(yield func(*login) bool) {
		for e := u.sessions.Front(); e != nil; e = e.Next() {
			if !yield(e.Value.(*login)) { //nolint:forcetypeassert // only addSession puts them there
				return
			}
		}
	}
}

// addSession makes the login of a session the newest of the user.
func (u *userEntry) addSession(r *record) {
	if r.listed == nil {
		r.listed = u.sessions.PushBack(r.login)
	} else {
		r.listed.Value = r.login
		u.sessions.MoveToBack(r.listed)
	}
	u.shard.byName.set(u.name, u)
}

// removeSession removes a session. The caller holds the lock of its shard.
func (u *userEntry) removeSession(r *record) {
	u.shard.mu.Lock()
	defer u.shard.mu.Unlock()
	u.sessions.Remove(r.listed)
	r.listed = nil
	u.shard.release(u)
}
