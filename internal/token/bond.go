package token

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
)

// These errors say why a session cannot be bound to a device, or why its device gets no new
// token.
var (
	ErrBound    = errors.New("session: bound to a device already")
	ErrReplayed = errors.New("session: challenge was answered before")
	ErrFull     = errors.New("session: store is full")
	ErrUnbound  = errors.New("session: not bound to that device")
)

// MaxDevice is the length of the longest device, in bytes.
const MaxDevice = 1024

// boundMark ends the secrets of bound sessions. It tells a store that the secret may have
// ended, so the store must check the time. A client cannot forge it, because the hash covers
// it.
const boundMark = "DEVICE"

// NewBoundSecret returns a fresh secret for a bound session.
func NewBoundSecret() string { return NewSecret() + boundMark }

// Bound reports whether secret may belong to a bound session.
func Bound(secret string) bool { return strings.HasSuffix(secret, boundMark) }

// A bond binds a session to a device: its secrets end after a short time, and only the device
// gets new ones.
type bond struct {
	device string // the device that a store was given; not empty
	ends   int64  // when the newest secret ends
	used   []use  // answered challenges that have not ended yet
}

// A use is a challenge that the device has answered.
type use struct {
	challenge challenge
	until     int64 // when the challenge ends
}

// A challenge is the beginning of the hash of a challenge.
type challenge [8]byte

// challengeSum returns the part of a challenge that a store keeps.
func challengeSum(s string) challenge {
	sum := sha256.Sum256([]byte(s))
	return challenge(sum[:len(challenge{})])
}

// Device returns the device that the session is bound to, or an empty string.
func (s *Secrets) Device() string {
	if s.bond == nil {
		return ""
	}
	return s.bond.device
}

// Ends returns when the newest secret ends. Zero means that it ends with the session.
func (s *Secrets) Ends() int64 {
	if s.bond == nil {
		return 0
	}
	return s.bond.ends
}

// Bind binds the session to a device. next becomes the newest secret and ends at ends. The
// previous secret stays valid until a client shows next, and then for grace. After [ErrBound]
// or [ErrFull] nothing has changed.
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

// A Proof describes what a device has proved.
type Proof struct {
	Device    string
	Challenge string
	Until     int64 // when the challenge ends
}

// Prove makes next the newest secret of the device's session, until ends. The previous bound
// secret stays valid until its own end. Two concurrent proofs get one secret each, and both
// secrets are valid. After [ErrUnbound], [ErrReplayed] or [ErrFull] nothing has changed.
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
	s.old.older.acknowledge(now) // a device that proves has learned of the binding
	s.bond = &bond{device: b.device, ends: ends, used: append(used, use{sum, p.Until})}
	return nil
}

// bondMark is the first byte of a stored bond. Without a bond, the first byte is the number of
// dead secrets, which is always smaller.
const bondMark = 0xff

const useSize = len(challenge{}) + 8

// append appends the bytes of the bond to out. A nil bond has none.
func (b *bond) append(out []byte) []byte {
	if b == nil {
		return out
	}
	out = binary.BigEndian.AppendUint16(append(out, bondMark), uint16(len(b.device))) //nolint:gosec // at most MaxDevice
	out = binary.BigEndian.AppendUint64(append(out, b.device...), uint64(b.ends))     //nolint:gosec // readBond converts it back
	out = append(out, byte(len(b.used)))                                              //nolint:gosec // at most MaxGenerations
	for _, u := range b.used {
		out = binary.BigEndian.AppendUint64(append(out, u.challenge[:]...), uint64(u.until)) //nolint:gosec // readBond converts it back
	}
	return out
}

// readBond reads the bond at the start of data, and returns the bytes after it. If there is no
// bond, b is nil and ok is true.
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
