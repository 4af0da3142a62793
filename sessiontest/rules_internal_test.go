package sessiontest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

const (
	zooIdle     = 30 * time.Minute
	zooAbsolute = 12 * time.Hour
)

func zooHarness(fresh func(t *testing.T) session.Store) Harness {
	return Harness{New: fresh, Idle: zooIdle, Absolute: zooAbsolute, Capabilities: AllCapabilities}
}

func goodStore(*testing.T) session.Store {
	return &memory.Store{IdleTimeout: zooIdle, AbsoluteTimeout: zooAbsolute}
}

// TestRulesCanFail runs every rule on stores that break it, and reads what the rule says. A
// rule that cannot fail must go: the zoo has no store for it, or the rule passes there.
func TestRulesCanFail(t *testing.T) {
	beasts := zoo()
	for _, c := range chapters() {
		for _, r := range c.rules {
			t.Run(c.name+"/"+r.name, func(t *testing.T) {
				if len(beasts[r.name]) == 0 {
					t.Fatal("no store in the zoo breaks this rule")
				}
				synctest.Test(t, func(t *testing.T) {
					if err := zooHarness(goodStore).check(t, r); err != nil {
						t.Errorf("a good store: %v", err)
					}
				})
				for name, breed := range beasts[r.name] {
					t.Run(name, func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							h := zooHarness(func(t *testing.T) session.Store {
								b := &beast{Store: &memory.Store{IdleTimeout: zooIdle, AbsoluteTimeout: zooAbsolute}}
								breed(t, b)
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
			delete(beasts, r.name)
		}
	}
	for name := range beasts {
		t.Errorf("the zoo has stores for a rule that is not there: %s", name)
	}
}

// TestUndeclaredCapabilities runs the rules for what is not declared against a
// store that has it all, and one that has none of it.
func TestUndeclaredCapabilities(t *testing.T) {
	for _, u := range undeclared().rules {
		t.Run(u.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := zooHarness(goodStore)
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
	h := zooHarness(func(t *testing.T) session.Store { return plain{goodStore(t)} })
	h.Capabilities = 0
	TestStore(t, h)
}

// TestFaultStoreWithoutFaults: it has what the store behind it has, no more.
func TestFaultStoreWithoutFaults(t *testing.T) {
	t.Run("all capabilities", func(t *testing.T) {
		TestStore(t, zooHarness(func(t *testing.T) session.Store { return &FaultStore{Store: goodStore(t)} }))
	})
	t.Run("none", func(t *testing.T) {
		h := zooHarness(func(t *testing.T) session.Store { return &FaultStore{Store: plain{goodStore(t)}} })
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
					h := zooHarness(func(*testing.T) session.Store {
						// Late by almost the slack.
						return &memory.Store{IdleTimeout: zooIdle + slack - 1, AbsoluteTimeout: zooAbsolute + slack - 1}
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
