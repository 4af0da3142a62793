package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

// A Harness tells the suite how to make stores and what they can do.
type Harness struct {
	// New returns a fresh and empty store for one rule, with the lifetimes
	// below. What must be closed is closed by t.Cleanup.
	New func(t *testing.T) session.Store

	// Idle and Absolute are the timeouts of the stores that New returns.
	// Absolute is at least four times Idle, for rules that refresh; not much more
	// where time is real, and Idle is long enough for a thousand calls.
	Idle, Absolute time.Duration

	// Capabilities are what the stores and their sessions can do beyond the
	// core. What is declared is tested; what is not must answer
	// [errors.ErrUnsupported].
	Capabilities Capability

	// Advance lets d pass for the store. Nil: each rule runs in a synctest
	// bubble of its own, where sleeping takes no time; that is for stores
	// without a network.
	Advance func(d time.Duration)

	// Slack is how far from its deadline the end of a session may be, at most a
	// tenth of Idle. Zero: alive a millisecond before, gone at the deadline.
	Slack time.Duration

	// Without names rules that the stores cannot keep, each with the reason. The suite
	// runs such a rule all the same and shows it as skipped. The test fails if the rule
	// holds, if the suite runs no rule of that name, or if the reason is empty. A store
	// may break any part of such a rule, so declare away as few as possible.
	Without map[string]string

	// Goroutines is how many goroutines a store of New may keep while it lives,
	// because its client does (a connection pool). The store itself starts none.
	Goroutines int
}

// A Capability is something optional that a store or its sessions can do.
type Capability uint

// The capabilities, named after the interfaces of package session.
const (
	TokenStore  Capability = 1 << iota // and Tokener
	Deleter                            // Delete and Clear
	Popper                             // Pop
	Updater                            // Update
	BatchSetter                        // SetAll
	Ranger                             // All
	Describer                          // Describe
	UserStore                          // a TokenStore whose sessions are Describers, too
	Clock                              // Now
	UserLister                         // a UserStore that lists, counts and limits the sessions of a user
	DeviceStore                        // a UserStore that binds sessions to devices; they are Bound

	AllCapabilities = TokenStore | Deleter | Popper | Updater | BatchSetter | Ranger | Describer | UserStore | Clock | UserLister | DeviceStore
)

// A rule is one promise. It is data, so that the suite's own tests can hold it
// against stores that break it.
type rule struct {
	name  string     // the expected behaviour, a short statement
	needs Capability // run only where they are declared
	check func(ctx context.Context, e *env) error
}

// A chapter is the rules of one invariant.
type chapter struct {
	name      string
	invariant string
	rules     []rule
}

// chapters returns the whole suite: the ten invariants of the module, in the
// words of its design.
func chapters() []chapter {
	return []chapter{
		{
			"yours only",
			"A request gets the session its own token names, or none.",
			slices.Concat(yoursOnly(), usersYours(), devicesYours()),
		},
		{
			"dead stays dead",
			"After Remove returned, after expiry and after the user was revoked: no write, refresh, rotate, late response or retry brings it back.",
			slices.Concat(deadStaysDead(), usersDead(), devicesDead()),
		},
		{
			"nothing acknowledged is lost",
			"A Set that returned nil survives every concurrent request of the same session, rotation included. Reading never writes values.",
			slices.Concat(nothingLost(), rotation(), usersLost(), devicesLost()),
		},
		{
			"never early, never late",
			"Idle and absolute deadlines hold to the millisecond; no operation leaves a record without an expiry; the absolute deadline never moves later, but by a login.",
			slices.Concat(neverEarlyNeverLate(), usersTimes(), devicesTimes()),
		},
		{
			"same on every store",
			"Same values (type and content), same errors, same edge cases. A session object shows the session as it was loaded plus its own writes; Update and Pop act on what is stored now.",
			slices.Concat(sameValues(), sameBehaviour(), usersSame(), devicesSame()),
		},
		{
			"no identifier is adopted",
			"A token the store did not issue never creates or names anything.",
			noneAdopted(),
		},
		{
			"not found is not failure",
			"ErrNotFound means nobody is logged in. What failed is another error.",
			notFoundIsNotFailure(),
		},
		{
			"bounded",
			"Every store call ends with its context; input is checked before it reaches a store; hostile bytes give errors, never panics.",
			append(bounded(), devicesBounded()...),
		},
		{
			"values are copies",
			"Changing a slice or map that Get returned, or that was handed to Set, does not change the session.",
			copies(),
		},
		{
			"quiet",
			"No token ever in an error. No goroutine that was not asked for.",
			append(quiet(), devicesQuiet()...),
		},
	}
}

// TestStore runs the conformance suite on the stores of h, a subtest for each
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
		t.Run(c.name, func(t *testing.T) {
			for _, r := range c.rules {
				if r.needs&^h.Capabilities == 0 {
					t.Run(r.name, func(t *testing.T) { h.run(t, c, r) })
				}
			}
		})
	}
	c := undeclared()
	t.Run(c.name, func(t *testing.T) {
		for _, r := range c.rules {
			if r.needs&h.Capabilities == 0 {
				t.Run(r.name, func(t *testing.T) { h.run(t, c, r) })
			}
		}
	})
}

var errHolds = errors.New("Harness.Without declares away a rule that holds")

// without returns what is wrong with Without, before any rule is run.
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
			errs = append(errs, fmt.Errorf("sessiontest: Harness.Without declares away a rule that is not run: %s", name))
		}
		if why == "" {
			errs = append(errs, fmt.Errorf("sessiontest: Harness.Without gives no reason for the rule: %s", name))
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
		t.Skipf("declared away: %s\n%v", why, err)
	case away:
		t.Error(violation(errHolds, r.name, ""))
	case err != nil:
		t.Error(violation(err, r.name, c.invariant))
	}
}

// violation is what is printed of a rule that is broken. An invariant may be empty.
func violation(err error, rule, invariant string) string {
	text := fmt.Sprintf("%v\nthe rule: %s", err, rule)
	if invariant != "" {
		text += "\nthe invariant: " + invariant
	}
	return text
}

// check holds one rule against a fresh store.
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
		return errors.New("the Harness declares TokenStore, but the store is not one")
	case promised&UserStore != 0 && e.users == nil:
		return errors.New("the Harness declares UserStore, but the store is not one")
	case promised&DeviceStore != 0 && e.devices == nil:
		return errors.New("the Harness declares DeviceStore, but the store is not one")
	}
	if e.Advance == nil {
		e.Advance = time.Sleep
	}
	return distinct(r.check(t.Context(), e))
}

// distinct leaves out the lines of an error that stand in it already: many goroutines,
// or ways to load a session, find the same.
func distinct(err error) error {
	if err == nil {
		return nil
	}
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return errors.New(strings.Join(lines, "\n"))
}

// capability finds what a store can do, as package session does.
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
