// Package sessionotel shows what a session store does in OpenTelemetry: a span and
// a duration for each call, and a count of what happens to sessions.
//
//	manager := &session.Manager{
//		Store:      &sessionotel.Store{Store: &redis.Store{Client: client}},
//		Propagator: &cookie.Propagator{},
//		OnEvent:    sessionotel.Events(nil),
//	}
//
// It needs the API of OpenTelemetry only; which SDK collects, and whether any
// does, is the application's choice. Without tracing leave the wrapper away: then
// it costs nothing, because there is none.
//
// A hook that does more calls the others:
//
//	log, count := session.LogEvents(nil), sessionotel.Events(nil)
//	manager.OnEvent = func(ctx context.Context, event session.Event) {
//		log(ctx, event)
//		count(ctx, event)
//	}
//
// # What is recorded
//
// Spans are named after the operation:
//
//	session.generate  session.get     session.open          session.refresh
//	session.remove    session.rotate  session.login         session.user_sessions
//	session.set       session.update  session.set_all       session.remove_user_sessions
//	session.delete    session.clear   session.pop           session.now
//
// They have the attributes session.operation and session.outcome, which is one of
//
//	ok         it is done
//	not_found  the session has ended, or the token opens none
//	refused    the store kept its rules: [session.ErrExists], [session.ErrUserLimit],
//	           [session.ErrTooLarge] and their like, or the function of an Update said no
//	canceled   the client has left
//	error      the store failed; the span has the status Error, and its text
//
// and session.id where that is the public handle, so never with a store that is no
// [session.TokenStore]. Of an identifier that opens nothing it is what the client
// claims.
//
// Metrics are session.operation.duration, a histogram of seconds by
// session.operation and session.outcome, and session.events, a counter by
// session.event, the [session.EventKind].
//
// Tokens, values, keys and users are never recorded. Reading a value is no
// operation: a Session shows what was loaded and asks no store.
package sessionotel
