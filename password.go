package session

import (
	"errors"
	"time"

	"github.com/dormoron/mist"
)

// PasswordChanged ends all other sessions of l.User and logs the request in as that user.
// It returns the session of the request and the number of sessions that it ended. Call it
// after the application has stored a new password, or another proof (ASVS 5.0, 7.4.3).
// The user may be logged in, or may be a visitor who reset a forgotten password:
//
//   - If the session of the request belongs to l.User, it goes on with a new token, as
//     after [Manager.Reauthenticate]. Its id, values and timeouts stay.
//   - Without a session, or with an anonymous one, the request is logged in as by
//     [Manager.LoginWith].
//   - Every other session of the user has ended, and a login that checked the password
//     before this call fails with [ErrRevoked].
//
// PasswordChanged ignores l.Began, because the request checked the new password.
//
// After [ErrInvalidUser], [ErrHeaderWritten], [ErrMultiple] or [errors.ErrUnsupported]
// nothing has changed. After any other error the sessions of the user may have ended,
// including the request's own. Call it again, or let the user log in with the new password.
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
	case err == nil && info.User == l.User && m.state(ctx).clientIdentifier() != "":
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
