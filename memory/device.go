package memory

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
	newSecret := token.NewBoundSecret()
	return st.open(ctx, clientToken, func(r *record, m token.Match, now int64) (token.Match, error) {
		m.Newest, m.Ends = newSecret, now+int64(p.Lifetime)
		return m, r.secrets.Bind(p.Device, newSecret, m.Ends, int64(p.Grace), now)
	})
}

// Prove gives the device of a session a new token, see [session.DeviceStore].
func (st *Store) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	var s *requestSession
	newSecret := token.NewBoundSecret()
	err := st.withRecord(ctx, id, func(sh *shard, r *record, now int64) error {
		ends := now + int64(p.Lifetime)
		proved := token.Proof{Device: p.Device, Challenge: p.Challenge, Until: now + int64(p.Remember)}
		if err := r.secrets.Prove(proved, newSecret, ends, now); err != nil {
			return err
		}
		s = sh.load(r, token.Join(r.id(), newSecret), ends)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}
