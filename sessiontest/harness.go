package sessiontest

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

// A Harness tells the suite how to make stores and what they can do.
type Harness struct {
	// New returns a fresh and empty store for one rule, with the lifetimes
	// below. It closes with t.Cleanup what has to be closed.
	New func(t *testing.T) session.Store

	// Idle and Absolute are the timeouts of the stores that New returns.
	// Absolute is at least four times Idle, because rules refresh sessions. If
	// time is real, Absolute should not be much longer, and Idle should be long
	// enough for a thousand calls.
	Idle, Absolute time.Duration

	// Capabilities are what the stores and their sessions can do beyond the
	// core. The suite tests the declared ones. The others must fail with
	// [errors.ErrUnsupported].
	Capabilities Capability

	// Advance lets d pass for the store. If it is nil, each rule runs in a
	// synctest bubble of its own, where sleeping takes no time. Only stores
	// without a network work there.
	Advance func(d time.Duration)

	// Slack is how far from its deadline a session may end, at most a tenth of
	// Idle. If it is zero, a session is alive a millisecond before its deadline,
	// and ended at it.
	Slack time.Duration

	// Without names rules that the stores cannot keep, each with the reason. The suite
	// runs such a rule nevertheless and shows it as skipped. The test fails if the store
	// keeps the rule, if the suite runs no rule of that name, or if the reason is empty.
	// A store may break any part of such a rule, so name as few as possible.
	Without map[string]string

	// Goroutines is how many goroutines a store of New may keep while it lives,
	// because its client keeps them (a connection pool). The store itself starts none.
	Goroutines int
}

// A Capability is an optional ability of a store or its sessions.
type Capability uint

// The capabilities. All but UserLister, which is a part of UserStore, have the name of
// an interface of package session.
const (
	TokenStore  Capability = 1 << iota // and Tokener
	Deleter                            // Delete and Clear
	Popper                             // Pop
	Updater                            // Update
	BatchSetter                        // SetAll
	Ranger                             // All
	Describer                          // Describe
	UserStore                          // a TokenStore whose sessions are also Describers
	Clock                              // Now
	UserLister                         // a UserStore that lists, counts and limits the sessions of a user
	DeviceStore                        // a UserStore that binds sessions to devices; they are Bound

	AllCapabilities = TokenStore | Deleter | Popper | Updater | BatchSetter | Ranger | Describer | UserStore | Clock | UserLister | DeviceStore
)

// TestStore runs the conformance suite on the stores of h, with a subtest for each
// rule.
func TestStore(t *testing.T, h Harness) {
	t.Helper()
	if h.New == nil || h.Idle <= 0 || h.Absolute < 4*h.Idle || h.Slack > h.Idle/10 {
		t.Fatal("sessiontest: Harness needs New, Idle, an Absolute of at least four times Idle, and a Slack of at most a tenth of it")
	}
	if err := h.without(); err != nil {
		t.Error(err)
	}
	for _, c := range chapters() {
		h.runAll(t, c, func(r rule) bool { return r.needs&^h.Capabilities == 0 })
	}
	h.runAll(t, undeclared(), func(r rule) bool { return r.needs&h.Capabilities == 0 })
}

// runAll runs the chosen rules of a chapter. All its functions are helpers, so a failure
// names the line that calls TestStore.
func (h Harness) runAll(t *testing.T, c chapter, chosen func(r rule) bool) {
	t.Helper()
	t.Run(c.name, func(t *testing.T) {
		t.Helper()
		for _, r := range c.rules {
			if chosen(r) {
				t.Run(r.name, func(t *testing.T) {
					t.Helper()
					h.run(t, c, r)
				})
			}
		}
	})
}

// without checks Without before any rule runs.
func (h Harness) without() error {
	run := make(map[string]bool)
	for _, c := range chapters() {
		for _, r := range c.rules {
			run[r.name] = r.needs&^h.Capabilities == 0
		}
	}
	var errs []error
	for name, why := range h.Without {
		if !run[name] {
			errs = append(errs, fmt.Errorf("sessiontest: Harness.Without names a rule that the suite does not run: %s", name))
		}
		if why == "" {
			errs = append(errs, fmt.Errorf("sessiontest: Harness.Without gives no reason for a rule: %s", name))
		}
	}
	return errors.Join(errs...)
}

func (h Harness) run(t *testing.T, c chapter, r rule) {
	t.Helper()
	var err error
	check := func(t *testing.T) {
		t.Helper()
		err = h.check(t, r)
	}
	if h.Advance != nil {
		check(t)
	} else {
		synctest.Test(t, check)
	}
	switch why, away := h.Without[r.name]; {
	case away && err != nil:
		t.Skipf("in Harness.Without: %s\n%v", why, err)
	case away:
		t.Errorf("sessiontest: Harness.Without names a rule that the store keeps: %s", r.name)
	case err != nil:
		t.Error(violation(err, r.name, c.invariant))
	}
}

// check runs one rule on a fresh store.
func (h Harness) check(t *testing.T, r rule) error {
	t.Helper()
	e := &env{Harness: h, goroutines: runtime.NumGoroutine()}
	e.fresh = func() session.Store { return h.New(t) }
	e.store = e.fresh()
	if e.store == nil {
		t.Fatal("sessiontest: Harness.New returned nil")
	}
	e.tokens, _ = capability[session.TokenStore](e.store)
	e.users, _ = capability[session.UserStore](e.store)
	e.devices, _ = capability[session.DeviceStore](e.store)
	switch promised := r.needs & h.Capabilities; {
	case promised&TokenStore != 0 && e.tokens == nil:
		return errors.New("the store: got one that is no session.TokenStore, want one, because the Harness declares it")
	case promised&UserStore != 0 && e.users == nil:
		return errors.New("the store: got one that is no session.UserStore, want one, because the Harness declares it")
	case promised&DeviceStore != 0 && e.devices == nil:
		return errors.New("the store: got one that is no session.DeviceStore, want one, because the Harness declares it")
	}
	if e.Advance == nil {
		e.Advance = time.Sleep
	}
	return distinct(r.check(t.Context(), e))
}

// capability finds a capability of a store behind wrappers, as package session does.
func capability[C session.Store](s session.Store) (c C, ok bool) {
	for s != nil {
		if c, ok = s.(C); ok {
			return c, true
		}
		w, wraps := s.(interface{ Unwrap() session.Store })
		if !wraps {
			break
		}
		s = w.Unwrap()
	}
	return c, false
}
