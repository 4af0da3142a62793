// Package sessiontest proves that an implementation of
// [github.com/mist-contrib/session] keeps the promises of that package.
//
// [TestStore] is the conformance suite of stores. Its rules are grouped by the
// ten invariants that every store of sessions has to hold, each with its
// sentence, and each has been shown to fail on a store that breaks just it:
//
//	func TestConformance(t *testing.T) {
//		sessiontest.TestStore(t, sessiontest.Harness{
//			New: func(t *testing.T) session.Store {
//				return &mystore.Store{IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour}
//			},
//			Idle:         time.Minute,
//			Absolute:     time.Hour,
//			Capabilities: sessiontest.AllCapabilities,
//		})
//	}
//
// A store that uses nothing but time and memory runs in a [testing/synctest]
// bubble, where hours pass at once and exactly. A store behind a network sets
// Advance.
//
// A store that leaves its sessions with the clients is tested with its [Clients]. The
// rules that no such store can keep are in Without, each with the reason:
//
//	sessiontest.TestStore(t, sessiontest.Harness{
//		New: func(*testing.T) session.Store {
//			return sessiontest.Clients(&mystore.Store{IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour})
//		},
//		Idle:         time.Minute,
//		Absolute:     time.Hour,
//		Capabilities: sessiontest.AllCapabilities &^ (sessiontest.UserLister | sessiontest.DeviceStore),
//		Without: map[string]string{
//			"Update loses no increment": "Of two requests that write, the last response wins.",
//		},
//	})
//
// [Explore] runs requests that are under way at the same time on the store, in all
// orders of their calls, and finds the one in which something gets lost:
//
//	sessiontest.Explore(t, sessiontest.Explorer{
//		New:  func(*testing.T) session.Store { return &mystore.Store{IdleTimeout: time.Minute} },
//		Idle: time.Minute,
//	})
//
// Clients that keep their sessions themselves lose writes to each other. The field ByDesign
// of the Explorer counts that, and everything else still fails.
//
// [TestPropagator] is the suite of propagators. [FaultStore] puts failures
// between a Manager and its store, for tests of what an application does when
// the store is down.
//
// No failure of the suite prints a token.
package sessiontest
