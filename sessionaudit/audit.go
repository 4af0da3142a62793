package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A Check is one line of the report.
type Check struct {
	Name string // what is expected, a short statement
	// ASVS is the requirement of OWASP ASVS 5.0 that a failure breaks. Empty: the
	// standard does not ask for it, and the check finds nothing but hardening.
	ASVS        string
	Requirement string // the one of docs/security.md
	Advice      string // what to do, and why a finding may be hardening

	// run returns the failures, and notes hardening with env.remark.
	run func(e *env) error
}

// title is the name of the subtest.
func (c Check) title() string {
	if c.ASVS == "" {
		return "hardening " + c.Name
	}
	return c.ASVS + " " + c.Name
}

// A kind is what a check came to.
type kind int

const (
	passed    kind = iota // nothing was found, or it is accepted, or it was not checked
	hardening             // something can be better, but no attack follows from it
	failure
)

// Checks returns all checks, in the order in which [Run] makes them. Those that
// judge every answer of the site come last, when there are many.
func Checks() []Check {
	var all []Check
	for _, chapter := range [][]Check{
		loginChecks(), logoutChecks(), forgeryChecks(), identifierChecks(), hostileChecks(), visitorChecks(),
		boundChecks(), cookieChecks(), cachingChecks(), leakChecks(),
	} {
		all = append(all, chapter...)
	}
	return all
}

// Run makes all checks of an application, a subtest for each, on a server of its
// own. It stops at once where app is incomplete, or where nobody can log in as it
// says. The handler keeps what it was told: give each Run a new one, or users that
// may be logged in and out.
func Run(t *testing.T, handler http.Handler, app App) {
	t.Helper()
	e, err := newEnv(t, handler, app)
	if err != nil {
		t.Fatalf("sessionaudit: %v", err)
	}
	var names [failure + 1][]string
	for _, c := range Checks() {
		t.Run(c.title(), func(t *testing.T) {
			k, text := e.verdict(c)
			if k == failure {
				t.Error(text)
			} else if text != "" {
				t.Log(text)
			}
			names[k] = append(names[k], c.Name)
		})
	}
	t.Log(summary(names))
}

// summary is the end of the report: how many checks came to what, and which.
func summary(names [failure + 1][]string) string {
	passes, failures, remarks := len(names[passed]), len(names[failure]), len(names[hardening])
	lines := []string{fmt.Sprintf("sessionaudit: %d checks, %d failed, %d with hardening only", passes+failures+remarks, failures, remarks)}
	for _, name := range names[failure] {
		lines = append(lines, "failure: "+name)
	}
	for _, name := range names[hardening] {
		lines = append(lines, "hardening: "+name)
	}
	return strings.Join(lines, "\n")
}

// verdict makes a check; text is its part of the report.
func (e *env) verdict(c Check) (k kind, text string) {
	err, remarks := e.make(c)
	var not notCheckedError
	reason, accepted := e.app.Accept[c.Name]
	switch {
	case err == nil && remarks == nil && accepted:
		return passed, "passed: Accept need not name it any more"
	case err == nil && remarks == nil:
		return passed, ""
	case errors.As(err, &not):
		return passed, "not checked: " + string(not)
	case accepted:
		return passed, fmt.Sprintf("%v\naccepted: %s", errors.Join(err, remarks), reason)
	}
	k = hardening
	var lines []string
	if err != nil {
		k = failure
		lines = append(lines, fmt.Sprintf("%v\nASVS 5.0 %s, requirement %s", err, c.ASVS, c.Requirement))
	}
	if remarks != nil {
		if e.app.Strict {
			k = failure
		}
		lines = append(lines, fmt.Sprintf("hardening: %v\nbeyond ASVS 5.0, requirement %s", remarks, c.Requirement))
	}
	return k, strings.Join(append(lines, "what to do: "+c.Advice), "\n")
}

// make makes a check, and then logs out whoever it logged in, so that sessions do
// not pile up. It returns the failures and the hardening.
func (e *env) make(c Check) (failures, remarks error) {
	defer e.retire()
	e.remarks = nil
	failures = c.run(e)
	return failures, errors.Join(e.remarks...)
}

// remark notes hardening: a finding from which no attack follows.
func (e *env) remark(err error) {
	same := func(r error) bool { return r.Error() == err.Error() }
	if err != nil && !slices.ContainsFunc(e.remarks, same) {
		e.remarks = append(e.remarks, err)
	}
}

// judge returns a failure, and notes hardening.
func (e *env) judge(k kind, err error) error {
	if k == failure {
		return err
	}
	e.remark(err)
	return nil
}

// remarksOnly returns a check whose findings are all hardening.
func remarksOnly(run func(e *env) error) func(e *env) error {
	return func(e *env) error {
		e.remark(run(e))
		return nil
	}
}

// A notCheckedError says why a check has nothing to do with the application.
type notCheckedError string

func (n notCheckedError) Error() string { return string(n) }

func notChecked(why string) error { return notCheckedError(why) }
