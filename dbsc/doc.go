// Package dbsc answers browsers that bind sessions to their device (Device Bound Session
// Credentials, a draft of the W3C). The device makes a key pair, best in its security
// chip, and the session's cookie is good for minutes only: before it ends, the browser signs
// a challenge and gets another. Who steals the cookie has it for these minutes.
//
//	manager := &session.Manager{
//		Store:       &memory.Store{},
//		Propagator:  &cookie.Propagator{Name: "__Host-session"},
//		DeviceBound: 10 * time.Minute,
//	}
//	devices := &dbsc.Handler{Manager: manager, Exclude: []string{"/static", "/favicon.ico"}}
//	devices.Mount(server)
//
// Nothing else changes: a login asks the browser to bind it, see [session.Manager].BindDevice,
// and browsers that do not know how go on with an ordinary cookie. The page
// docs/device-bound.md in the repository says what this protects from, and what not.
//
// No guard may stand before the two paths, such as [session.Manager].RequireSession with
// server.Use: the browser takes 401 for the end of the binding. RequireCSRF may.
//
// # Challenges
//
// No challenge is stored before it is answered. The one of a registration is computed
// from the session's token. The one of a refresh carries the time at which it was made
// and a code that a key in the session's record makes; it is good for
// [session.ChallengeLife] by the clock of the store, for its own session, once.
package dbsc
