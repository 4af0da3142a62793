package token

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
)

// Why a session is not bound to a device, or its device gets no new token.
var (
	ErrBound    = errors.New("session: bound to a device already")
	ErrReplayed = errors.New("session: challenge was answered before")
	ErrFull     = errors.New("session: store is full")
	ErrUnbound  = errors.New("session: not bound to that device")
)

// MaxDevice is the length of the longest device, in bytes.
const MaxDevice = 1024

// boundMark ends the secrets of bound sessions, so that a store knows from a token
// alone that it has to look at the time. It is not trusted: the hash covers it.
const boundMark = "DEVICE"

// NewBoundSecret returns a fresh secret for a bound session.
func NewBoundSecret() string { return NewSecret() + boundMark }

// Bound reports whether secret may be one of a bound session.
func Bound(secret string) bool { return strings.HasSuffix(secret, boundMark) }

// A bond is what binds a session to a device: its secrets end by themselves, and only
// the device is given others.
type bond struct {
	device string // what a store was given; not empty
	ends   int64  // when the newest secret ends
	used   []use  // challenges that were answered and could be again
}

// A use is a challenge that was answered.
type use struct {
	challenge challenge
	until     int64 // when it can be answered no more
}

// A challenge is the start of the hash of one.
type challenge [8]byte

// challengeSum is what is kept of a challenge.
func challengeSum(s string) challenge {
	sum := sha256.Sum256([]byte(s))
	return challenge(sum[:len(challenge{})])
}

// Device returns the device that the session is bound to; empty: none.
func (s *Secrets) Device() string {
	if s.bond == nil {
		return ""
	}
	return s.bond.device
}

// Ends returns when the newest secret ends; zero: with the session.
func (s *Secrets) Ends() int64 {
	if s.bond == nil {
		return 0
	}
	return s.bond.ends
}

// Bind binds the session to a device. next is the newest secret from now on, until
// ends. The one before is good until next was seen, and then for grace. [ErrBound],
// [ErrFull]: nothing has changed.
func (s *Secrets) Bind(device, next string, ends, grace, now int64) error {
	if s.bond != nil {
		return ErrBound
	}
	if !s.replace(next, generation{grace: grace, until: forever}, now) {
		return ErrFull
	}
	s.bond = &bond{device: device, ends: ends}
	return nil
}

// A Proof is what a device has proved.
type Proof struct {
	Device    string
	Challenge string
	Until     int64 // the challenge cannot be answered after that
}

// Prove makes next the newest secret of the device's session, until ends. The bound one
// before is good until its own end. Two proofs at once are given a secret each, and both
// are good. [ErrUnbound], [ErrReplayed], [ErrFull]: nothing has changed.
func (s *Secrets) Prove(p Proof, next string, ends, now int64) error {
	b := s.bond
	if b == nil || b.device != p.Device {
		return ErrUnbound
	}
	used, sum := make([]use, 0, len(b.used)+1), challengeSum(p.Challenge)
	for _, u := range b.used {
		switch {
		case now >= u.until:
		case u.challenge == sum:
			return ErrReplayed
		default:
			used = append(used, u)
		}
	}
	if len(used) >= MaxGenerations || !s.replace(next, generation{until: b.ends}, now) {
		return ErrFull
	}
	s.old.older.acknowledge(now) // who proves has been told of the binding
	s.bond = &bond{device: b.device, ends: ends, used: append(used, use{sum, p.Until})}
	return nil
}

// bondMark is the first byte of a stored bond; the number of dead secrets, which is the
// first byte where there is none, is smaller.
const bondMark = 0xff

const useSize = len(challenge{}) + 8

// append adds the bytes of a bond to out; nothing where there is none.
func (b *bond) append(out []byte) []byte {
	if b == nil {
		return out
	}
	out = binary.BigEndian.AppendUint16(append(out, bondMark), uint16(len(b.device))) //nolint:gosec // at most MaxDevice
	out = binary.BigEndian.AppendUint64(append(out, b.device...), uint64(b.ends))     //nolint:gosec // and back in readBond
	out = append(out, byte(len(b.used)))                                              //nolint:gosec // at most MaxGenerations
	for _, u := range b.used {
		out = binary.BigEndian.AppendUint64(append(out, u.challenge[:]...), uint64(u.until)) //nolint:gosec // and back in readBond
	}
	return out
}

// readBond reads the bond that data begins with, and returns what is behind it. No bond
// is ok, too.
func readBond(data []byte) (b *bond, rest []byte, ok bool) {
	if len(data) == 0 || data[0] != bondMark {
		return nil, data, true
	}
	if len(data) < 3 {
		return nil, nil, false
	}
	device := int(binary.BigEndian.Uint16(data[1:]))
	data = data[3:]
	if device == 0 || device > MaxDevice || len(data) < device+8+1 {
		return nil, nil, false
	}
	b = &bond{device: string(data[:device]), ends: int64(binary.BigEndian.Uint64(data[device:]))} //nolint:gosec // see append
	used := int(data[device+8])
	data = data[device+8+1:]
	if used > MaxGenerations || len(data) < used*useSize {
		return nil, nil, false
	}
	for ; used > 0; used, data = used-1, data[useSize:] {
		u := use{challenge: challenge(data[:len(challenge{})])}
		u.until = int64(binary.BigEndian.Uint64(data[len(u.challenge):])) //nolint:gosec // see append
		b.used = append(b.used, u)
	}
	return b, data, true
}
