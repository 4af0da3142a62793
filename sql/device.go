package sql

import (
	"context"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
)

// Bind binds a session to a device, see [session.DeviceStore].
func (st *Store) Bind(ctx context.Context, clientToken string, p session.Proof) (session.Session, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	fresh := token.NewBoundSecret()
	return st.authenticate(ctx, clientToken, func(r *record, m *token.Match, now int64) error {
		*m = token.Match{Newest: fresh, Ends: now + p.Lifetime.Microseconds(), Changed: true}
		return r.secrets.Bind(p.Device, fresh, m.Ends, p.Grace.Microseconds(), now)
	})
}

// Prove gives the device of a session a new token, see [session.DeviceStore].
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
	var ends int64
	fresh := token.NewBoundSecret()
	r, err := st.change(ctx, opChange, id, nil, func(r *record, now int64) (bool, error) {
		if r.expired(now) != nil {
			return false, session.ErrNotFound
		}
		ends = now + p.Lifetime.Microseconds()
		proved := token.Proof{Device: p.Device, Challenge: p.Challenge, Until: now + p.Remember.Microseconds()}
		return true, r.secrets.Prove(proved, fresh, ends, now)
	})
	if err != nil {
		return nil, err
	}
	return st.newRequestSession(r, token.Join(id, fresh), ends), nil
}
