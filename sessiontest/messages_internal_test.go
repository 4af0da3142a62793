package sessiontest

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// sides finds what a line holds against each other.
var sides = []*regexp.Regexp{
	regexp.MustCompile(`\bgot (.*), want (.*)$`),
	regexp.MustCompile(`\bas (.*), not as (.*)$`),
}

// blemishes are what a reader of a message stumbles over.
func blemishes(text string) (all []string) {
	if strings.Contains(text, "%!") {
		all = append(all, "a verb that does not fit")
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if slices.Contains(lines[:i], line) {
			all = append(all, "a line twice")
		}
		if end := strings.TrimRight(line, " \t"); end == "" || strings.ContainsAny(end[len(end)-1:], ":,(") {
			all = append(all, "a line that says nothing, or not all")
		}
		for _, s := range sides {
			if m := s.FindStringSubmatch(line); m != nil && m[1] == m[2] {
				all = append(all, "two equal sides")
			}
		}
	}
	return all
}

// readable fails the test where a message has blemishes.
func readable(t *testing.T, text string) {
	t.Helper()
	if all := blemishes(text); len(all) > 0 {
		slices.Sort(all)
		t.Errorf("%s:\n%s", strings.Join(slices.Compact(all), "; "), text)
	}
}

// complete fails the test unless each line of a rule's error says the call, what came and
// what had to come.
func complete(t *testing.T, err error) {
	t.Helper()
	for line := range strings.SplitSeq(err.Error(), "\n") {
		call, rest, ok := strings.Cut(line, ": got ")
		if strings.HasPrefix(line, "and ") && strings.HasSuffix(line, " more lines like these") {
			continue
		}
		if !ok || call == "" || !strings.Contains(rest, ", want ") {
			t.Errorf("a line without a call, a got and a want: %s", line)
		}
	}
}

// TestBlemishes: the tests below can fail.
func TestBlemishes(t *testing.T) {
	for want, texts := range map[string][]string{
		"a verb that does not fit": {"Get: the session is gone: %!w(<nil>)"},
		"a line twice":             {"Get failed\nSet failed\nGet failed", "Get failed\nGet failed"},
		"a line that says nothing, or not all": {
			"", "Get failed\n\nSet failed", "Get failed\nthe order: ", "Get failed\n\t",
		},
		"two equal sides": {
			`key "a": got map[], want map[]`,
			"Get failed\nlevel: got 1, want 1",
			`the first browser is logged in as "ann", not as "ann"`,
		},
		"": {
			"Get: got <nil>, want ErrNotFound\nthe rule: it is gone",
			`key "a": got nil, want map[]`,
			`the first browser is logged in as "ann", not as "ann 2"`,
		},
	} {
		for _, text := range texts {
			if got := strings.Join(blemishes(text), "; "); got != want {
				t.Errorf("%q: got %q, want %q", text, got, want)
			}
		}
	}
}

// TestMessagesOfFailures: what a rule says of a store that fails at the first call of each
// kind that the rule makes.
func TestMessagesOfFailures(t *testing.T) {
	for _, c := range chapters() {
		for _, r := range c.rules {
			t.Run(r.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := new(FaultStore)
					check := func(plan func(Call) Fault) error {
						f.Reset(plan)
						return testHarness(func(t *testing.T) session.Store {
							f.Store = goodStore(t)
							return f
						}).check(t, r)
					}
					if err := check(nil); err != nil {
						t.Fatal(err)
					}
					at := make(map[string]int)
					for _, c := range f.Calls() {
						if at[c.Op] == 0 {
							at[c.Op] = c.N
						}
					}
					for _, n := range at {
						err := check(func(c Call) Fault {
							if c.N == n {
								return FailBefore
							}
							return None
						})
						if err != nil {
							readable(t, violation(err, r.name, c.invariant))
							complete(t, err)
						}
					}
				})
			})
		}
	}
}

// TestMessagesOfCapabilities: what a store does not declare, and what it declares and
// does not have.
func TestMessagesOfCapabilities(t *testing.T) {
	say := func(t *testing.T, h Harness, c chapter, r rule) {
		t.Helper()
		t.Run(c.name+"/"+r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := h.check(t, r)
				if err == nil {
					t.Fatal("nothing is said")
				}
				readable(t, violation(err, r.name, c.invariant))
				complete(t, err)
			})
		})
	}
	h := testHarness(goodStore)
	h.Capabilities = 0
	for _, r := range undeclared().rules {
		say(t, h, undeclared(), r)
	}
	h.Capabilities = AllCapabilities
	for name, less := range map[string]struct {
		lacks Capability
		store func(t *testing.T) session.Store
	}{
		"plain": {AllCapabilities, func(t *testing.T) session.Store { t.Helper(); return plain{goodStore(t)} }},
		"no users": {UserStore, func(*testing.T) session.Store {
			return struct{ session.TokenStore }{&memory.Store{IdleTimeout: testIdle, AbsoluteTimeout: testAbsolute}}
		}},
	} {
		h.New = less.store
		for _, c := range chapters() {
			for _, r := range c.rules {
				if r.needs&less.lacks != 0 {
					c.name = name
					say(t, h, c, r)
				}
			}
		}
	}
}

// TestMessagesOfPropagators: what a rule says of a propagator that breaks it.
func TestMessagesOfPropagators(t *testing.T) {
	broken := brokenPropagators()
	for _, r := range propagatorRules() {
		t.Run(r.name, func(t *testing.T) {
			err := PropagatorHarness{New: func() session.Propagator {
				m := new(brokenPropagator)
				broken[r.name](m)
				return m
			}}.check(r)
			if err == nil {
				t.Fatal("nothing is said")
			}
			readable(t, violation(err, r.name, ""))
			complete(t, err)
		})
	}
}

// TestMessagesOfExplorer: what Explore says of each order that went wrong.
func TestMessagesOfExplorer(t *testing.T) {
	for name, w := range wrecks() {
		t.Run(name, func(t *testing.T) {
			x := w.explorer().one(t, w.burst)
			if len(x.found) == 0 {
				t.Fatal("nothing is said")
			}
			for _, text := range x.found {
				readable(t, text)
				if t.Failed() {
					return // what the other orders say is alike
				}
			}
		})
	}
}

// TestShow: values that are not the same are not printed alike, and nil is not empty.
func TestShow(t *testing.T) {
	for want, v := range map[string]any{
		"nil":                        nil,
		`"a\n"`:                      "a\n",
		"true":                       true,
		"int(1)":                     1,
		"int64(1)":                   int64(1),
		"float64(0.5)":               0.5,
		"[]byte(nil)":                []byte(nil),
		"[]byte{}":                   []byte{},
		"map[string]int(nil)":        map[string]int(nil),
		"map[string]int{}":           map[string]int{},
		"(*sessiontest.sample)(nil)": (*sample)(nil),
		"time.Duration(1s)":          time.Second,
		"time.Time(2026-01-02T03:04:05.000000006Z)":            time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		"a value of type string that prints as 302 characters": strings.Repeat("x", 300),
	} {
		if got := show(v); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestDistinct: a message repeats no line, and ends somewhere.
func TestDistinct(t *testing.T) {
	for want, lines := range map[string][]string{
		"":                          nil,
		"a\nb":                      {"a", "b", "a"},
		"1\n2\n3\n4\n5\n6\n7\n8\n9": {"1", "2", "3", "4", "5", "6", "7", "8", "9"},
		"1\n2\n3\n4\n5\n6\n7\n8\nand 2 more lines like these": {"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "1"},
	} {
		var errs []error
		for _, line := range lines {
			errs = append(errs, errors.New(line))
		}
		got := ""
		if err := distinct(errors.Join(errs...)); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestWrong: a message says the call, what came and what had to come.
func TestWrong(t *testing.T) {
	fault := errors.New("down")
	for want, err := range map[string]error{
		`Get: got no error, want session.ErrNotFound`:                                   wrong(nil, session.ErrNotFound, "Get"),
		`Get: got the error "down", want session.ErrNotFound`:                           wrong(fault, session.ErrNotFound, "Get"),
		`Set of "a": got the error "down", want no error`:                               wrong(fault, nil, "Set of %q", "a"),
		`Set: got the error "session: not found", want the error "down"`:                wrong(session.ErrNotFound, fault, "Set"),
		`Get of the key "k": got []byte{}, want []byte(nil)`:                            differs(`Get of the key "k"`, []byte{}, []byte(nil)),
		`Get: got another value that prints the same, want "a"`:                         differs("Get", "a", "a"),
		"Describe: User: got \"ann\", want \"\"\nDescribe: Bound: got true, want false": sameInfo("Describe", session.Info{User: "ann", Bound: true}, session.Info{}),
	} {
		if got := err.Error(); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	if err := wrong(fault, nil, "Set"); !errors.Is(err, fault) {
		t.Errorf("%v hides its cause", err)
	}
	if err := sameInfo("Describe", session.Info{User: "ann"}, session.Info{User: "ann"}); err != nil {
		t.Error(err)
	}
}
