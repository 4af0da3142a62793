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
//	    ASVS 5.0 7.4.1, requirement R34
//	    what to do: remove the session from the store, not only the cookie from the browser
//
// A requirement Rnn is one of docs/security.md in this module.
//
// # Failures and hardening
//
// A finding has a kind. A failure breaks the requirement of ASVS, and fails the
// test. Hardening is a second line of defence that is missing: no attack follows
// in a browser that keeps RFC 6265bis, and ASVS does not ask for it. The report
// calls it so, and the test passes:
//
//	--- PASS: TestSessions/2.2.1_two_cookies_of_the_name_are_no_session
//	    hardening: GET /account logs in as user 0 with two cookies of the name, one of them good
//	    beyond ASVS 5.0, requirement R19
//	    what to do: refuse both: …
//
// Eight checks can find hardening. Their advice says when, and why no attack
// follows:
//
//   - a response sets the cookie twice, or for over 400 days. These two checks
//     find nothing but hardening, so they name no requirement of ASVS;
//   - two cookies of the name log in, if the name begins with __Host-. Under any
//     other name they are a failure, because other hosts can set such a cookie;
//   - a quoted cookie logs in;
//   - over 3000 cookies replace a session;
//   - the identifier logs in from another header, such as Authorization;
//   - the logout deletes the cookie with other attributes, and the browser still
//     forgets it;
//   - a response that sets the cookie has no-store, but not Vary: Cookie.
//
// With [App].Strict the test fails on hardening too. The report ends with the
// names of the checks that found failures, and of those that found only
// hardening. A finding of either kind that is intended is named in [App].Accept,
// with the reason.
//
// # Logins that are bound to a device
//
// With [App].Bound the audit is also a browser with Device Bound Session Credentials. It
// registers a key for a login, at the path that the login's response names, and signs
// challenges (ES256). Six checks then want that a copied cookie ends while the device
// goes on, and that nobody registers a device or gets a cookie without the login's own
// cookie, the registered key and a challenge that was not answered before. One of them
// waits for Bound.
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
// The store, so neither timeouts (but that of bound cookies) nor what a stolen dump is worth; other processes
// of the same site; what the handlers write to logs. A test passed is not proof of
// safety.
//
// No failure prints an identifier or a part of one. In what a page may show, the
// part of an identifier before its first dot is taken for a public handle when at
// least 16 characters follow, as it is in package session.
package sessionaudit
