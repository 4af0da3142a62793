// Package session keeps the visitors of a [mist] web application logged in.
//
// A [Manager] joins a [Store], which keeps sessions, with a [Propagator], which carries
// their identifier. It is a struct literal with safe defaults:
//
//	manager := &session.Manager{
//		Store:      &memory.Store{},
//		Propagator: &cookie.Propagator{},
//	}
//
// Handlers call its methods: [Manager.Login] after the password check, [Manager.GetSession]
// anywhere, [Manager.RefreshSession] where activity counts, [Manager.RemoveSession] at
// logout. [Manager.InitSession] begins an anonymous session, such as for a cart.
// [Manager.RotateSession] renews the token at the same privilege.
//
//	s, err := manager.GetSession(ctx)
//	switch {
//	case errors.Is(err, session.ErrNotFound): // nobody is logged in
//	case err != nil: // it could not be found out: answer 503, log nobody out
//	}
//
// # Values
//
// A [Session] holds values under string keys. A [Key] gives them a type:
//
//	var cart = session.NewKey[Cart]("cart")
//	c, ok, err := cart.Get(ctx, s)
//
// Writes go to the store at once, key by key. There is nothing to save, and concurrent
// requests of one session lose no writes. Use [Update] for a new value that depends on the
// old one, and [Pop] for a value that may be read only once. Values are copies, in every
// store.
//
// # Accounts
//
// A session is anonymous until [Manager.Login]; [Describe] returns its user. A login ends
// the anonymous session of the request. Its values move to a new session, which keeps its
// own id until it ends; [Event].Previous holds the id of the ended one. [Login].Values are
// stored in the same step. [Manager.UserSessions] lists the sessions of a user,
// [Manager.RemoveUserSessions] ends them. [Manager.Reauthenticate] records that the user
// has authenticated again. [Manager.RequireLevel] and [Manager.RequireFresh] then guard
// routes.
//
// # Lifetime of a session
//
// The idle timeout ends a session if no [Manager.RefreshSession] comes in time. The
// absolute timeout ends it at a fixed time after it was made or logged in.
// [Manager.RemoveSession] ends it at once. Reading does not prolong a session. An ended
// session never comes back: a request in progress gets [ErrNotFound] from its next write.
//
// # Capabilities
//
// A capability beyond the core is an optional interface of a store or session, with one
// function: [Delete], [Clear], [Pop], [Update], [SetAll], [All], [Describe], [Now],
// [DeviceOf], [Token]. If it is missing, the function fails with an error that matches
// [errors.ErrUnsupported], and Token returns the id; there is no weaker fallback. A wrapper
// with an Unwrap method keeps the capabilities of the wrapped store or session.
//
// # Stores
//
// Package memory keeps sessions in the process. Package redis keeps them on a Redis server,
// package sql in PostgreSQL, MySQL, MariaDB or SQLite. Package sealed keeps them encrypted
// in the client's cookie. docs/stores.md in the repository helps to choose one.
//
// # Middleware
//
// [Manager.Middleware] is optional. It keeps the pooled contexts of mist clean and reports
// a login after the response header as [ErrHeaderWritten]. Code that has only a
// [context.Context] finds the session with [FromContext]. [Manager.RequireSession] guards
// routes, [Manager.RequireCSRF] refuses forged requests.
//
// # Events
//
// [Manager] OnEvent receives every login, logout and refusal. [LogEvents] writes them to a
// logger, package sessionotel counts and traces them.
//
// # Security
//
// By default a client carries a token of 130 random bits in a cookie. The cookie is bound
// to the host, Secure, HttpOnly and SameSite=Lax. A store keeps only the token's hash. The
// Manager never adopts a foreign identifier, never passes a malformed one to a store, and
// refuses two cookies of one name. No error contains a token.
//
// The application checks passwords and calls Login when a user logs in, RemoveSession at
// logout and PasswordChanged after a password change. It protects its forms
// ([Manager.RequireCSRF]) and keeps private pages out of caches (Cache-Control: no-store).
// docs/security.md in the repository goes through the standards line by line.
//
// # Concurrency
//
// Everything here is safe for concurrent use. A Session may outlive its request, but a
// *mist.Context may not: mist reuses it for another request.
//
// # Writing a store
//
// Implement [Store], and the capabilities that you can support. [EncodeValue] and
// [DecodeValue] turn values into bytes and back. Run
// [github.com/mist-contrib/session/sessiontest.TestStore] until it passes. examples/store
// in the repository is such a store, without tokens, users and devices.
//
// [mist]: https://pkg.go.dev/github.com/dormoron/mist
package session
