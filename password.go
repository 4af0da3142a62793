package session

import (
	"errors"
	"time"

	"github.com/dormoron/mist"
)

// PasswordChanged ends all sessions of l.User, but for that of the request, and logs
// the request in as that user. It returns the session, and how many it ended. Call it when the password, or another proof of theirs,
// has been replaced (ASVS 5.0, 7.4.3): by the user who is logged in, or by a visitor
// who reset a forgotten one. Either way the new password counts from here on:
//
//   - a session of the request that is l.User's already goes on with a new token, as
//     after [Manager.Reauthenticate], and keeps its id, values and timeouts;
//   - without one, or with an anonymous one, it logs in, as [Manager.LoginWith] does;
//   - every other session of the user is dead, and a login whose check began before
//     is refused with [ErrRevoked].
//
// l.Began is not used: this revocation comes first, and does not concern the new
// password.
//
// [ErrInvalidUser], [ErrHeaderWritten], [ErrMultiple], [errors.ErrUnsupported]:
// nothing has happened. After another error other sessions may have ended: call it
// again, or have the user log in with the new password.
func (m *Manager) PasswordChanged(ctx *mist.Context, l Login) (s Session, ended int, err error) {
	if err := m.usable(ctx, true); err != nil {
		return nil, 0, err
	}
	if m.headerWritten(ctx) {
		return nil, 0, ErrHeaderWritten
	}
	var keep []string
	_, info, err := m.user(ctx)
	switch {
	case err == nil && info.User == l.User && m.entry(ctx).sent() != "":
		keep, l.Reauthentication = []string{info.ID}, true
	case errors.Is(err, ErrMultiple), err != nil && !errors.Is(err, ErrNotFound):
		return nil, 0, err
	}
	m.complete(&l, ctx)
	if err := l.Check(); err != nil {
		return nil, 0, err
	}
	if ended, err = m.RemoveUserSessions(ctx, l.User, keep...); err != nil {
		return nil, ended, err
	}
	l.Began = time.Now()
	s, err = m.LoginWith(ctx, l)
	return s, ended, err
}
