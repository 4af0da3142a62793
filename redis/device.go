package redis

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
)

// Bind binds a session to a device, see [session.DeviceStore]. It runs one script, which
// works like a rotation.
func (st *Store) Bind(ctx context.Context, clientToken string, p session.Proof) (session.Session, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	id, secret, ok := token.Parse(clientToken)
	if !ok {
		return nil, session.ErrNotFound
	}
	fresh, salt := token.NewBoundSecret(), token.Salt{}
	sum, next := token.Hash(secret), token.Hash(fresh)
	s, err := st.authenticate(ctx, &bindScript, id, fresh, append(scriptArgs(7),
		sum[:], salt[:], next[:], p.Grace.Milliseconds(), maxOldSecrets, p.Device, p.Lifetime.Milliseconds()))
	return s, unproved(secret, err)
}

// Prove gives the device of a session a new token, see [session.DeviceStore]. It runs one
// script, which succeeds even if Redis is out of memory.
func (st *Store) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if !token.ValidID(id) {
		return nil, session.ErrNotFound
	}
	fresh, challenge := token.NewBoundSecret(), sha256.Sum256([]byte(p.Challenge))
	sum := token.Hash(fresh)
	return st.authenticate(ctx, &proveScript, id, fresh, append(scriptArgs(6),
		p.Device, challenge[:challengeSize], p.Remember.Milliseconds(), sum[:], p.Lifetime.Milliseconds(), maxOldSecrets))
}

// unproved turns ErrReused into ErrUnproved for a secret that is bound to a device.
func unproved(secret string, err error) error {
	if token.Bound(secret) && errors.Is(err, session.ErrReused) {
		return session.ErrUnproved
	}
	return err
}

const (
	// timeSize is the number of digits of a time in the fields of a device.
	timeSize = 13

	// challengeSize is how many bytes of the hash of a challenge the store keeps.
	challengeSize = 8
)

// parseBinding reads the fields of a session that is bound to a device. An unbound session has
// none of them, and ok is true for it as well.
func parseBinding(fields map[string]string) (device string, ends int64, ok bool) {
	b, bound := fields["b"]
	if !bound {
		return "", 0, true
	}
	if len(b) <= timeSize || len(b) > timeSize+token.MaxDevice {
		return "", 0, false
	}
	ends, err := number(b[:timeSize])
	answered := len(fields["q"])
	return b[timeSize:], ends, err == nil && answered%(challengeSize+timeSize) == 0 && answered <= maxOldSecrets*(challengeSize+timeSize)
}
