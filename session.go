package session

import "context"

// A Session is the data of one visitor over many requests.
//
// It shows the session as it was when this request loaded it, plus the writes through this
// Session. Every write goes to the store before it returns, key by key. So concurrent
// requests of one session lose no writes; if two write the same key, the later write wins.
//
// Everything beyond these three methods is a capability, and a function of this package:
// [Delete], [Clear], [Pop], [Update], [SetAll], [All], [Describe], [Now], [DeviceOf],
// [Token].
//
// A Session is safe for concurrent use and may outlive the request: it never becomes
// another visitor's.
type Session interface {
	// Get returns the value of key, a copy that the caller may change. An absent key gives
	// nil, nil. Get never writes and does not prolong the session. An error that matches
	// [ErrValue] means that the stored value of this key cannot be read. Get returns the
	// error of ctx when ctx has ended.
	Get(ctx context.Context, key string) (any, error)

	// Set stores a copy of value under key. When it returns nil, the value is in the
	// store. It accepts bool, string, []byte, [time.Time], and every int, uint and float
	// type. It also accepts slices of these and of any, maps of the same with string keys,
	// and registered types ([NewKey], [Register]). Repeating it is harmless.
	// [ErrNotFound]: the session has ended, and nothing was stored. [ErrValue],
	// [ErrTooLarge]: the value cannot be kept, and the old one stays.
	Set(ctx context.Context, key string, value any) error

	// ID returns the session's public handle, which never changes. It may be logged and
	// shown: with a [TokenStore] it authenticates nobody. A login ends an anonymous
	// session, so the session afterwards has another id.
	ID() string
}

// unwrap returns the first of v, v.Unwrap(), v.Unwrap().Unwrap() and so on that is a C. It
// is the only place that asserts a capability.
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
