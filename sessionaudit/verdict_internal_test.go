package sessionaudit

import (
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestRun runs the audit of a good site; with bad set it is the test of a bad one,
// which fails in a process of its own.
func TestRun(t *testing.T) {
	const bad = "SESSIONAUDIT_TEST_OF_A_BAD_SITE"
	s := newSite()
	app := s.app()
	if os.Getenv(bad) != "" {
		t.Run("both", func(t *testing.T) {
			s.logout = func(w http.ResponseWriter, _ string) { s.unset(w) }
			firstOfTwo(s)
			app.Routes = nil
			Run(t, s.handler(), app)
		})
		t.Run("strict", func(t *testing.T) {
			app := newSensible("").app()
			app.Strict = true
			Run(t, newSensible("__Host-id").handler(), app)
		})
		t.Run("empty", func(t *testing.T) { Run(t, s.handler(), App{}) })
		return
	}
	app.Strict = true
	Run(t, s.handler(), app)

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRun$", "-test.v")
	cmd.Env = append(os.Environ(), bad+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the test of a bad site passes")
	}
	for _, want := range []string{
		"--- FAIL: TestRun/both/7.4.1_a_logout_ends_the_session (",
		"after POST /logout the old identifier still logs in as user 0 on /private\n",
		"what to do: remove the session from the store",
		"ASVS 5.0 7.4.1, requirement R34",
		"--- PASS: TestRun/both/7.4.1_a_logout_ends_the_session_on_every_route (",
		"not checked: App.Routes is empty",
		"--- PASS: TestRun/both/3.3.1_the_cookie_is_Secure (",
		"--- PASS: TestRun/both/2.2.1_two_cookies_of_the_name_are_no_session (",
		"hardening: GET /private logs in as user 0 with two cookies",
		"beyond ASVS 5.0, requirement R19",
		"--- PASS: TestRun/both/hardening_a_response_sets_the_cookie_once (",
		"sessionaudit: 45 checks, 1 failed, 1 with hardening only\n",
		"failure: a logout ends the session\n",
		"hardening: two cookies of the name are no session\n",
		"--- FAIL: TestRun/strict/2.2.1_two_cookies_of_the_name_are_no_session (",
		"--- FAIL: TestRun/strict/2.2.1_a_quoted_cookie_is_no_session (",
		"--- FAIL: TestRun/strict/14.2.2_a_response_that_sets_the_cookie_varies_by_cookies (",
		"sessionaudit: 45 checks, 3 failed, 0 with hardening only\n",
		"sessionaudit: App is incomplete:\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	for name, want := range map[string]int{"both": 1, "strict": 3} {
		if n := strings.Count(string(out), "--- FAIL: TestRun/"+name+"/"); n != want {
			t.Errorf("the report of %s has %d failures, want %d", name, n, want)
		}
	}
}

// TestVerdict: what the report says of a check that finds failures, hardening,
// both or nothing.
func TestVerdict(t *testing.T) {
	t.Parallel()
	s := newSite()
	e, err := newEnv(t, s.handler(), s.app())
	if err != nil {
		t.Fatal(err)
	}
	check := Check{Name: "it works", ASVS: "1.2.3", Requirement: "R99", Advice: "mend it"}
	const (
		failed = "EOF\nASVS 5.0 1.2.3, requirement R99\n"
		harder = "hardening: odd\nbeyond ASVS 5.0, requirement R99\n"
		advice = "what to do: mend it"
	)
	odd := errors.New("odd")
	for _, c := range []struct {
		err, remark    error
		accept, strict bool
		kind           kind
		want           string
	}{
		{nil, nil, false, false, passed, ""},
		{io.EOF, nil, false, false, failure, failed + advice},
		{nil, odd, false, false, hardening, harder + advice},
		{io.EOF, odd, false, false, failure, failed + harder + advice},
		{io.EOF, nil, true, false, passed, "EOF\naccepted: we know"},
		{nil, odd, true, false, passed, "odd\naccepted: we know"},
		{io.EOF, odd, true, false, passed, "EOF\nodd\naccepted: we know"},
		{nil, nil, true, false, passed, "passed: remove it from App.Accept"},
		{notChecked("no need"), nil, false, false, passed, "not checked: no need"},
		{notChecked("no need"), nil, true, false, passed, "not checked: no need"},

		{nil, nil, false, true, passed, ""},
		{io.EOF, nil, false, true, failure, failed + advice},
		{nil, odd, false, true, failure, harder + advice},
		{io.EOF, odd, false, true, failure, failed + harder + advice},
		{nil, odd, true, true, passed, "odd\naccepted: we know"},
		{notChecked("no need"), nil, false, true, passed, "not checked: no need"},
	} {
		check.run = func(e *env) error {
			e.remark(c.remark)
			e.remark(c.remark) // is said once
			return c.err
		}
		e.app.Accept, e.app.Strict = nil, c.strict
		if c.accept {
			e.app.Accept = map[string]string{"it works": "we know"}
		}
		if k, text := e.verdict(check); k != c.kind || text != c.want {
			t.Errorf("%v and %v, accepted %v, strict %v: got kind %d, %q", c.err, c.remark, c.accept, c.strict, k, text)
		}
	}
}

// TestSummary: the end of the report tells the kinds apart.
func TestSummary(t *testing.T) {
	t.Parallel()
	got := summary([...][]string{passed: {"a", "b", "c"}, hardening: {"d", "e"}, failure: {"f"}})
	want := "sessionaudit: 6 checks, 1 failed, 2 with hardening only\nfailure: f\nhardening: d\nhardening: e"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
