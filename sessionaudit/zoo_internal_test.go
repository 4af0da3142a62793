package sessionaudit

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A beast is an application that is bad in one way.
type beast struct {
	check string // the one that must fail, and no other
	name  string // what is bad
	says  string // part of the finding
	breed func(s *site)
	app   func(a *App) // nil: as it is
}

// TestChecksCanFail holds all checks against applications that are bad in one
// way: the check of it fails, and no other. A check that cannot fail is no check.
func TestChecksCanFail(t *testing.T) {
	t.Parallel()
	beasts := slices.Concat(zooLogin(), zooRequests(), zooAnswers())
	for _, c := range Checks() {
		if !slices.ContainsFunc(beasts, func(b beast) bool { return b.check == c.Name }) {
			t.Errorf("no application in the zoo fails the check: %s", c.Name)
		}
	}
	for _, b := range beasts {
		t.Run(b.check+"/"+b.name, func(t *testing.T) {
			t.Parallel()
			s := newSite()
			b.breed(s)
			app := s.app()
			if b.app != nil {
				b.app(&app)
			}
			large := 100_000 // a megabyte, a hundred times, costs a minute of the race detector
			if b.check == big {
				large = megabyte
			}
			failed := findings(t, s.handler(), app, large)
			text, caught := failed[b.check]
			if !caught {
				t.Error("the check found nothing wrong")
			} else if !strings.Contains(text, b.says) {
				t.Errorf("the check says %q, want something of %q", text, b.says)
			}
			delete(failed, b.check)
			for name, text := range failed {
				t.Errorf("another check fails: %s: %s", name, text)
			}
		})
	}
}

// findings makes all checks and returns what those that fail say. What they say
// must not have any part of an identifier in it.
func findings(t *testing.T, handler http.Handler, app App, large int) map[string]string {
	t.Helper()
	e, err := newEnv(t, handler, app)
	if err != nil {
		t.Fatal(err)
	}
	e.large = large
	failed := make(map[string]string)
	for _, c := range Checks() {
		bad, text := e.verdict(c)
		if bad {
			failed[c.Name] = text
		}
		e.quiet(t, text)
	}
	return failed
}

// quiet fails the test where a text has eight characters in a row of an
// identifier.
func (e *env) quiet(t *testing.T, text string) {
	t.Helper()
	const short = 8
	parts := make(map[string]bool)
	for _, a := range e.seen {
		for _, token := range e.gives(a) {
			for ; len(token) >= short; token = token[1:] {
				parts[token[:short]] = true
			}
		}
	}
	for ; len(text) >= short; text = text[1:] {
		if parts[text[:short]] {
			t.Fatal("a part of an identifier is in the report")
		}
	}
}

// TestGoodSite: an application that has nothing to do with package session passes
// all checks, and all are made.
func TestGoodSite(t *testing.T) {
	s := newSite()
	e, err := newEnv(t, s.handler(), s.app())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checks() {
		if _, text := e.verdict(c); text != "" {
			t.Errorf("%s: %s", c.Name, text)
		}
	}
	t.Logf("%d answers, %d logins", len(e.seen), len(e.logins))
	if len(s.sessions) > 10 {
		t.Errorf("%d sessions are left over", len(s.sessions))
	}
}
