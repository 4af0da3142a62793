// Package sessionaudit attacks the logins of a web application, in a test of that
// application. It works from outside, over HTTP, as a browser and as an attacker. The
// application need not use package session or mist.
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
// [Run] serves the handler over TLS and makes some forty [Checks], each as a subtest. The
// output of go test -v is the report: each line names a check and the requirement of OWASP
// ASVS 5.0 that it tests:
//
//	--- PASS: TestSessions/7.2.4_a_login_replaces_the_identifier_of_a_stranger
//	--- FAIL: TestSessions/7.4.1_a_logout_ends_the_session
//	    after POST /logout the old identifier still logs in as user 0 on /account
//	    ASVS 5.0 7.4.1, requirement R34
//	    what to do: remove the session from the store, not only the cookie from the browser
//
// The requirements R01, R02 and so on are those of docs/security.md in this module.
//
// # Failures and hardening
//
// A finding is a failure or hardening. A failure breaks the ASVS requirement and fails the
// test. Hardening means that a second line of defence is missing: ASVS does not require it,
// and no attack is possible in a browser that follows RFC 6265bis. The report marks it, and
// the test passes:
//
//	--- PASS: TestSessions/2.2.1_two_cookies_of_the_name_are_no_session
//	    hardening: GET /account logs in as user 0 with two cookies of the name, one of them valid
//	    beyond ASVS 5.0, requirement R19
//	    what to do: refuse both: …
//
// Eight checks can find hardening. The advice of each says when, and why no attack follows:
//
//   - a response sets the cookie twice, or for more than 400 days (these two checks only
//     find hardening, so they name no ASVS requirement)
//   - two cookies of the name log in, and the name begins with __Host- (with any other
//     name this is a failure, because other hosts can set such a cookie)
//   - a quoted cookie logs in
//   - more than 3000 cookies replace a session
//   - the identifier logs in from another header, such as Authorization
//   - the logout deletes the cookie with other attributes, and the browser still forgets it
//   - a response that sets the cookie has Cache-Control: no-store, but no Vary: Cookie
//
// With [App].Strict the test also fails on hardening. The report ends with the names of the
// checks that found failures, and of those that found only hardening. To accept a finding of
// either kind, name its check in [App].Accept, with the reason.
//
// # Logins that are bound to a device
//
// With [App].Bound the audit also acts as a browser with Device Bound Session Credentials.
// It registers a key for a login, at the path in the login's response, and signs challenges
// (ES256). Six checks then verify that a copied cookie ends while the device stays logged
// in. They also verify that a device is registered only with the cookie of its login, and that
// a new cookie needs the registered key and a challenge that was not answered before. One of
// them waits for Bound.
//
// # Requirements
//
// The session's identifier must be the value of one cookie. The application needs a page that
// shows who is logged in, two users, and no limit on logins: one browser logs in some thirty
// times. The audit's browsers handle cookies like the strictest real ones (rfc6265bis): they
// refuse a cookie that breaks the rules of its prefix, Secure, Domain or Path.
//
// # Limits
//
// The audit cannot see the store, other processes of the site, or what handlers write to
// logs. It therefore checks no timeouts but that of bound cookies, and cannot tell what a
// stolen copy of the store is worth. A passed audit does not prove that the site is safe.
//
// No report contains an identifier or a part of one. A page may show the part of an
// identifier before its first dot, if at least 16 characters follow: in package session that
// part is a public handle.
package sessionaudit
