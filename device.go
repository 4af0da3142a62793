package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mist-contrib/session/internal/token"
)

// A DeviceStore is a [UserStore] that binds sessions to devices. From then on the token
// of a session ends after minutes, and only who holds the device's private key is given
// another one. So a token that was stolen is worth minutes. The stores know nothing of
// keys and signatures; see [Manager.BindDevice] for who does.
type DeviceStore interface {
	UserStore

	// Bind binds the session of a token to p.Device and returns it with a new token,
	// which ends after p.Lifetime. The old token stays good until the new one is first
	// opened or the device first proves itself, and then for p.Grace. That is done once in the life of a login: the next
	// login of the session ends the binding. [ErrNotFound] as for Open. [ErrBound]:
	// the session is bound already, to whatever device. [ErrFull]: too many old
	// tokens are good still. After these nothing has changed.
	Bind(ctx context.Context, token string, p Proof) (Session, error)

	// Prove returns the session of an id with a new token, which ends after
	// p.Lifetime. Its deadlines stay. A bound token of before is good until its own end, so
	// of several proofs at once each gets a token, and all are good. [ErrNotFound]: the
	// session has ended. [ErrUnbound]: it is not bound to p.Device. [ErrReplayed]:
	// p.Challenge was answered before. [ErrFull]: too many tokens are good still. After
	// these nothing has changed.
	//
	// The store takes a bound session's token for no other purpose after its end: that
	// is [ErrUnproved] from Open, of the newest and of the last seven before it, and
	// [ErrNotFound] of older ones. Rotate returns the token of a bound session as it
	// is.
	Prove(ctx context.Context, id string, p Proof) (Session, error)
}

// A Proof is what a device has proved, for a [DeviceStore]. Whoever makes one has checked
// the signature.
type Proof struct {
	// Device stands for the device: its public key, and what else its verifier needs.
	// A store keeps it as it is, 1 to 1024 bytes.
	Device string

	// Challenge is what the device signed. A store takes each once. Bind needs none.
	Challenge string

	// Remember is for how long from now Challenge could be answered again, so the
	// store refuses it for that long.
	Remember time.Duration

	// Lifetime is how long the new token is good, at least a millisecond.
	Lifetime time.Duration

	// Grace is for Bind; zero or more.
	Grace time.Duration
}

// Format prints no part of the proof, whatever the verb.
func (p Proof) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "proof") }

const maxProof = 24 * time.Hour

// Check reports what is wrong with the fields; a [DeviceStore] calls it.
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
	// Device returns what Bind stored; empty: it is bound to no device.
	Device() string
}

// DeviceOf returns the device that s is bound to, as it was when this request loaded it;
// empty: none. [errors.ErrUnsupported]: s is not [Bound].
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
