package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mist-contrib/session/internal/token"
)

// A DeviceStore is a [UserStore] that can bind sessions to devices. The tokens of a bound
// session end after minutes, and only the holder of the device's private key gets new ones.
// A stolen token is therefore useful for minutes only. Stores do not check signatures;
// the caller of [Manager.BindDevice] does.
type DeviceStore interface {
	UserStore

	// Bind binds a token's session to p.Device and returns it with a new token, which ends
	// after p.Lifetime. The old token stays valid until the new one is first opened or the
	// device first proves itself, and then for p.Grace. A login can be bound once; the next
	// login of the session ends the binding. After each of these errors nothing has changed:
	//   - [ErrNotFound]: as from Open
	//   - [ErrBound]: the session is already bound, to this or another device
	//   - [ErrFull]: too many old tokens are still valid
	Bind(ctx context.Context, token string, p Proof) (Session, error)

	// Prove returns the session with this id and a new token, which ends after p.Lifetime.
	// The session's deadlines do not change. Earlier bound tokens stay valid until their own
	// end, so concurrent proofs each get a valid token. After each of these errors nothing
	// has changed:
	//   - [ErrNotFound]: the session has ended
	//   - [ErrUnbound]: the session is not bound to p.Device
	//   - [ErrReplayed]: p.Challenge was answered before
	//   - [ErrFull]: too many tokens are still valid
	//
	// After its end, a bound session's token opens nothing. For the newest token and the
	// seven before it, Open then fails with [ErrUnproved]; for older ones, with
	// [ErrNotFound]. Rotate returns a bound session with its token unchanged.
	Prove(ctx context.Context, id string, p Proof) (Session, error)
}

// A Proof tells a [DeviceStore] what a device has proved. Its maker has checked the
// signature.
type Proof struct {
	// Device describes the device to its verifier, for example by its public key. It has
	// 1 to 1024 bytes, and the store returns it unchanged.
	Device string

	// Challenge is the text that the device signed. A store accepts each challenge once.
	// Bind ignores it.
	Challenge string

	// Remember is how long the store refuses Challenge from now on: at least as long as the
	// challenge is valid.
	Remember time.Duration

	// Lifetime is how long the new token is valid, at least a millisecond.
	Lifetime time.Duration

	// Grace is how long Bind keeps the old token valid, see there. It is not negative.
	Grace time.Duration
}

// Format prints the word "proof" for every verb, and nothing of the proof itself.
func (p Proof) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "proof") }

const maxProof = 24 * time.Hour

// Check validates the fields. A [DeviceStore] calls it.
func (p Proof) Check() error {
	switch {
	case p.Device == "" || len(p.Device) > token.MaxDevice:
		return errDevice
	case p.Lifetime < time.Millisecond || p.Lifetime > maxProof:
		return errLifetime
	case p.Grace < 0 || p.Grace > maxRotateGrace || p.Remember < 0 || p.Remember > maxProof:
		return errProofTimes
	}
	return nil
}

// A Bound is a [Session] that may be bound to a device.
type Bound interface {
	// Device returns the device that Bind stored. It is empty if the session is not bound.
	Device() string
}

// DeviceOf returns the device that s was bound to when this request loaded it. It is empty
// if s was not bound. If s is no [Bound], the error matches [errors.ErrUnsupported].
func DeviceOf(s Session) (string, error) {
	if b, ok := unwrap[Bound](s); ok {
		return b.Device(), nil
	}
	return "", unsupported("DeviceOf")
}

var (
	errDevice     = errors.New("session: Proof: Device is empty or over 1024 bytes")
	errLifetime   = errors.New("session: Proof: Lifetime is under a millisecond or over a day")
	errProofTimes = errors.New("session: Proof: Grace or Remember is negative or over a day")
)
