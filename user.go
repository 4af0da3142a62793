package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session/internal/token"
)

// A Level says how strongly the user of a session has proved who they are. It
// belongs to the [Manager] and its store: no value of a session raises or lowers
// it. An application that knows more than one step names its own above
// [Authenticated]:
//
//	const SecondFactor = session.Authenticated + 1
type Level uint8

// The levels that every application has.
const (
	Anonymous     Level = 0 // nobody has logged in
	Authenticated Level = 1 // what a login gives unless it says otherwise
)

// A Login is a user who proved who they are, and what their session shall be.
// Only User is needed.
type Login struct {
	// User is the account: an id of the application, 1 to 256 bytes.
	User string

	// Level is what was proved. Zero: [Authenticated]; where Reauthentication,
	// the level that the session has.
	Level Level

	// IdleTimeout and AbsoluteTimeout are those of this session from now on, for
	// "remember me" and its opposite. Zero: the store's; the idle one is
	// shortened to the absolute one then. Limits are those of a store's fields:
	// a millisecond at least, 400 days at most, the idle not above the absolute.
	IdleTimeout, AbsoluteTimeout time.Duration

	// Persistent makes the client keep the identifier when the browser ends, for
	// as long as the session can live (a cookie with that Max-Age). Refresh and
	// rotation keep it so. A login that is bound to its device outlives the end of
	// the browser in any case.
	Persistent bool

	// Began is when the check of the password, or of whatever was proved, began.
	// A revocation of the user's sessions since then refuses the login with
	// [ErrRevoked]: the password may be the old one. So does a check that began
	// over an hour ago. The zero value: now for a store; for the Manager when
	// the request first reached it, by the Middleware or a first GetSession.
	Began time.Time

	// UserAgent and Address tell the user which device this is, in
	// [Manager.UserSessions]; the store keeps at most 256 and 64 bytes of them.
	// The Manager fills in what is empty: the User-Agent of the request, and the
	// network of its client (/24 of IPv4, /48 of IPv6), which is coarse on
	// purpose. It takes out characters that are not printable, such as those that
	// hide text or change its direction.
	UserAgent, Address string

	// MaxSessions is how many sessions User may have, this one included; what
	// happens to one more EndOldest says. Zero: those of the Manager, or no limit.
	MaxSessions int

	// EndOldest ends the session that logged in first when there is one too many.
	// If not, the new login is refused with [ErrUserLimit]. Where MaxSessions is
	// zero, EndOldest of the Manager counts, too.
	EndOldest bool

	// Values are stored in the session in the same step: when the login succeeds
	// they are there, and when it fails nothing is. They come after those that the
	// session keeps, and replace those of the same key. Errors are those of
	// [SetAll].
	Values map[string]any

	// ID is the id of the session, where a new one begins: 1 to 96 characters of
	// A-Z, a-z, 0-9, '-' and '_'. A store may put something in front of it. The
	// Manager fills it in, see [Manager.NewID]. Empty: one of [uuid.NewString].
	ID string

	// Actor is the account that acts as User, where that is somebody else, such as
	// support staff (RFC 8693, 4.1). The events of this login name both; the store
	// does not keep it.
	Actor string

	// Ended is called, before Login returns, with the id of each session that
	// EndOldest ended. Nil: nobody is told.
	Ended func(id string)

	// Reauthentication is a login of a session that is User's already; of any
	// other it is [ErrNotFound]. It keeps the timeouts, Persistent, UserAgent
	// and Address of the session.
	Reauthentication bool
}

const (
	maxUser      = 256
	maxUserAgent = 256
	maxAddress   = 64
	maxLoginID   = 96

	// BeganLimit is how long the check before a login may take. Stores remember
	// a revocation for that long.
	BeganLimit = time.Hour
)

// Check reports what is wrong with the fields; a [UserStore] calls it. It knows
// nothing of the store's own timeouts.
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

// A UserStore is a [TokenStore] that knows whose its sessions are. Both stores of
// this module are.
type UserStore interface {
	TokenStore

	// Login logs l.User in and returns a session with a new token. What becomes of
	// the session of token depends on whose it is:
	//
	//   - token is empty: a session begins.
	//   - It is anonymous: it ends, and a session begins with its values and an id
	//     of its own. Its own token, id and Session objects are dead from then on.
	//     A login that is refused gives it back as it was.
	//   - It is l.User's: it goes on with its id and values, no old token is good
	//     any more, and both timeouts begin anew.
	//
	// A write to the anonymous session that was acknowledged before is in the new
	// one; one that comes later is [ErrNotFound]. While a login is under way others
	// may be told [ErrNotFound], too, also where it is then refused.
	//
	// [ErrNotFound]: the token opens nothing, or the session is another user's, or
	// with l.Reauthentication anonymous. [ErrExists]: a live session has l.ID.
	// [ErrRevoked], [ErrUserLimit], [ErrInvalidUser], [ErrInvalidID], [ErrFull],
	// [ErrValue], [ErrTooLarge]: as they say. After any of these nothing has
	// changed. After another error the old token may be dead.
	Login(ctx context.Context, token string, l Login) (Session, error)

	// UserSessions lists the live sessions of a user, the last seen first; none
	// is no error.
	UserSessions(ctx context.Context, user string) ([]Info, error)

	// RemoveUserSessions ends all sessions of a user but those of the ids in
	// except, and returns how many it ended. When it returns nil, none of them
	// is alive, whatever was under way, and no login whose check began before
	// the call succeeds. After an error some may be alive; repeating it is
	// harmless.
	RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error)
}

// userStore returns the store's capability to know users.
func (m *Manager) userStore(call unsupported) (UserStore, error) {
	us, ok := unwrap[UserStore](m.Store)
	if !ok {
		return nil, call
	}
	return us, nil
}

// users is the start of every call about a user. It returns the context that the
// store is given.
func (m *Manager) users(ctx context.Context, call unsupported) (us UserStore, plain context.Context, err error) {
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

// User returns the user of the request's session. It fails with [ErrNotFound] if nobody is
// logged in, also if the session is anonymous, and with [errors.ErrUnsupported] if the
// session is no [Describer]. After any other error, which are those of GetSession, a user
// may or may not be logged in.
func (m *Manager) User(ctx *mist.Context) (string, error) {
	_, info, err := m.user(ctx)
	return info.User, err
}

// UserSessions lists the live sessions of a user, the last seen first: for a page
// that shows people where they are logged in (ASVS 5.0, 7.5.2). Current is the
// one that this request has loaded, if ctx is the *mist.Context of the request,
// or of a request behind the Middleware.
//
// [ErrInvalidUser]: user is empty or too long. [errors.ErrUnsupported]: the store
// is no [UserStore]. Other errors are the store's.
func (m *Manager) UserSessions(ctx context.Context, user string) ([]Info, error) {
	mctx, _ := ctx.(*mist.Context)
	us, ctx, err := m.users(ctx, "UserSessions")
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

// RemoveUserSessions ends all sessions of a user but those of the ids in except,
// and returns how many it ended: sign out everywhere, or everywhere else (ASVS
// 5.0, 7.4.2, 7.4.3, 7.4.5). When it
// returns nil all of them are dead, and a login whose check began before is
// refused ([ErrRevoked]), also one that is under way at this moment, and one of
// this very request. [Manager.PasswordChanged] revokes and logs in, in the order
// that works.
//
// Errors as for UserSessions. After one of the store's some sessions may be
// alive: call it again.
func (m *Manager) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	us, ctx, err := m.users(ctx, "RemoveUserSessions")
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

// RemoveUserSession ends the session of an id if it is user's: "sign out this
// device". [ErrNotFound]: it has ended, or is somebody else's, and nothing was
// done. Other errors as for UserSessions.
func (m *Manager) RemoveUserSession(ctx context.Context, user, id string) error {
	_, ctx, err := m.users(ctx, "RemoveUserSession")
	if err != nil {
		return err
	}
	if err := (&Login{User: user}).Check(); err != nil {
		return err
	}
	// The owner of a session never changes from one user to another.
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

// plainContext is the context of the request where ctx is its *mist.Context: no
// store is given one of those.
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

// current returns the id of the session that the request of a context has
// loaded; mctx may be nil.
func (m *Manager) current(ctx context.Context, mctx *mist.Context) string {
	var s Session
	if mctx != nil {
		s = m.entry(mctx).cached(mctx)
	} else if e, ok := ctx.Value(contextKey{}).(*entry); ok && e.manager == m {
		s = e.shown()
	}
	if s == nil {
		return ""
	}
	return s.ID()
}
