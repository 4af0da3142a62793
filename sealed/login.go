package sealed

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// Login logs a user in, see [session.UserStore]. It does not keep UserAgent and Address: the
// client has little room, and nobody can list the sessions. Login.MaxSessions fails with
// [errors.ErrUnsupported]. With Revoke, Login ends the earlier seals of a user's session.
// Without Revoke they stay valid until their deadline, as the seals of an anonymous session
// always do.
func (st *Store) Login(ctx context.Context, seal string, l session.Login) (session.Session, error) {
	if err := st.begin(ctx); err != nil {
		return nil, err
	}
	if err := l.Check(); err != nil {
		return nil, err
	}
	if l.MaxSessions > 0 {
		return nil, unsupported("Login.MaxSessions")
	}
	idle, absolute, err := lifetime.Own(l.IdleTimeout, l.AbsoluteTimeout, st.idle, st.absolute)
	if err != nil && !l.Reauthentication {
		return nil, fmt.Errorf("sealed: login: %w", err)
	}
	if seal != "" && !st.ValidToken(seal) || seal == "" && l.Reauthentication {
		return nil, session.ErrNotFound
	}
	set, err := values.SetAll(l.Values)
	if err != nil {
		return nil, err
	}

	req, now, err := st.lockRequest(ctx)
	if err != nil {
		return nil, err
	}
	defer req.unlock()
	var before *record
	if seal != "" {
		if before, err = req.open(ctx, seal); err != nil {
			return nil, withoutReason(err)
		}
	}
	next := facts{
		id: cmp.Or(l.ID, uuid.NewString()), user: l.User, level: cmp.Or(l.Level, session.Authenticated),
		persistent: l.Persistent, created: now, idle: int64(idle), absolute: int64(absolute),
	}
	if before != nil {
		if err := next.inherit(&before.state.facts, &l); err != nil {
			return nil, err
		}
	}
	if err := st.checkBegan(ctx, &l, now); err != nil {
		return nil, err
	}
	after, err := next.values.Changed(&set, "")
	if err != nil {
		return nil, err
	}
	next.values = values.Block(after)
	// The login must be later than every old seal of the session, even if the clock stands still.
	next.rotated = max(now, next.rotated+1)
	next.authenticated, next.seen = next.rotated, next.rotated
	s := newState(next)
	if err := req.fits(s, s.spare()); err != nil {
		return nil, err
	}
	if before != nil {
		if err := st.revokeEarlier(ctx, &before.state.facts, &next); err != nil {
			return nil, err
		}
	}
	if err := req.deliverNew(s); err != nil {
		return nil, err
	}
	if before != nil {
		req.markEnded(before.state.id)
	}
	return req.makeCurrent(s), nil
}

// inherit copies what a login keeps of the earlier session.
func (f *facts) inherit(before *facts, l *session.Login) error {
	switch before.user {
	case "":
		if l.Reauthentication {
			return session.ErrNotFound
		}
	case l.User:
		f.id, f.created, f.rotated = before.id, before.created, before.rotated
		if l.Reauthentication {
			f.level = cmp.Or(l.Level, before.level)
			f.persistent, f.idle, f.absolute = before.persistent, before.idle, before.absolute
		}
	default:
		return session.ErrNotFound
	}
	f.values = before.values
	return nil
}

// checkBegan returns [session.ErrRevoked] if the password check began too long ago, or before the
// user was signed out.
func (st *Store) checkBegan(ctx context.Context, l *session.Login, now int64) error {
	began := at(now)
	if !l.Began.IsZero() && l.Began.Before(began) {
		began = l.Began.Round(0)
	}
	if at(now).Sub(began) > session.BeganLimit {
		return session.ErrRevoked
	}
	if st.Revoked == nil {
		return nil
	}
	revoked, err := st.Revoked(ctx, session.Info{User: l.User, AuthenticatedAt: began})
	if err == nil && revoked {
		err = session.ErrRevoked
	}
	return err
}

// revokeEarlier ends the seals of a user's session from before its login. That includes seals that a
// rotation makes while Revoke runs.
func (st *Store) revokeEarlier(ctx context.Context, before, next *facts) error {
	if before.user == "" || st.Revoke == nil {
		return nil
	}
	_, absolute := next.deadlines()
	_, previous := before.deadlines()
	return st.Revoke(ctx, Revocation{ID: next.id, Before: at(next.authenticated), Until: at(max(absolute, previous)).Add(maxSkew)})
}

// UserSessions fails with [errors.ErrUnsupported]: only the clients know their sessions.
func (st *Store) UserSessions(ctx context.Context, user string) ([]session.Info, error) {
	if err := st.beginFor(ctx, user); err != nil {
		return nil, err
	}
	return nil, unsupported("UserSessions")
}

// RemoveUserSessions ends the sessions of a user, except those with the ids in except, see
// [session.UserStore]. It calls Revoke twice. It returns 0, because the server does not know
// how many sessions there are. It may miss a session from a server whose clock is ahead of this
// one's; see docs/stores.md. If Revoke is nil, it fails with [errors.ErrUnsupported].
func (st *Store) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	if err := st.beginFor(ctx, user); err != nil {
		return 0, err
	}
	if st.Revoke == nil {
		return 0, unsupported("RemoveUserSessions without Revoke")
	}
	// A login asks Revoked with an empty id. An empty id in except would spare it.
	except = slices.DeleteFunc(slices.Clone(except), func(id string) bool { return !token.ValidID(id) })
	// The second call ends the logins that Revoked allowed while the first call ran.
	for range 2 {
		now := tick()
		if err := st.Revoke(ctx, Revocation{User: user, Before: now, Except: except, Until: now.Add(lifetime.Max + maxSkew)}); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// tick returns a time later than that of every login that has returned. If the clock is coarse,
// tick waits for its next step.
func tick() time.Time {
	began := time.Now()
	for {
		if now := time.Now(); now.After(began) {
			return now.Round(0)
		}
		time.Sleep(time.Microsecond) // a login may be a few nanoseconds ahead of the clock
	}
}

// beginFor is begin for calls about a user.
func (st *Store) beginFor(ctx context.Context, user string) error {
	if err := st.begin(ctx); err != nil {
		return err
	}
	return (&session.Login{User: user}).Check()
}
