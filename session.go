package session

import "context"

// A Session is the data of one visitor over many requests.
//
// It shows the session as it was when this request loaded it, plus what was
// written through this Session. Every write goes to the store before it
// returns, key by key, so concurrent requests of one session lose nothing to
// each other; the same key written by two is the later one's.
//
// What a session can do beyond these three methods is a capability, reached by
// a function of this package: [Delete], [Clear], [Pop], [Update], [SetAll],
// [All], [Describe], [Token].
//
// A Session is safe for concurrent use, and may be kept longer than the
// request: it never becomes another visitor's.
type Session interface {
	// Get returns the value of key, a copy that the caller may change. An absent
	// key gives nil, nil. Get never writes and does not prolong the session. An
	// error that matches [ErrValue] means that what is stored cannot be read,
	// for this key only; the error of ctx is returned when ctx has ended.
	Get(ctx context.Context, key string) (any, error)

	// Set stores a copy of value under key; when it returns nil the value is in
	// the store. It keeps bool, string, []byte, every int, uint and float type,
	// [time.Time], slices of these and of any, maps of the same with string keys,
	// and any type that was registered ([NewKey], [Register]).
	// Repeating it is harmless. [ErrNotFound]: the session has ended, nothing
	// was stored. [ErrValue], [ErrTooLarge]: the value cannot be kept, the old
	// one stays.
	Set(ctx context.Context, key string, value any) error

	// ID returns the session's public handle, the same for its whole life. It
	// may be logged and shown; it authenticates nobody where the store is a
	// [TokenStore]. A login ends an anonymous session, so the id is another one
	// afterwards.
	ID() string
}

// unwrap finds the first of v, v.Unwrap(), v.Unwrap().Unwrap() and so on that
// is a C. It is the only place that asserts a capability.
func unwrap[C, V any](v V) (c C, ok bool) {
	for any(v) != nil {
		if c, ok = any(v).(C); ok {
			return c, true
		}
		w, wraps := any(v).(interface{ Unwrap() V })
		if !wraps {
			break
		}
		v = w.Unwrap()
	}
	return c, false
}
