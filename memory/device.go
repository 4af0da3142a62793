package memory

import (
	"context"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
)

// Bind binds a session to a device, see [session.DeviceStore].
func (st *Store) Bind(ctx context.Context, carried string, p session.Proof) (session.Session, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	fresh := token.NewBoundSecret()
	return st.open(ctx, carried, func(r *record, m token.Match, now int64) (token.Match, error) {
		m.Newest, m.Ends = fresh, now+int64(p.Lifetime)
		return m, r.secrets.Bind(p.Device, fresh, m.Ends, int64(p.Grace), now)
	})
}

// Prove gives the device of a session a new token, see [session.DeviceStore].
func (st *Store) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	var s *object
	fresh := token.NewBoundSecret()
	err := st.on(ctx, id, func(sh *shard, r *record, now int64) error {
		ends := now + int64(p.Lifetime)
		proved := token.Proof{Device: p.Device, Challenge: p.Challenge, Until: now + int64(p.Remember)}
		if err := r.secrets.Prove(proved, fresh, ends, now); err != nil {
			return err
		}
		s = sh.load(r, token.Join(r.id(), fresh), ends)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}
