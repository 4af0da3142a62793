// Package sessionotel reports a session store to OpenTelemetry: a span and a duration for each
// call of the store, and a count of session events.
//
//	manager := &session.Manager{
//		Store:      &sessionotel.Store{Store: &redis.Store{Client: client}},
//		Propagator: &cookie.Propagator{},
//		OnEvent:    sessionotel.Events(nil),
//	}
//
// The package uses only the API of OpenTelemetry; the application chooses the SDK. An
// application without telemetry does not need the wrapper.
//
// To combine hooks, call each of them:
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
//	session.bind      session.prove
//
// Each span has the attributes session.operation and session.outcome. The outcome is one of
//
//	ok         the call succeeded
//	not_found  the session has ended, or the token opens no session
//	refused    the store refused the call by a rule, for example with [session.ErrExists],
//	           [session.ErrUserLimit] or [session.ErrTooLarge], or the function of an Update
//	           returned an error
//	canceled   the client has left
//	error      the store failed; the span has the status Error and the error's text
//
// A span has the attribute session.id if the id is public: only with a
// [session.TokenStore], because ids of other stores are secret. If the token opens no session,
// session.id is the id in that token.
//
// The metrics are session.operation.duration, a histogram of seconds by session.operation
// and session.outcome, and session.events, a counter by session.event, which is the
// [session.EventKind].
//
// Tokens, values, keys and users are never recorded. Reading a value makes no span: a Session
// returns what it has loaded and does not call the store.
package sessionotel
