package sessionaudit

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
)

// A Check is one line of the report.
type Check struct {
	Name        string // what is expected, a short statement
	ASVS        string // the requirement of OWASP ASVS 5.0, or its section
	Requirement string // the one of docs/security.md
	Advice      string // what to do where it fails

	run func(e *env) error
}

// Checks returns all checks, in the order in which [Run] makes them. Those that
// judge every answer of the site come last, when there are many.
func Checks() []Check {
	var all []Check
	for _, chapter := range [][]Check{
		loginChecks(), logoutChecks(), forgeryChecks(), identifierChecks(), hostileChecks(), visitorChecks(),
		cookieChecks(), cachingChecks(), leakChecks(),
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
	for _, c := range Checks() {
		t.Run(c.ASVS+" "+c.Name, func(t *testing.T) {
			if failed, text := e.verdict(c); failed {
				t.Error(text)
			} else if text != "" {
				t.Log(text)
			}
		})
	}
}

// verdict makes a check; text is the line of the report.
func (e *env) verdict(c Check) (failed bool, text string) {
	err := e.make(c)
	var not notCheckedError
	reason, accepted := e.app.Accept[c.Name]
	switch {
	case err == nil && accepted:
		return false, "passed: Accept need not name it any more"
	case err == nil:
		return false, ""
	case errors.As(err, &not):
		return false, "not checked: " + string(not)
	case accepted:
		return false, fmt.Sprintf("%v\naccepted: %s", err, reason)
	}
	return true, fmt.Sprintf("%v\nwhat to do: %s\nASVS 5.0 %s, requirement %s", err, c.Advice, c.ASVS, c.Requirement)
}

// make makes a check, and then logs out whoever it logged in, so that sessions do
// not pile up.
func (e *env) make(c Check) error {
	defer e.retire()
	return c.run(e)
}

// A notCheckedError says why a check has nothing to do with the application.
type notCheckedError string

func (n notCheckedError) Error() string { return string(n) }

func notChecked(why string) error { return notCheckedError(why) }
