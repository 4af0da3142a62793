package session

import "time"

// Info describes a session as it was when this request loaded it. Nothing in it is secret.
type Info struct {
	ID    string // the public handle
	User  string // empty while the session is anonymous
	Level Level  // how strongly User proved who they are; zero while anonymous

	CreatedAt        time.Time // when Generate or a login made it
	LastSeen         time.Time // the last Refresh or login, or CreatedAt
	IdleDeadline     time.Time // when it ends unless refreshed; never after AbsoluteDeadline
	AbsoluteDeadline time.Time // when it ends even if refreshed; only a login moves it
	AuthenticatedAt  time.Time // when User last proved who they are; zero while anonymous
	RotatedAt        time.Time // when its token was made: the last login or rotation, or CreatedAt

	Bound       bool      // it is bound to a device, see [DeviceStore]
	ProvedUntil time.Time // if Bound: when the token that opened it ends, or the newest; zero for a token from before the binding

	Persistent bool   // the client keeps its identifier after the browser closes; always so if Bound
	UserAgent  string // of the device, as it was at login
	Address    string // the network of the device, as it was at login

	Current bool // it is the session of this request; only from Manager.UserSessions
}

// A Describer is a [Session] that can describe itself.
type Describer interface {
	Info() Info
}

// Describe returns the Info of s. [errors.ErrUnsupported]: s is no [Describer].
func Describe(s Session) (Info, error) {
	if d, ok := unwrap[Describer](s); ok {
		return d.Info(), nil
	}
	return Info{}, unsupported("Describe")
}
