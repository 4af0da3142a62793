package session

import (
	"context"
	"time"
)

// A Store keeps sessions. [github.com/mist-contrib/session/sessiontest] proves
// that an implementation keeps what is promised here.
//
// Every method ends when ctx does, with its error. A store that wraps another
// has an Unwrap() Store method, by which its capabilities are found.
// Implementations are safe for concurrent use.
type Store interface {
	// Generate makes an empty session of that id. It only creates: [ErrExists]
	// when a live session has the id, and that session is left alone.
	// [ErrInvalidID]: the id has a shape the store cannot keep. [ErrFull]: the
	// store is at its limit.
	Generate(ctx context.Context, id string) (Session, error)

	// Refresh starts the idle timeout anew, in one step: the session now lives
	// until now plus the idle timeout, or its absolute deadline if that is
	// earlier. Repeating it is harmless. [ErrNotFound]: the session has ended;
	// it is never brought back.
	Refresh(ctx context.Context, id string) error

	// Remove ends the session: when it returns nil, nothing that is under way
	// can bring it back. Removing what is not there is no error.
	Remove(ctx context.Context, id string) error

	// Get loads the session of an id. It asks for no secret and is meant for
	// trusted callers; a request's token goes to Open where the store is a
	// [TokenStore]. It does not prolong the session. [ErrNotFound]: there is
	// none, or the id is malformed.
	Get(ctx context.Context, id string) (Session, error)
}

// A TokenStore is a [Store] whose sessions are opened by a token and not by
// their id. Both stores of this module are. The Session that its Generate,
// Open and Rotate return is a [Tokener].
//
// A token is <id>.<secret>: the id of 1 to 128 characters of A-Z, a-z, 0-9, '-'
// and '_', the secret of [crypto/rand.Text], 26 to 64 characters of A-Z and
// 2-7 (ASVS 5.0, 7.2.3). The Manager refuses anything else before it asks the
// store. The store keeps a hash of the secret.
type TokenStore interface {
	Store

	// Open loads the session that a token names and authenticates. It does not
	// prolong it. [ErrNotFound]: malformed, unknown, expired, removed, or a
	// secret that is not, or no longer, the session's.
	Open(ctx context.Context, token string) (Session, error)

	// Rotate gives the session of a token a new secret and returns it with its
	// new token; id, values and deadlines stay. The old token stays good until
	// the new one is first opened, and then for grace. Whoever rotates with an
	// old token while it is good is given the newest one, so repeating it is
	// harmless and all who race end with the same. grace is zero or more. The
	// store may bound how many old tokens are good at once, and then returns the
	// newest token without a further rotation. [ErrNotFound] as for Open.
	Rotate(ctx context.Context, token string, grace time.Duration) (Session, error)
}
