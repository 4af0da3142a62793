package sessiontest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

const (
	testIdle     = 30 * time.Minute
	testAbsolute = 12 * time.Hour
)

func testHarness(fresh func(t *testing.T) session.Store) Harness {
	return Harness{New: fresh, Idle: testIdle, Absolute: testAbsolute, Capabilities: AllCapabilities}
}

func goodStore(*testing.T) session.Store {
	return &memory.Store{IdleTimeout: testIdle, AbsoluteTimeout: testAbsolute}
}

// TestRulesCanFail runs every rule on stores that break it, and reads what the rule says. It
// fails for a rule that no store breaks.
func TestRulesCanFail(t *testing.T) {
	broken := brokenByRule()
	for _, c := range chapters() {
		for _, r := range c.rules {
			t.Run(c.name+"/"+r.name, func(t *testing.T) {
				if len(broken[r.name]) == 0 {
					t.Fatal("no store breaks this rule")
				}
				synctest.Test(t, func(t *testing.T) {
					if err := testHarness(goodStore).check(t, r); err != nil {
						t.Errorf("a good store: %v", err)
					}
				})
				for name, defect := range broken[r.name] {
					t.Run(name, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							h := testHarness(func(t *testing.T) session.Store {
								b := &brokenStore{Store: &memory.Store{IdleTimeout: testIdle, AbsoluteTimeout: testAbsolute}}
								defect(t, b)
								return b
							})
							err := h.check(t, r)
							if err == nil {
								t.Fatal("the rule found nothing wrong")
							}
							readable(t, violation(err, r.name, c.invariant))
							complete(t, err)
						})
					})
				}
			})
			delete(broken, r.name)
		}
	}
	for name := range broken {
		t.Errorf("there are stores for an unknown rule: %s", name)
	}
}

// TestUndeclaredCapabilities runs the rules for what is not declared against a
// store that has it all, and one that has none of it.
func TestUndeclaredCapabilities(t *testing.T) {
	for _, u := range undeclared().rules {
		t.Run(u.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := testHarness(goodStore)
				h.Capabilities = 0
				if h.check(t, u) == nil {
					t.Error("a store that has the capability passes as one that has not")
				}
				h.New = func(t *testing.T) session.Store { return plain{goodStore(t)} }
				if err := h.check(t, u); err != nil {
					t.Errorf("a plain store: %v", err)
				}
			})
		})
	}
}

// TestPlainStore: whoever has the four methods and no more passes the suite.
func TestPlainStore(t *testing.T) {
	h := testHarness(func(t *testing.T) session.Store { return plain{goodStore(t)} })
	h.Capabilities = 0
	TestStore(t, h)
}

// TestFaultStoreWithoutFaults: it has what the store behind it has, no more.
func TestFaultStoreWithoutFaults(t *testing.T) {
	t.Run("all capabilities", func(t *testing.T) {
		TestStore(t, testHarness(func(t *testing.T) session.Store { return &FaultStore{Store: goodStore(t)} }))
	})
	t.Run("none", func(t *testing.T) {
		h := testHarness(func(t *testing.T) session.Store { return &FaultStore{Store: plain{goodStore(t)}} })
		h.Capabilities = 0
		TestStore(t, h)
	})
}

// TestSlack runs the rules as for a store behind a network: time passes by
// Advance, and deadlines are met within a slack.
func TestSlack(t *testing.T) {
	const slack = 50 * time.Millisecond
	for _, c := range chapters() {
		for _, r := range c.rules {
			t.Run(c.name+"/"+r.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := testHarness(func(*testing.T) session.Store {
						// Late by almost the slack.
						return &memory.Store{IdleTimeout: testIdle + slack - 1, AbsoluteTimeout: testAbsolute + slack - 1}
					})
					h.Slack, h.Advance = slack, time.Sleep
					if err := h.check(t, r); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}
