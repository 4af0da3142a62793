package session

import (
	"errors"

	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// Errors to branch on with [errors.Is]. A capability that is missing is
// [errors.ErrUnsupported]; a context that ended is its own error; any other
// error of a store is a failure of that store, its cause reachable by
// errors.Is and errors.As. No error holds a token, an id or a value.

// Of sessions.
var (
	// ErrNotFound means that nobody is logged in: the request carries no
	// identifier, or a malformed or unknown one, or its session has expired or
	// was removed. It is one error for all of them, so that nobody outside can
	// tell them apart.
	ErrNotFound = errors.New("session: not found")

	// ErrMultiple means that a request carries two identifiers where it may
	// carry one, which is an attack or a misconfiguration: none is used. It also
	// matches [ErrNotFound]. Such a visitor can neither log in nor log out until the
	// client drops one of them. The usual cause is a deploy that changed Path or
	// Domain of the cookie; the field Former of cookie.Propagator expires the old one.
	ErrMultiple error = multiple{}

	// ErrExists means that [Store].Generate, or a login, was given the id of a live
	// session, which it left alone.
	ErrExists = errors.New("session: already exists")

	// ErrInvalidID means that an id has a shape that cannot name a session, or
	// that cannot travel to a client.
	ErrInvalidID = errors.New("session: invalid id")

	// ErrReused is why a token is [ErrNotFound], which it also matches: it is an old
	// one of a live session, after its grace. Whoever sent it is not logged in;
	// perhaps it was stolen. ErrExpiredIdle and ErrExpiredAbsolute are why, too,
	// where a store still knows. Stores return them; the Manager tells OnEvent and
	// gives handlers the plain ErrNotFound.
	ErrReused          error = reason("old token")
	ErrExpiredIdle     error = reason("idle timeout")
	ErrExpiredAbsolute error = reason("absolute timeout")

	// ErrUnproved is one more such reason: the token of a session that is bound to a
	// device ([DeviceStore]) was presented after its end. The session may live, and its
	// device be given another token. Perhaps a thief has the old one.
	ErrUnproved error = reason("token ended")

	// ErrFull means that a store is at its limit and made no session. Live
	// sessions are never dropped to make room.
	ErrFull = token.ErrFull
)

// Of devices, see [DeviceStore].
var (
	// ErrBound means that a session is bound to a device already. Another key never
	// takes the place of the first.
	ErrBound = token.ErrBound

	// ErrUnbound means that a session is not bound to the device, or to any.
	ErrUnbound = token.ErrUnbound

	// ErrReplayed means that a challenge was answered before.
	ErrReplayed = token.ErrReplayed
)

// Of values. The session is as it was before the call.
var (
	// ErrValue means a value that a store cannot give back with the same type
	// and content, so Set refuses it; from Get, stored bytes that are no value of
	// a type this program knows.
	ErrValue = values.ErrValue

	// ErrTooLarge means a key over 256 bytes, an encoded value over 1 MiB, more than
	// 1024 values in a session, or keys and encoded values of over 2 MiB in all. A
	// session that is larger already may become smaller.
	ErrTooLarge = values.ErrTooLarge
)

// Of users.
var (
	// ErrInvalidUser means a user of no or over 256 bytes.
	ErrInvalidUser = errors.New("session: invalid user")

	// ErrRevoked means that a login came too late: since the check of its
	// password began, the user's sessions were revoked, so the password may be
	// the old one. Ask for it again. It also matches [ErrNotFound], because nobody
	// is logged in by it.
	ErrRevoked error = revoked{}

	// ErrUserLimit means that a user has as many sessions as Manager.MaxUserSessions
	// allows. The new login has changed nothing.
	ErrUserLimit = errors.New("session: user has too many sessions")

	// ErrReauthenticate means that somebody is logged in, but not recently enough,
	// or not strongly enough, for what they asked. See [Manager.RequireFresh] and
	// [Manager.RequireLevel].
	ErrReauthenticate = errors.New("session: must authenticate again")

	// ErrForged means that a request comes from another site, or lacks the token
	// that a form of this session has. See [Manager.RequireCSRF].
	ErrForged = errors.New("session: forged request")
)

// Of responses.
var (
	// ErrHeaderWritten means that the response header is out, so nothing can be
	// set or cleared on the client any more. It is known only behind
	// [Manager.Middleware].
	ErrHeaderWritten = errors.New("session: response header already written")
)

// A reason is why there is no session. Its text does not say it: somebody may
// show that to a client.
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
