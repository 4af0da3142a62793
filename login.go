package session

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"unicode"

	"github.com/dormoron/mist"
)

// Login logs a user in: call it when the password was checked. It is the only
// way by which a session gets a user; a value that a handler sets never does.
//
// The client gets a new token, and when Login returns the one from before opens
// nothing any more, with no grace (ASVS 5.0, 7.2.4). The session that the request
// had goes on if it was anonymous, or the user's already: its id and its values
// stay, so a cart survives the login. One of another user ends, and a new session
// begins; so it does where the request had none. Both timeouts begin anew.
//
// [ErrRevoked]: the user's sessions were revoked since the request came, so the
// password may be the old one: ask again. The request comes with the Middleware,
// or with the first GetSession; without either, say when the check began in
// [Login].Began, because Login itself comes after it. [ErrUserLimit]: see MaxUserSessions.
// [ErrInvalidUser]: user is empty or over 256 bytes. [ErrHeaderWritten],
// [ErrMultiple] (the client carries two identifiers, so a third would be refused as
// well), [errors.ErrUnsupported] (the store is no [UserStore]): nothing has happened.
// After any of these the client is who it was. Other errors are the store's:
// nobody was logged in, and the anonymous session may be gone.
func (m *Manager) Login(ctx *mist.Context, user string) (Session, error) {
	return m.LoginWith(ctx, Login{User: user})
}

// Reauthenticate notes that the user of the request's session has just proved
// again who they are ("step-up"): the token is new, AuthenticatedAt is now, and
// so begin both timeouts (NIST SP 800-63B-4, 2.2.3). level is what they proved
// now, higher or lower than before; zero keeps the level. Everything else stays.
//
// [ErrNotFound]: nobody is logged in. Other errors as for Login.
func (m *Manager) Reauthenticate(ctx *mist.Context, level Level) (Session, error) {
	s, err := m.GetSession(ctx)
	if err != nil {
		return nil, err
	}
	info, err := Describe(s)
	if err != nil {
		return nil, err
	}
	if info.User == "" {
		return nil, ErrNotFound
	}
	return m.LoginWith(ctx, Login{User: info.User, Level: level, Reauthentication: true})
}

// LoginWith is Login with all that can be said of one: "remember me", a level, a
// limit of its own.
func (m *Manager) LoginWith(ctx *mist.Context, l Login) (Session, error) {
	if err := m.usable(ctx, true); err != nil {
		return nil, err
	}
	us, err := m.userStore("Login")
	if err != nil {
		return nil, err
	}
	m.complete(&l, ctx)
	if err := l.Check(); err != nil {
		return nil, err
	}
	if m.headerWritten(ctx) {
		return nil, ErrHeaderWritten
	}
	old, err := m.GetSession(ctx)
	if errors.Is(err, ErrMultiple) || err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err // with two identifiers the next request would be refused, and nobody would end the session
	}
	reqctx := ctx.Request.Context()
	s, err := m.bind(reqctx, us, old, m.entry(ctx).sent(), l)
	if err != nil {
		if errors.Is(err, ErrRevoked) || errors.Is(err, ErrUserLimit) {
			m.emit(reqctx, Event{Kind: EventLoginRefused, User: l.User, Actor: l.Actor, Cause: err})
		}
		return nil, m.failed(reqctx, err)
	}
	if err := m.hand(ctx, s); err != nil {
		return nil, err
	}
	kind := EventLogin
	if l.Reauthentication {
		kind = EventReauthenticated
	}
	event := m.about(kind, s)
	event.Actor = l.Actor
	m.emit(reqctx, event)
	return s, nil
}

// complete fills in what the caller left empty.
func (m *Manager) complete(l *Login, ctx *mist.Context) {
	if l.Began.IsZero() {
		l.Began = m.entry(ctx).request.began
	}
	if l.UserAgent == "" {
		ua := ctx.Request.UserAgent()
		l.UserAgent = ua[:min(len(ua), maxUserAgent)]
	}
	if l.Address == "" {
		l.Address = m.network(ctx.Request)
	}
	l.UserAgent, l.Address = printable(l.UserAgent), printable(l.Address)
	if l.MaxSessions == 0 && !l.Reauthentication {
		l.MaxSessions, l.EndOldest = m.MaxUserSessions, l.EndOldest || m.EndOldest
	}
}

// bind makes a session l.User's: old, which the client carries, where it may be,
// else a new one, and then old is dead.
func (m *Manager) bind(ctx context.Context, us UserStore, old Session, carried string, l Login) (Session, error) {
	if m.OnEvent != nil {
		ended := l.Ended
		l.Ended = func(id string) {
			if ended != nil {
				ended(id)
			}
			m.emit(ctx, Event{Kind: EventRemoved, Session: id, User: l.User, Cause: ErrUserLimit})
		}
	}
	var before Info // of a session that the application put there it is not known
	if old != nil && carried != "" {
		var err error
		if before, err = Describe(old); err != nil {
			return nil, err
		}
		if before.User == "" || before.User == l.User {
			s, err := enter(ctx, us, carried, l)
			if err == nil || !errors.Is(err, ErrNotFound) || errors.Is(err, ErrRevoked) {
				return s, err
			}
			before = Info{} // it has ended, or another login was first: it is not ours to end
		}
	}
	if l.Reauthentication {
		return nil, ErrNotFound
	}
	fresh, err := m.generate(ctx)
	if err != nil {
		return nil, err
	}
	s, err := enter(ctx, us, Token(fresh), l)
	if err == nil && before.ID != "" {
		if err = m.Store.Remove(ctx, before.ID); err == nil {
			m.emit(ctx, Event{Kind: EventRemoved, Session: before.ID, User: before.User})
		}
	}
	if err != nil {
		return nil, m.abandon(ctx, fresh, err)
	}
	return s, nil
}

// enter asks the store to make the session of a token a user's.
func enter(ctx context.Context, us UserStore, carried string, l Login) (Session, error) {
	s, err := us.Login(ctx, carried, l)
	if err == nil && s == nil {
		err = errNoSession
	}
	return s, err
}

// network is the coarse address of a client.
func (m *Manager) network(req *http.Request) string {
	var addr netip.Addr
	if m.ClientIP != nil {
		addr = m.ClientIP(req)
	} else if host, _, err := net.SplitHostPort(req.RemoteAddr); err == nil {
		addr, _ = netip.ParseAddr(host)
	}
	addr = addr.Unmap().WithZone("")
	bits := 24
	if addr.Is6() {
		bits = 48
	}
	if p, err := addr.Prefix(bits); err == nil && p.IsValid() {
		return p.String()
	}
	return ""
}

// printable takes out of s what a page should not show: invalid UTF-8, controls, and
// whatever hides or reorders the text around it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
}
