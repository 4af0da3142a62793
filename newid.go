package session

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/mist-contrib/session/internal/token"
)

// idRetries is how often withNewID tries another id.
const idRetries = 3

func (m *Manager) generate(ctx context.Context) (Session, error) {
	return m.withNewID(func(id string) (Session, error) { return m.Store.Generate(ctx, id) })
}

// withNewID makes a session with a new id. If the id is taken, it tries another.
func (m *Manager) withNewID(begin func(id string) (Session, error)) (Session, error) {
	newID, valid := m.NewID, validPlainID
	if newID == nil {
		newID = uuid.NewString
	}
	if _, tokens := m.tokenStore(); tokens {
		valid = token.ValidID
	}
	for tries := 0; ; tries++ {
		id := newID()
		if !valid(id) {
			return nil, ErrInvalidID
		}
		s, err := begin(id)
		switch {
		case err == nil && s == nil:
			return nil, errNoSession
		case errors.Is(err, ErrExists) && tries < idRetries:
		default:
			return s, err
		}
	}
}
