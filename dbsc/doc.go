// Package dbsc answers browsers that bind sessions to their device (Device Bound Session
// Credentials, a draft of the W3C). The device makes a key pair, if possible in its security
// chip, and the session's cookie is valid for minutes only. Before it ends, the browser
// signs a challenge and gets a new one. A stolen cookie is therefore useful for minutes only.
//
//	manager := &session.Manager{
//		Store:       &memory.Store{},
//		Propagator:  &cookie.Propagator{Name: "__Host-session"},
//		DeviceBound: 10 * time.Minute,
//	}
//	devices := &dbsc.Handler{Manager: manager, Exclude: []string{"/static", "/favicon.ico"}}
//	devices.Mount(server)
//
// Nothing else changes: a login asks the browser to bind its session, see
// [session.Manager].BindDevice, and browsers without this protocol keep an ordinary cookie.
// The page docs/device-bound.md in the repository says which attacks this stops.
//
// Put no middleware that answers 401 before the two paths, such as
// [session.Manager].RequireSession with server.Use: the browser takes 401 for the end of the
// binding. RequireCSRF is fine.
//
// # Challenges
//
// The store keeps no challenge before it is answered. The challenge of a registration is
// derived from the session's token. The challenge of a refresh contains its time and a
// message authentication code, made with a key from the session's record. It is valid once,
// for its own session, for [session.ChallengeLife] by the store's clock.
package dbsc
