package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session/internal/token"
)

// A Level says how strongly the user of a session has proved who they are. Only a login
// sets it; no value of a session changes it. An application with more than one step
// defines its own levels above [Authenticated]:
//
//	const SecondFactor = session.Authenticated + 1
type Level uint8

// The levels that every application has.
const (
	Anonymous     Level = 0 // nobody has logged in
	Authenticated Level = 1 // the level of a login that names none
)

// A Login describes a login: who the user is, and which session they get. Only User is
// required.
type Login struct {
	// User is the account: an id of the application, 1 to 256 bytes.
	User string

	// Level is the level that the user has proved. Zero: [Authenticated], or the current
	// level of the session with Reauthentication.
	Level Level

	// IdleTimeout and AbsoluteTimeout replace the store's timeouts for this session, for
	// "remember me" and its opposite. Both are between a millisecond and 400 days, and
	// IdleTimeout is not above AbsoluteTimeout. Zero: the store's timeout. The store's
	// idle timeout is then cut to AbsoluteTimeout.
	IdleTimeout, AbsoluteTimeout time.Duration

	// Persistent makes the client keep the identifier after the browser closes, for as
	// long as the session can live (a cookie with that Max-Age). Refresh and rotation
	// keep it persistent. The cookie of a session that is bound to a device always
	// survives the browser.
	Persistent bool

	// Began is when the check of the password, or of another proof, began. The login
	// fails with [ErrRevoked] if the user's sessions were revoked since then, because the
	// password may be the old one. It also fails so if the check began over an hour ago.
	// Zero: the Manager uses the time when the request first reached it, by the
	// Middleware or by the first GetSession. A store uses the present time.
	Began time.Time

	// UserAgent and Address tell the user which device this is, in
	// [Manager.UserSessions]. They have at most 256 and 64 bytes. If they are empty, the
	// Manager takes the User-Agent of the request, and the network of its client (/24 of
	// IPv4, /48 of IPv6): an exact address would reveal more than the user needs. It
	// removes characters that are not printable, such as those that hide text or change
	// its direction.
	UserAgent, Address string

	// MaxSessions is how many sessions User may have, including this one. Zero: the limit
	// of the Manager. A store by itself has no limit.
	MaxSessions int

	// EndOldest ends the session whose login is the oldest if there is one too many.
	// Without EndOldest, the new login fails with [ErrUserLimit]. If MaxSessions is zero,
	// EndOldest of the Manager has the same effect.
	EndOldest bool

	// Values are stored in the session in the same step: all of them if the login
	// succeeds, none if it fails. They replace values of the same key that the session
	// keeps. Errors as for [SetAll].
	Values map[string]any

	// ID is the id of a new session: 1 to 96 characters of A-Z, a-z, 0-9, '-' and '_'. A
	// store may add a prefix. The Manager sets it, see [Manager].NewID. Empty: a store
	// calls [uuid.NewString].
	ID string

	// Actor is the account that acts as User, such as support staff (RFC 8693, 4.1).
	// Empty: User acts. The event of this login names both. The store does not keep it.
	Actor string

	// Ended is called with the id of each session that EndOldest ended, before Login
	// returns. It may be nil.
	Ended func(id string)

	// Reauthentication demands that the session already belongs to User; otherwise the
	// login fails with [ErrNotFound]. The session keeps its timeouts, Persistent,
	// UserAgent and Address.
	Reauthentication bool
}

const (
	maxUser      = 256
	maxUserAgent = 256
	maxAddress   = 64
	maxLoginID   = 96

	// BeganLimit is how long the check before a login may take. A store remembers a
	// revocation for at least that long.
	BeganLimit = time.Hour
)

// Check returns an error if a field is wrong. A [UserStore] calls it, and then checks the
// timeouts together with its own.
func (l *Login) Check() error {
	switch {
	case l.User == "" || len(l.User) > maxUser:
		return ErrInvalidUser
	case l.IdleTimeout < 0 || l.AbsoluteTimeout < 0:
		return errors.New("session: Login: a timeout is negative")
	case l.ID != "" && (len(l.ID) > maxLoginID || !token.ValidID(l.ID)):
		return ErrInvalidID
	case l.MaxSessions < 0:
		return errors.New("session: Login: MaxSessions is negative")
	case len(l.UserAgent) > maxUserAgent || len(l.Address) > maxAddress:
		return fmt.Errorf("session: Login: UserAgent is over %d bytes or Address over %d", maxUserAgent, maxAddress)
	}
	return nil
}

// A UserStore is a [TokenStore] that knows the user of each session.
type UserStore interface {
	TokenStore

	// Login logs l.User in and returns a session with a new token. The effect on the
	// session of token depends on its user:
	//
	//   - If token is empty, a new session begins.
	//   - If the session is anonymous, it ends, and a new session begins with its values
	//     and its own id. From then on the old token, id and Session objects find
	//     nothing. If the login is refused, the session is unchanged.
	//   - If the session is l.User's, it goes on with its id and values. No old token
	//     works any more, and both timeouts start again.
	//
	// The new session has every value whose write to the anonymous session returned nil.
	// A later write to the anonymous session fails with [ErrNotFound]. While a login is in
	// progress, other calls for that session may fail with [ErrNotFound], even if the
	// login is refused afterwards.
	//
	// [ErrNotFound]: the token opens nothing, or the session belongs to another user, or
	// it is anonymous and l.Reauthentication is set. [ErrExists]: a live session has l.ID.
	// [ErrRevoked], [ErrUserLimit], [ErrInvalidUser], [ErrInvalidID], [ErrFull],
	// [ErrValue], [ErrTooLarge]: see there. After any of these errors nothing has changed.
	// After any other error the old token may no longer work.
	Login(ctx context.Context, token string, l Login) (Session, error)

	// UserSessions lists the live sessions of a user, the last seen first. A user without
	// sessions gives an empty list.
	UserSessions(ctx context.Context, user string) ([]Info, error)

	// RemoveUserSessions ends all sessions of a user except those with the ids in except,
	// and returns how many it ended. After it returns nil, none of them is alive, and a
	// login whose check began before the call fails with [ErrRevoked], even if it was in
	// progress. After an error some sessions may be alive. Repeating it is harmless.
	RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error)
}

// userStore returns the store as a UserStore. The error names the call.
func (m *Manager) userStore(call unsupported) (UserStore, error) {
	us, ok := unwrap[UserStore](m.Store)
	if !ok {
		return nil, call
	}
	return us, nil
}

// beginUserCall begins every call about a user. It returns the store, and the context for
// its calls.
func (m *Manager) beginUserCall(ctx context.Context, call unsupported) (us UserStore, plain context.Context, err error) {
	if err := m.ready(); err != nil {
		return nil, nil, err
	}
	if us, err = m.userStore(call); err != nil {
		return nil, nil, err
	}
	if plain, err = plainContext(ctx); err != nil {
		return nil, nil, err
	}
	return us, plain, nil
}

// User returns the user of the request's session. [ErrNotFound]: nobody is logged in; the
// session may be anonymous. [errors.ErrUnsupported]: the session is no [Describer]. Other
// errors as for GetSession: a user may or may not be logged in.
func (m *Manager) User(ctx *mist.Context) (string, error) {
	_, info, err := m.user(ctx)
	return info.User, err
}

// UserSessions lists the live sessions of a user, the last seen first, for a page that
// shows where the user is logged in (ASVS 5.0, 7.5.2). It sets Current for the session that
// this request has loaded. For that, ctx must be the *mist.Context of the request, or the
// context of a request behind the Middleware.
//
// [ErrInvalidUser]: user is empty or over 256 bytes. [errors.ErrUnsupported]: the store is
// no [UserStore]. Other errors are the store's.
func (m *Manager) UserSessions(ctx context.Context, user string) ([]Info, error) {
	mctx, _ := ctx.(*mist.Context)
	us, ctx, err := m.beginUserCall(ctx, "UserSessions")
	if err != nil {
		return nil, err
	}
	current := m.current(ctx, mctx)
	infos, err := us.UserSessions(ctx, user)
	if err != nil {
		return nil, m.failed(ctx, err)
	}
	for i := range infos {
		infos[i].Current = infos[i].ID == current
	}
	return infos, nil
}

// RemoveUserSessions ends all sessions of a user except those with the ids in except, and
// returns how many it ended: "sign out everywhere", or everywhere else (ASVS 5.0, 7.4.2,
// 7.4.3, 7.4.5). After it returns nil, none of them is alive, and a login whose check began
// before fails with [ErrRevoked]. That includes a login in progress and a login of the same
// request. To revoke and then log in, call [Manager.PasswordChanged].
//
// Errors as for UserSessions. After an error of the store some sessions may be alive: call
// it again.
func (m *Manager) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	us, ctx, err := m.beginUserCall(ctx, "RemoveUserSessions")
	if err != nil {
		return 0, err
	}
	n, err := us.RemoveUserSessions(ctx, user, except...)
	if err != nil {
		return n, m.failed(ctx, err)
	}
	m.emit(ctx, Event{Kind: EventRevoked, User: user, Count: n})
	return n, nil
}

// RemoveUserSession ends the session with this id if it belongs to user: "sign out this
// device". [ErrNotFound]: the session has ended already or belongs to another user, and
// nothing has changed. Other errors as for UserSessions.
func (m *Manager) RemoveUserSession(ctx context.Context, user, id string) error {
	_, ctx, err := m.beginUserCall(ctx, "RemoveUserSession")
	if err != nil {
		return err
	}
	if err := (&Login{User: user}).Check(); err != nil {
		return err
	}
	// A session never changes from one user to another, so its user is still the same now.
	s, err := m.Store.Get(ctx, id)
	if err != nil {
		return m.failed(ctx, err)
	}
	info, err := Describe(s)
	if err != nil {
		return err
	}
	if info.User != user {
		return ErrNotFound
	}
	if err := m.Store.Remove(ctx, id); err != nil {
		return m.failed(ctx, err)
	}
	m.emit(ctx, Event{Kind: EventRemoved, Session: id, User: user})
	return nil
}

// plainContext returns the context of the request if ctx is its *mist.Context, and ctx if
// not. No store gets a *mist.Context.
func plainContext(ctx context.Context) (context.Context, error) {
	if mctx, ok := ctx.(*mist.Context); ok {
		switch {
		case mctx == nil:
			return nil, errNoContext
		case mctx.Request == nil:
			return nil, errNoRequest
		}
		return mctx.Request.Context(), nil
	}
	if ctx == nil {
		return nil, errNilContext
	}
	return ctx, nil
}

// current returns the id of the session that the request of ctx has loaded. mctx may be
// nil.
func (m *Manager) current(ctx context.Context, mctx *mist.Context) string {
	var s Session
	if mctx != nil {
		s = m.state(mctx).cached(mctx)
	} else if st, ok := ctx.Value(contextKey{}).(*managerState); ok && st.manager == m {
		s = st.currentSession()
	}
	if s == nil {
		return ""
	}
	return s.ID()
}
