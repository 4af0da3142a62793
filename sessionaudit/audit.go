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
	Name string // the expected behaviour, in a few words

	// ASVS is the requirement of OWASP ASVS 5.0 that a failure breaks. Empty: ASVS does not
	// require it, and the check only finds hardening.
	ASVS        string
	Requirement string // the requirement of docs/security.md
	Advice      string // what to do, and why a finding may be hardening

	// run returns failures, and reports hardening with env.remark.
	run func(e *env) error
}

// title returns the name of the subtest.
func (c Check) title() string {
	if c.ASVS == "" {
		return "hardening " + c.Name
	}
	return c.ASVS + " " + c.Name
}

// A kind is the result of a check.
type kind int

const (
	passed    kind = iota // no finding, an accepted one, or the check was not made
	hardening             // a defence is missing, but no attack follows
	failure
)

// Checks returns all checks, in the order in which [Run] makes them. The checks that read
// all answers of the site so far come last.
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

// Run makes all checks of an application, each as a subtest, on its own test server. It fails
// at once if app is incomplete or its logins do not work. The checks leave their traces in
// the handler: give each Run a new handler, or users whose logins may change.
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

// summary returns the end of the report.
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

// verdict makes a check and returns its part of the report.
func (e *env) verdict(c Check) (k kind, text string) {
	err, remarks := e.run(c)
	var not notCheckedError
	reason, accepted := e.app.Accept[c.Name]
	switch {
	case err == nil && remarks == nil && accepted:
		return passed, "passed: remove it from App.Accept"
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

// run makes a check, and then logs out all its users, so that sessions do not pile up.
func (e *env) run(c Check) (failures, remarks error) {
	defer e.retire()
	e.remarks = nil
	failures = c.run(e)
	return failures, errors.Join(e.remarks...)
}

// remark reports hardening: a finding from which no attack follows.
func (e *env) remark(err error) {
	same := func(r error) bool { return r.Error() == err.Error() }
	if err != nil && !slices.ContainsFunc(e.remarks, same) {
		e.remarks = append(e.remarks, err)
	}
}

// judge returns err if it is a failure, and reports it with remark if it is hardening.
func (e *env) judge(k kind, err error) error {
	if k == failure {
		return err
	}
	e.remark(err)
	return nil
}

// remarksOnly turns all findings of run into hardening.
func remarksOnly(run func(e *env) error) func(e *env) error {
	return func(e *env) error {
		e.remark(run(e))
		return nil
	}
}

// A notCheckedError says why a check does not apply to the application.
type notCheckedError string

func (n notCheckedError) Error() string { return string(n) }

func notChecked(why string) error { return notCheckedError(why) }
