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

// Login logs a user in: call it after the password check. Only Login gives a session a
// user; a value that a handler sets never does.
//
// The client gets a new token. When Login returns, the old token no longer works, without
// any grace (ASVS 5.0, 7.2.4). The earlier session of the request depends on its user:
//
//   - An anonymous session ends. Its values move to a new session with its own id, so a
//     cart survives the login.
//   - A session of the same user goes on, with its id and its values.
//   - A session of another user ends, and a new session begins without its values.
//
// Both timeouts start again. From now on GetSession and [FromContext] return the Session
// that Login returned. If a handler loaded the anonymous session before the login, it can
// still read from that object, but each write to it fails with [ErrNotFound].
//
// [ErrRevoked]: the user's sessions were revoked after the request began, so the password
// may be the old one: ask again. The request begins with the Middleware, or with the first
// GetSession. Without either, set [Login].Began to the start of the check, because Login
// itself comes later. [ErrUserLimit]: see MaxUserSessions. [ErrInvalidUser]: user is empty
// or over 256 bytes. [ErrHeaderWritten]: the login comes too late. [ErrMultiple]: the
// client carries two identifiers, and a third would be refused too.
// [errors.ErrUnsupported]: the store is no [UserStore]. [ErrInvalidID], [ErrExists]: see
// NewID. [ErrFull]: the store has no room. After any of these errors the client's login
// state and the anonymous session are unchanged. After another error of the store nobody is
// logged in, and the anonymous session and its values may be lost.
func (m *Manager) Login(ctx *mist.Context, user string) (Session, error) {
	return m.LoginWith(ctx, Login{User: user})
}

// Reauthenticate records that the user of the request's session has authenticated again
// ("step-up"). The token is new, AuthenticatedAt is now, and both timeouts start again
// (NIST SP 800-63B-4, 2.2.3). level is the level of this authentication, higher or lower
// than before; zero keeps the level. Everything else stays.
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

// LoginWith is Login with more options: "remember me", a level, its own limit, values that
// are stored in the same step. If a value cannot be kept, LoginWith fails with [ErrValue]
// or [ErrTooLarge], and the client's login state is unchanged. Other errors as for Login.
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
		return nil, err // with two identifiers the next request would be refused, and no request could end the session
	}
	reqctx := m.context(ctx)
	s, before, err := m.login(reqctx, us, old, m.state(ctx).clientIdentifier(), l)
	if s != nil && err != nil && m.state(ctx).response != nil { // the client received it, and then it was ended
		m.state(ctx).dropSession(ctx)
		err = errors.Join(err, m.state(ctx).propagatorFor(ctx.Request).Remove(ctx.ResponseWriter))
	}
	if err != nil {
		if errors.Is(err, ErrRevoked) || errors.Is(err, ErrUserLimit) {
			m.emit(reqctx, Event{Kind: EventLoginRefused, User: l.User, Actor: l.Actor, Cause: err})
		}
		return nil, m.failed(reqctx, err)
	}
	if err := m.issue(ctx, s); err != nil {
		return nil, err
	}
	if m.OnEvent != nil {
		kind := EventLogin
		if l.Reauthentication {
			kind = EventReauthenticated
		}
		event := m.newEvent(kind, s)
		event.Actor = l.Actor
		if before.ID != s.ID() {
			event.Previous = before.ID
		}
		m.emit(reqctx, event)
	}
	return s, nil
}

// complete fills in the fields of l that the caller left empty.
func (m *Manager) complete(l *Login, ctx *mist.Context) {
	if l.Began.IsZero() {
		l.Began = m.state(ctx).request.began
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

// login logs l.User in. The login starts from old, the client's session, if that is
// anonymous or l.User's; a session of another user ends. before is the anonymous session
// that ended, or the one that goes on. If err is not nil, a returned s has ended again.
func (m *Manager) login(ctx context.Context, us UserStore, old Session, identifier string, l Login) (s Session, before Info, err error) {
	if m.OnEvent != nil {
		ended, user := l.Ended, l.User // l itself would move to the heap
		l.Ended = func(id string) {
			if ended != nil {
				ended(id)
			}
			m.emit(ctx, Event{Kind: EventRemoved, Session: id, User: user, Cause: ErrUserLimit})
		}
	}
	var others Info                     // the ended session of another user
	if old != nil && identifier != "" { // the token is unknown if the application supplied the session
		if before, err = Describe(old); err != nil {
			return nil, Info{}, err
		}
		if before.User == "" || before.User == l.User {
			s, err = m.storeLogin(ctx, us, identifier, l)
			if err == nil || !errors.Is(err, ErrNotFound) || errors.Is(err, ErrRevoked) {
				return s, before, err
			}
			// The session has ended, or another login was faster: leave it alone.
		} else {
			others = before
		}
	}
	if l.Reauthentication {
		return nil, Info{}, ErrNotFound
	}
	if s, err = m.storeLogin(ctx, us, "", l); err != nil {
		return nil, Info{}, err
	}
	if others.ID != "" {
		if err = m.Store.Remove(ctx, others.ID); err != nil {
			return s, Info{}, m.discard(ctx, s, err)
		}
		m.emit(ctx, Event{Kind: EventRemoved, Session: others.ID, User: others.User})
	}
	return s, Info{}, nil
}

// storeLogin asks the store to log a user in, from the session of identifier or, if that is
// empty, from no session.
func (m *Manager) storeLogin(ctx context.Context, us UserStore, identifier string, l Login) (Session, error) {
	return m.withNewID(func(id string) (Session, error) {
		l.ID = id
		return us.Login(ctx, identifier, l)
	})
}

// network returns the network of a client: /24 for IPv4, /48 for IPv6.
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
		var text [maxAddress]byte
		return string(p.AppendTo(text[:0]))
	}
	return ""
}

// printable removes characters from s that a page should not show: invalid UTF-8, control
// characters, and characters that hide or reorder the text around them.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0 {
		return s // almost always; the tables of Unicode are slow
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
}
