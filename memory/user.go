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

// A users is a part of the index of users, with its own lock. A call that holds this
// lock takes no other lock. It takes the locks of shards before this one.
type users struct {
	mu       sync.Mutex                     // guards the fields below, and some fields of record
	accounts shrinkingMap[string, *account] // only accounts with sessions or a revocation
	revoked  list.List                      // the accounts with a revocation, the oldest revocation first
	floor    int64                          // logins that began earlier are refused, because a revocation up to then was forgotten
}

// maxRevocations is how many revocations each part of the index remembers; the whole
// store remembers 16 384.
const maxRevocations = 256

// An account holds a user's sessions and perhaps a revocation.
type account struct {
	users      *users    // never changes, like user
	user       string    //
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
	sessions := slices.Collect(us.account(user).logins())
	us.mu.Unlock()

	var infos []session.Info
	err = visit(ctx, sessions, now, func(sh *shard, r *record) {
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
	u := us.account(user)
	u.revoke(now)
	sessions := slices.Collect(u.logins())
	us.mu.Unlock()

	n := 0
	err = visit(ctx, sessions, now, func(sh *shard, r *record) {
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

// visit calls f, under the lock, with each live session.
func visit(ctx context.Context, sessions []*login, now int64, f func(sh *shard, r *record)) error {
	for _, l := range sessions {
		if err := ended(ctx); err != nil {
			return err
		}
		l.locked(func() {
			if l.shard.alive(l.record, now) == nil {
				f(l.shard, l.record)
			}
		})
	}
	return nil
}

func (st *Store) usersOf(user string) *users {
	return &st.users[maphash.String(st.seed, user)%shardCount]
}

// account returns the account of a user. If the index has none, it returns a new
// account, which is not in the index yet.
func (us *users) account(user string) *account {
	if u := us.accounts.entries[user]; u != nil {
		return u
	}
	return &account{users: us, user: strings.Clone(user)}
}

// release removes an account from the index if it is empty.
func (us *users) release(u *account) {
	if u.sessions.Len() > 0 || u.revocation != nil {
		return
	}
	us.accounts.remove(u.user)
}

// forget removes revocations that are too old to refuse any login. It costs one unit of
// budget for each.
func (us *users) forget(now int64, budget *int) {
	us.mu.Lock()
	defer us.mu.Unlock()
	for first := us.revoked.Front(); first != nil && *budget > 0; first = us.revoked.Front() {
		u := first.Value.(*account) //nolint:forcetypeassert // only revoke puts them there
		if u.at > now-int64(session.BeganLimit) {
			return
		}
		us.unrevoke(u)
		*budget--
	}
}

func (us *users) unrevoke(u *account) {
	us.revoked.Remove(u.revocation)
	u.revocation = nil
	us.release(u)
}

// revoke records that logins that began before now are void.
func (u *account) revoke(now int64) {
	if u.revocation == nil {
		u.revocation, u.at = u.users.revoked.PushBack(u), now
	} else {
		u.users.revoked.MoveToBack(u.revocation)
		u.at = max(u.at, now)
	}
	us := u.users
	us.accounts.set(u.user, u)
	if us.revoked.Len() > maxRevocations {
		first := us.revoked.Front().Value.(*account) //nolint:forcetypeassert // only revoke puts them there
		us.floor = max(us.floor, first.at)
		us.unrevoke(first)
	}
}

// refuses reports whether the account must refuse a login whose check began then.
func (u *account) refuses(began, now int64) bool {
	return began < max(u.users.floor, now-int64(session.BeganLimit)) || u.revocation != nil && began < u.at
}

// logins yields the logins of the account's sessions, the oldest first.
func (u *account) logins() iter.Seq[*login] {
	return func(yield func(*login) bool) {
		for e := u.sessions.Front(); e != nil; e = e.Next() {
			if !yield(e.Value.(*login)) { //nolint:forcetypeassert // only enter puts them there
				return
			}
		}
	}
}

// enter makes the login of a session the newest of the account.
func (u *account) enter(r *record) {
	if r.entry == nil {
		r.entry = u.sessions.PushBack(r.login)
	} else {
		r.entry.Value = r.login
		u.sessions.MoveToBack(r.entry)
	}
	u.users.accounts.set(u.user, u)
}

// leave removes a session. The caller holds the lock of its shard.
func (u *account) leave(r *record) {
	u.users.mu.Lock()
	defer u.users.mu.Unlock()
	u.sessions.Remove(r.entry)
	r.entry = nil
	u.users.release(u)
}
