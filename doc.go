// Package session keeps the visitors of a [mist] web application logged in.
//
// A [Manager] joins a [Store], where sessions live, with a [Propagator], which
// carries their identifier. It is a struct literal with safe defaults:
//
//	manager := &session.Manager{
//		Store:      &memory.Store{},
//		Propagator: &cookie.Propagator{},
//	}
//
// Its flows are called from handlers: [Manager.Login] when a password was checked,
// [Manager.GetSession] anywhere, [Manager.RefreshSession] where activity counts,
// [Manager.RemoveSession] at logout. [Manager.InitSession] begins a session that is
// nobody's yet, for a cart; [Manager.RotateSession] renews the token at the same
// privilege.
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
// Writes go to the store at once, key by key: there is nothing to save, and
// concurrent requests of one session lose nothing to each other. What a value
// depends on its old one for is [Update]; what may be read once is [Pop].
// Values are copies, in every store.
//
// # Accounts
//
// A session is anonymous until [Manager.Login]; whose it is [Describe] tells. A login
// ends the anonymous session of the request. Its values go on in a new session, which
// has an id of its own and keeps it until it ends; [Event].Previous names the one that
// ended. [Login].Values are stored in the same step.
// [Manager.UserSessions] lists the sessions of a user, [Manager.RemoveUserSessions]
// ends them, [Manager.Reauthenticate] notes that somebody proved again who they
// are. [Manager.RequireLevel] and [Manager.RequireFresh] guard routes by that.
//
// # Lifetime of a session
//
// A session ends when its idle timeout has passed since the last
// [Manager.RefreshSession], and when its absolute timeout has passed since it was
// made or logged in, whichever comes first; or with [Manager.RemoveSession]. Reading does not
// prolong it. What has ended stays ended: a request that was under way gets
// [ErrNotFound] from its next write.
//
// # Capabilities
//
// What a store or session can do beyond the core is an optional interface with
// one function: [Delete], [Clear], [Pop], [Update], [SetAll], [All],
// [Describe], [Token]. Where it is missing the function returns an error that
// matches [errors.ErrUnsupported]; there is no weaker fallback. A wrapper of a
// store or session that has an Unwrap method keeps the capabilities of what it
// wraps.
//
// # Stores
//
// Package memory keeps sessions in the process, package redis on a Redis server,
// package sql in PostgreSQL, MySQL, MariaDB or SQLite, and package sealed in the
// client's cookie, encrypted. docs/stores.md in the repository says when to choose
// which.
//
// # Middleware
//
// [Manager.Middleware] is optional. It keeps the pooled contexts of mist clean,
// reports a login that comes after the response header as [ErrHeaderWritten],
// and lets code that has only a [context.Context] find the session by
// [FromContext]. [Manager.RequireSession] guards routes, [Manager.RequireCSRF]
// refuses forged requests.
//
// # Events
//
// [Manager] OnEvent is told of every login and logout, and of every refusal:
// [LogEvents] writes that to a logger, package sessionotel counts and traces it.
//
// # Security
//
// By default a client carries a token of 130 random bits in a cookie that is
// bound to the host, Secure, HttpOnly and SameSite=Lax; a store keeps only its
// hash. Identifiers of strangers are never adopted, malformed ones never reach a
// store, two cookies of one name are refused. No token is ever in an error.
//
// The application checks passwords, calls Login when somebody logs in and
// RemoveSession when they log out, PasswordChanged when the password changes,
// protects its forms ([Manager.RequireCSRF]), and keeps caches away from private
// pages (Cache-Control: no-store). docs/security.md in the repository goes through
// the standards line by line.
//
// # Concurrency
//
// Everything here is safe for concurrent use. A Session may outlive its request;
// a *mist.Context may not: mist gives it to another request.
//
// # Writing a store
//
// Implement [Store], and the capabilities you can keep. [EncodeValue] and
// [DecodeValue] turn values into bytes and back. Run
// [github.com/mist-contrib/session/sessiontest.TestStore] until it passes.
// examples/store in the repository is a complete one.
//
// [mist]: https://pkg.go.dev/github.com/dormoron/mist
package session
