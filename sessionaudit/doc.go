// Package sessionaudit attacks the logins of a web application, in a test of that
// application: from outside, over HTTP, as a browser and as somebody who is up to
// no good. The application need not use package session, nor mist.
//
//	func TestSessions(t *testing.T) {
//		sessionaudit.Run(t, newHandler(), sessionaudit.App{
//			Login: func(_ *sessionaudit.Browser, user int) *http.Request {
//				return sessionaudit.Form("/login", "user", names[user], "password", passwords[user])
//			},
//			Logout:  func(*sessionaudit.Browser) *http.Request { return sessionaudit.Form("/logout") },
//			Private: "/account",
//			Marker:  func(user int) string { return "Hello, " + names[user] },
//		})
//	}
//
// [Run] serves the handler over TLS and holds some forty [Checks] against it, a
// subtest for each, so that go test -v reads as a report, line by line, with the
// number of the requirement of OWASP ASVS 5.0 that each stands for:
//
//	--- PASS: TestSessions/7.2.4_a_login_replaces_an_identifier_of_a_stranger
//	--- FAIL: TestSessions/7.4.1_a_logout_ends_the_session
//	    POST /logout: the identifier from before still logs in as user 0 on /account
//	    what to do: remove the session from the store, not only the cookie from the browser
//	    ASVS 5.0 7.4.1, requirement R34
//
// A requirement Rnn is one of docs/security.md in this module. A finding that is
// meant to be so is named in [App].Accept, with the reason.
//
// # What it needs
//
// A session whose identifier is the value of one cookie, a page that shows who is
// logged in, two users, and no limit of logins (one browser logs in some thirty
// times). The clients keep cookies as the strictest browsers do (rfc6265bis):
// they refuse what breaks the rules of a prefix, of Secure, Domain or Path.
//
// # What it cannot see
//
// The store, so neither timeouts nor what a stolen dump is worth; other processes
// of the same site; what the handlers write to logs. A test passed is not proof of
// safety.
//
// No failure prints an identifier or a part of one. In what a page may show, the
// part of an identifier before its first dot is taken for a public handle when at
// least 16 characters follow, as it is in package session.
package sessionaudit
