package sessiontest

import (
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

const declaredRule = "changing a value after Set does not change the session"

// A declaration is a suite with a Without, and whether it passes.
type declaration struct {
	store  func(t *testing.T) session.Store
	lacks  Capability
	names  map[string]string
	passes bool
}

// declared are declarations, by what Without names.
func declared() map[string]declaration {
	broken := func(t *testing.T) session.Store {
		t.Helper()
		b := &brokenStore{Store: &memory.Store{IdleTimeout: testIdle, AbsoluteTimeout: testAbsolute}}
		references(t, b)
		return b
	}
	return map[string]declaration{
		"nothing":                         {goodStore, 0, nil, true},
		"a rule that is broken":           {broken, 0, map[string]string{declaredRule: "a reason"}, true},
		"a rule that holds":               {goodStore, 0, map[string]string{declaredRule: "a reason"}, false},
		"another rule than is broken":     {broken, 0, map[string]string{"changing a value that Get returned does not change the session": "a reason"}, false},
		"no rule of the suite":            {goodStore, 0, map[string]string{"quiet": "a reason"}, false},
		"a rule of what it has not":       {goodStore, TokenStore, map[string]string{"a negative grace is refused": "a reason"}, false},
		"a rule, without a reason":        {broken, 0, map[string]string{declaredRule: ""}, false},
		"a rule of what is undeclared":    {goodStore, 0, map[string]string{"Delete": "a reason"}, false},
		"nothing, and one rule is broken": {broken, 0, nil, false},
	}
}

const declaredCase = "SESSIONTEST_DECLARED"

// TestDeclaredAway runs suites whose outcome is known. Each runs in a process of its own,
// because a suite that fails fails its test.
func TestDeclaredAway(t *testing.T) {
	if name := os.Getenv(declaredCase); name != "" {
		d := declared()[name]
		h := testHarness(d.store)
		h.Capabilities &^= d.lacks
		h.Without = d.names
		TestStore(t, h)
		return
	}
	all := declared()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			only := "^TestDeclaredAway$/^values_are_copies$/^" + strings.ReplaceAll(declaredRule, " ", "_") + "$"
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run="+only)
			cmd.Env = append(os.Environ(), declaredCase+"="+name)
			out, err := cmd.CombinedOutput()
			if passed := err == nil; passed != all[name].passes {
				t.Errorf("passed: got %t, want %t\n%s", passed, all[name].passes, out)
			}
			skipped := strings.Contains(string(out), "--- SKIP: TestDeclaredAway/values_are_copies/")
			if want := name == "a rule that is broken" || name == "a rule, without a reason"; skipped != want {
				t.Errorf("shown as skipped: got %t, want %t\n%s", skipped, want, out)
			}
		})
	}
}

const callerCase = "SESSIONTEST_CALLER"

// TestFailuresNameTheirCaller runs a store, a propagator and an explorer that fail, each in a
// process of its own. A failure names the line that called the suite, and no line of the suite.
func TestFailuresNameTheirCaller(t *testing.T) {
	suites := map[string]func(t *testing.T){
		"store": func(t *testing.T) {
			t.Helper()
			TestStore(t, testHarness(declared()["nothing, and one rule is broken"].store))
		},
		"propagator": func(t *testing.T) {
			t.Helper()
			TestPropagator(t, PropagatorHarness{New: func() session.Propagator {
				m := new(brokenPropagator)
				brokenPropagators()["a request without an identifier gives ErrNotFound"](m)
				return m
			}})
		},
		"explorer": func(t *testing.T) {
			t.Helper()
			Explore(t, Explorer{Bursts: []string{"write"}, New: func(t *testing.T) session.Store {
				t.Helper()
				b := &brokenStore{Store: new(memory.Store)}
				wrecks()["a write is refused, and stored"].store(t, b)
				return b
			}})
		},
	}
	if name := os.Getenv(callerCase); name != "" {
		suites[name](t)
		return
	}
	place := regexp.MustCompile(`(?m)^ +(\w+\.go):\d+: (.*)$`)
	for name := range suites {
		t.Run(name, func(t *testing.T) {
			only := "^TestFailuresNameTheirCaller$"
			if name == "store" {
				only += "/^values_are_copies$/^" + strings.ReplaceAll(declaredRule, " ", "_") + "$"
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+only)
			cmd.Env = append(os.Environ(), callerCase+"="+name)
			out, err := cmd.CombinedOutput()
			places := place.FindAllStringSubmatch(string(out), -1)
			if err == nil || len(places) == 0 {
				t.Fatalf("the suite did not fail (%v)\n%s", err, out)
			}
			for _, p := range places {
				if p[1] != "harness_internal_test.go" {
					t.Errorf("got a failure in %s, want one in harness_internal_test.go: %s", p[1], p[2])
				}
			}
		})
	}
}
