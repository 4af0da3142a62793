package sessionaudit

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A brokenApp is an application with one defect.
type brokenApp struct {
	check  string // the only check that must fail
	name   string // what is bad
	says   string // part of the finding
	defect func(s *site)
	app    func(a *App) // nil: as it is
}

// TestChecksCanFail runs all checks on applications with one defect. Only the check
// for that defect fails. A check that names a requirement of ASVS fails for some
// application. A check that names none finds hardening for some application.
func TestChecksCanFail(t *testing.T) {
	t.Parallel()
	broken := slices.Concat(brokenLogin(), brokenRequests(), brokenAnswers(), brokenBound())
	in := func(apps []brokenApp, c Check) bool {
		return slices.ContainsFunc(apps, func(b brokenApp) bool { return b.check == c.Name })
	}
	for _, c := range Checks() {
		fails, hardens := in(broken, c), in(brokenHardening(), c)
		if fails != (c.ASVS != "") || !fails && !hardens {
			t.Errorf("ASVS %q: a broken application fails the check: %v, has hardening for it: %v: %s", c.ASVS, fails, hardens, c.Name)
		}
		if hardens != strings.Contains(c.Advice, "no attack follows") {
			t.Errorf("an application has hardening: %v, but the advice says: %s: %s", hardens, c.Advice, c.Name)
		}
	}
	for _, b := range broken {
		t.Run(b.check+"/"+b.name, func(t *testing.T) {
			t.Parallel()
			_, found := b.audited(t)
			b.only(t, found, failure)
		})
	}
}

// audited makes all checks of the application.
func (b brokenApp) audited(t *testing.T) (*env, map[string]finding) {
	t.Helper()
	s := newSite()
	b.defect(s)
	app := s.app()
	if b.app != nil {
		b.app(&app)
	}
	large := 100_000 // a megabyte, a hundred times, costs a minute of the race detector
	if b.check == big {
		large = megabyte
	}
	return findings(t, s.handler(), app, large)
}

// only wants one finding, of that kind and for the defect of the application.
func (b brokenApp) only(t *testing.T, found map[string]finding, want kind) {
	t.Helper()
	if f := found[b.check]; f.kind != want {
		t.Errorf("the check came to kind %d, want %d", f.kind, want)
	} else if !strings.Contains(f.text, b.says) {
		t.Errorf("the check says %q, want something of %q", f.text, b.says)
	}
	delete(found, b.check)
	for name, f := range found {
		t.Errorf("another check finds something, of kind %d: %s: %s", f.kind, name, f.text)
	}
}

// A finding is a failure or hardening, as the report says it.
type finding struct {
	kind kind
	text string
}

// findings makes all checks and returns what those say that find something. What
// they say must not have any part of an identifier in it.
func findings(t *testing.T, handler http.Handler, app App, large int) (*env, map[string]finding) {
	t.Helper()
	e, err := newEnv(t, handler, app)
	if err != nil {
		t.Fatal(err)
	}
	e.large = large
	found := make(map[string]finding)
	for _, c := range Checks() {
		k, text := e.verdict(c)
		if k != passed {
			found[c.Name] = finding{k, text}
		}
		e.quiet(t, text)
	}
	return e, found
}

// quiet fails the test where a text has eight characters in a row of an
// identifier.
func (e *env) quiet(t *testing.T, text string) {
	t.Helper()
	const short = 8
	parts := make(map[string]bool)
	for _, a := range e.seen {
		for _, token := range e.issued(a) {
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
	newBonds(s)
	app := s.app()
	binding(&app)
	e, err := newEnv(t, s.handler(), app)
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
