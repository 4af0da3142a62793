package session

import (
	"errors"

	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// Errors to branch on with [errors.Is]. A missing capability matches
// [errors.ErrUnsupported]. If a context ended, the error is the context's own. Any other
// error of a store is a failure of that store; errors.Is and errors.As reach its cause. No
// error contains a token, an id or a value.

// Of sessions.
var (
	// ErrNotFound means that nobody is logged in: the request carries no identifier, or a
	// malformed or unknown one, or its session has expired or was removed. One error
	// covers all cases, so that clients cannot tell them apart.
	ErrNotFound = errors.New("session: not found")

	// ErrMultiple means that a request carries two identifiers. That is an attack or a
	// misconfiguration, so neither is used. It also matches [ErrNotFound]. Such a visitor
	// can neither log in nor log out until the client drops one of them. The usual cause
	// is a deploy that changed Path or Domain of the cookie; the field Former of
	// cookie.Propagator expires the old one.
	ErrMultiple error = multiple{}

	// ErrExists means that [Store].Generate, or a login, was given the id of a live
	// session. That session is unchanged.
	ErrExists = errors.New("session: already exists")

	// ErrInvalidID means that the shape of an id is invalid, or that the id cannot travel
	// to a client.
	ErrInvalidID = errors.New("session: invalid id")

	// ErrReused means that an old token of a live session was used after its grace. The
	// request is not logged in, and the token may be stolen. ErrReused also matches
	// [ErrNotFound]. So do ErrExpiredIdle and ErrExpiredAbsolute, from stores that still
	// know the reason. Stores return them. The Manager passes them to OnEvent and returns
	// the plain ErrNotFound to handlers.
	ErrReused          error = reason("old token")
	ErrExpiredIdle     error = reason("idle timeout")
	ErrExpiredAbsolute error = reason("absolute timeout")

	// ErrUnproved is another such reason: the token of a session that is bound to a device
	// ([DeviceStore]) was used after it ended. The session may live, and its device may
	// get another token. The old token may be stolen.
	ErrUnproved error = reason("token ended")

	// ErrFull means that a store is at its limit and made no session. A store never drops
	// live sessions to make room.
	ErrFull = token.ErrFull
)

// Of devices, see [DeviceStore].
var (
	// ErrBound means that a session is already bound to a device. Another key never
	// replaces the first.
	ErrBound = token.ErrBound

	// ErrUnbound means that a session is bound to another device, or to no device.
	ErrUnbound = token.ErrUnbound

	// ErrReplayed means that a challenge was already answered.
	ErrReplayed = token.ErrReplayed
)

// Of values. The session is as it was before the call.
var (
	// ErrValue means that a value would change its type or content in a store, so Set
	// refuses it. From Get it means that the stored bytes are no value of a type that this
	// program knows.
	ErrValue = values.ErrValue

	// ErrTooLarge means that a limit is exceeded: 256 bytes for a key, 1 MiB for an
	// encoded value, 1024 values in a session, or 2 MiB for all keys and encoded values. A
	// session that is already larger may shrink.
	ErrTooLarge = values.ErrTooLarge
)

// Of users.
var (
	// ErrInvalidUser means that a user is empty or over 256 bytes.
	ErrInvalidUser = errors.New("session: invalid user")

	// ErrRevoked means that a login came too late. The user's sessions were revoked after
	// the password check began, so the password may be the old one: ask for it again. It
	// also matches [ErrNotFound], because nobody is logged in.
	ErrRevoked error = revoked{}

	// ErrUserLimit means that a user has as many sessions as Manager.MaxUserSessions
	// allows. The new login has changed nothing.
	ErrUserLimit = errors.New("session: user has too many sessions")

	// ErrReauthenticate means that the user is logged in, but not recently or not strongly
	// enough for this request. See [Manager.RequireFresh] and [Manager.RequireLevel].
	ErrReauthenticate = errors.New("session: must authenticate again")

	// ErrForged means that a request comes from another site, or lacks the form token of
	// this session. See [Manager.RequireCSRF].
	ErrForged = errors.New("session: forged request")
)

// Of responses.
var (
	// ErrHeaderWritten means that the response header is out, so the client's identifier
	// can no longer change. Only [Manager.Middleware] detects this.
	ErrHeaderWritten = errors.New("session: response header already written")
)

// A reason tells why there is no session. Its text hides the reason, because an application
// may show it to a client.
type reason string

func (reason) Error() string { return ErrNotFound.Error() }

func (reason) Is(target error) bool { return target == ErrNotFound }

type revoked struct{}

func (revoked) Error() string { return "session: sessions of the user were revoked meanwhile" }

func (revoked) Is(target error) bool { return target == ErrNotFound }

type multiple struct{}

func (multiple) Error() string {
	return "session: more than one identifier; if Path or Domain of the cookie changed, set cookie.Propagator.Former"
}

func (multiple) Is(target error) bool { return target == ErrNotFound }
