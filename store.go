package session

import (
	"context"
	"time"
)

// A Store keeps sessions. [github.com/mist-contrib/session/sessiontest] tests that an
// implementation keeps this contract.
//
// Every method returns the error of ctx when ctx ends. A store that wraps another has an
// Unwrap() Store method, which reveals the capabilities of the wrapped store.
// Implementations are safe for concurrent use.
type Store interface {
	// Generate makes an empty session with that id. [ErrExists]: a live session has the
	// id, and it is unchanged. [ErrInvalidID]: the store cannot keep an id of this shape.
	// [ErrFull]: the store is at its limit.
	Generate(ctx context.Context, id string) (Session, error)

	// Refresh starts the idle timeout again, in one step. The session now lives for the
	// idle timeout, but never beyond its absolute deadline. Repeating it is harmless.
	// [ErrNotFound]: the session has ended; Refresh never brings it back.
	Refresh(ctx context.Context, id string) error

	// Remove ends the session. After it returns nil, no call in progress can bring the
	// session back. Removing an unknown session is no error.
	Remove(ctx context.Context, id string) error

	// Get loads the session of an id, for trusted callers only: it asks for no secret. If
	// the store is a [TokenStore], a request's token goes to Open. Get does not prolong
	// the session. [ErrNotFound]: no live session has the id, or the id is malformed.
	Get(ctx context.Context, id string) (Session, error)
}

// A TokenStore is a [Store] that opens sessions by a token and not by their id. Generate,
// Open and Rotate return a Session that is a [Tokener].
//
// A token is <id>.<secret>. The id has 1 to 128 characters of A-Z, a-z, 0-9, '-' and '_'.
// The secret comes from [crypto/rand.Text]: 26 to 64 characters of A-Z and 2-7 (ASVS 5.0,
// 7.2.3). The Manager refuses any other token without asking the store. The store keeps a
// hash of the secret.
type TokenStore interface {
	Store

	// Open authenticates a token and loads its session. It does not prolong the session.
	// [ErrNotFound]: the token is malformed or unknown, the session has expired or was
	// removed, or the secret is wrong or outdated.
	Open(ctx context.Context, token string) (Session, error)

	// Rotate gives the session of a token a new secret and returns it with its new token;
	// id, values and deadlines stay. The old token stays valid until the new one is first
	// opened, and then for grace, which is zero or more. If a caller rotates with a valid
	// old token, Rotate returns the newest one. So repeating it is harmless, and
	// concurrent callers get the same token. The store may limit how many old tokens are
	// valid at once; at that limit Rotate returns the newest token without a further
	// rotation. [ErrNotFound] as for Open.
	Rotate(ctx context.Context, token string, grace time.Duration) (Session, error)
}
