// Package sessiontest tests implementations of the interfaces of
// [github.com/mist-contrib/session].
//
// [TestStore] is the conformance suite for stores. It has a rule for each promise that a
// store has to keep, grouped by the ten invariants of the module. Each rule has been shown
// to fail on a store that breaks it:
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
// A failure names the rule, the call, what the call returned and what it had to return:
//
//	store_test.go:12: broken rule: no write after Remove
//	    Set of an ended session: got no error, want session.ErrNotFound
//	    invariant: After Remove returned, after expiry, after the user was revoked: no write, refresh, rotate, late response or retry brings it back.
//
// The suite runs a store without a network in a [testing/synctest] bubble, where hours pass
// at once and exactly. The Harness of a store behind a network sets Advance.
//
// A store that leaves its sessions with the clients is tested together with its [Clients].
// No such store can keep all rules. Harness.Without names the others, each with the reason:
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
// [Explore] runs concurrent requests on the store, in all orders of their calls, and finds
// the order in which something gets lost:
//
//	sessiontest.Explore(t, sessiontest.Explorer{
//		New:  func(*testing.T) session.Store { return &mystore.Store{IdleTimeout: time.Minute} },
//		Idle: time.Minute,
//	})
//
// Clients that keep their sessions themselves lose writes to each other. The field ByDesign
// of the Explorer counts these losses; everything else still fails.
//
// [TestPropagator] is the conformance suite for propagators. [FaultStore] lets chosen calls
// of a store fail. It shows what an application does when its store is down.
//
// No failure of the suite prints a token.
//
// # Reading the source
//
// The name of a file begins with the part that it belongs to:
//
//   - harness.go runs the rules for stores, rules.go lists them, and messages.go writes what
//     a failure says. The rules of one invariant are in a file of their own (rules_dead.go,
//     rules_time.go, …). Those about users are in rules_user*.go, those about devices in
//     rules_device*.go, and what all of them share is in rules_env.go.
//   - explore*.go is the explorer: explore_bursts.go lists the requests, explore_order.go
//     runs them, and explore_judge.go decides what must hold afterwards.
//   - propagator.go is the suite for propagators, fault.go the FaultStore, and clients.go
//     the Clients.
//   - broken_*_internal_test.go are the stores that prove that each rule can fail. The
//     explorer's own are in explore_broken*_internal_test.go.
package sessiontest
