package sessiontest

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/mist-contrib/session"
)

// A death is the end of a session. The session may have ended since the step from, and has
// certainly ended after the step to.
type death struct {
	cause    string
	from, to int
}

const never = math.MaxInt

// A judge compares the promises with what the store did.
type judge struct {
	*order
	begun  map[string]*call   // by id: the call that began each session
	deaths map[string][]death // by id
	handed []*handed
}

type handed struct {
	token string
	by    *call // the first call that returned it
}

func (o *order) judge() {
	j := &judge{order: o, begun: make(map[string]*call), deaths: make(map[string][]death)}
	j.collect()
	j.judgeCalls()
	j.judgeVisits()
	j.judgeBrowsers()
	j.judgeSessions()
	j.judgeUsers()
	j.clean()
}

// collect finds out which sessions ended, and which tokens were given away.
func (j *judge) collect() {
	for _, c := range j.calls {
		if (c.op == "Generate" || c.op == "Login") && c.err == nil && j.begun[c.id] == nil {
			j.begun[c.id] = c
		}
	}
	known := make(map[string]bool)
	for _, c := range j.calls {
		if t := session.Token(c.s); c.err == nil && t != "" && !known[t] {
			known[t] = true
			j.handed = append(j.handed, &handed{t, c})
		}
		to := c.end
		if c.err != nil {
			to = never // it may or may not have happened
		}
		switch c.op {
		case "Login":
			j.loggedIn(c, to)
		case "Remove":
			j.ends(c.id, death{"Remove", c.start, to})
		case "RemoveUserSessions":
			j.revoked(c, to)
		case kindExpire:
			j.expired(c)
		}
	}
	for _, v := range j.visits {
		if v.err != nil || v.loaded == nil {
			continue
		}
		if tookOver(v) || v.kind.name == kindLogout {
			j.ends(v.loaded.ID(), death{v.name, v.end, v.end})
		}
	}
}

// loggedIn notes that an anonymous session ends with its login. A refused login keeps it.
func (j *judge) loggedIn(l *call, to int) {
	if l.token == "" || l.err != nil && refusesLogin(l.err) {
		return
	}
	if from := idOf(l.token); j.anonymous(from) {
		j.ends(from, death{"a login", l.start, to})
	}
}

// refusesLogin reports whether an error means that a login has changed nothing.
func refusesLogin(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrRevoked)
}

// anonymous reports whether a session has no user. It never gets one.
func (j *judge) anonymous(id string) bool {
	g := j.begun[id]
	return g != nil && g.op == "Generate"
}

// from returns the anonymous session whose values a session took over, or the session itself.
func (j *judge) from(id string) string {
	if g := j.begun[id]; g != nil && g.op == "Login" && j.anonymous(idOf(g.token)) {
		return idOf(g.token)
	}
	return id
}

// tookOver reports whether a login replaced the session of another user. It does not count a
// session that ended, or got a user, during the login.
func tookOver(v *visit) bool {
	if v.got == nil {
		return false
	}
	before, _ := session.Describe(v.loaded)
	after, _ := session.Describe(v.got)
	return before.ID != after.ID && before.User != "" && before.User != after.User
}

func (j *judge) ends(id string, d death) { j.deaths[id] = append(j.deaths[id], d) }

// revoked notes the death of every session whose login began before a revocation.
func (j *judge) revoked(c *call, to int) {
	for _, l := range j.calls {
		switch {
		case l.op != "Login" || l.user != c.user || l.err != nil:
		case l.visit == nil || l.visit.start < c.start:
			j.ends(l.id, death{"a revocation", c.start, to})
		case l.visit.start <= c.end:
			j.ends(l.id, death{"a revocation", c.start, never})
		}
	}
}

func (j *judge) expired(c *call) {
	for id, g := range j.begun {
		switch {
		case g.start > c.end:
		case g.end < c.start:
			j.ends(id, death{"its idle timeout", c.start, c.end})
		default:
			j.ends(id, death{"its idle timeout", c.start, never})
		}
	}
}

// dead reports whether a session must have ended, alive whether it must not have. If both
// are false, either is allowed.
func (j *judge) dead(id string) (cause string, dead bool) {
	for _, d := range j.deaths[id] {
		if d.to != never {
			return d.cause, true
		}
	}
	return "", false
}

func (j *judge) alive(id string) bool { return len(j.deaths[id]) == 0 }

// judgeCalls judges the answers of the store during the burst.
func (j *judge) judgeCalls() {
	for _, c := range j.calls {
		switch {
		case c.visit == nil:
		case c.err == nil:
			for _, d := range slices.Concat(j.deaths[c.id], j.deaths[idOf(c.token)]) {
				if d.to < c.start && c.op != "Remove" {
					j.complain("%s: %s worked on a session that had ended by %s", c.visit.name, c.op, d.cause)
				}
			}
		case errors.Is(c.err, context.DeadlineExceeded) && j.expiredBy(c.end): // the call waited until then
		case errors.Is(c.err, session.ErrRevoked):
			if c.op != "Login" || !j.sawRevocation(c) {
				j.complain("%s: %s: got session.ErrRevoked, but nobody had revoked", c.visit.name, c.op)
			}
		case j.refusesDevice(c):
		case !errors.Is(c.err, session.ErrNotFound):
			j.complainOf(wrong(c.err, nil, "%s: %s", c.visit.name, c.op))
		case !j.excused(c):
			j.complain("%s: %s found no session, but nothing had ended it", c.visit.name, c.op)
		}
	}
	j.judgeRotations()
	j.judgeLogins()
	j.judgeDevices()
}

// sawRevocation reports whether a login may have been refused with ErrRevoked: because of a
// revocation, or because its check began more than BeganLimit ago.
func (j *judge) sawRevocation(c *call) bool {
	if c.visit.kind.name == kindLate {
		return true
	}
	for _, r := range j.calls {
		if r.op == "RemoveUserSessions" && r.user == c.user && r.start <= c.end {
			return true
		}
	}
	return j.expiredBy(c.end)
}

func (j *judge) expiredBy(now int) bool {
	for _, c := range j.calls {
		if c.op == kindExpire && c.start <= now {
			return true
		}
	}
	return false
}

// excused reports whether a call may have found nothing.
func (j *judge) excused(c *call) bool {
	for _, d := range j.deaths[c.id] {
		if d.from <= c.end {
			return true
		}
	}
	if j.lent(c) || j.outlived(c.token, c.end) {
		return true
	}
	for _, l := range j.logins(c.id) {
		if l != c && c.token != "" && l.start <= c.end && session.Token(l.s) != c.token {
			return true // which ends all other tokens
		}
	}
	return false
}

// lent reports whether a refused login may have held the session of a call in the meantime.
// While a login holds an anonymous session, other calls do not find it.
func (j *judge) lent(c *call) bool {
	for _, l := range j.calls {
		took := l.op == "Login" && l != c && l.err != nil && (errors.Is(l.err, session.ErrRevoked) || !errors.Is(l.err, session.ErrNotFound))
		if took && idOf(l.token) == c.id && j.anonymous(c.id) && l.start <= c.end && l.end >= c.start {
			return true
		}
	}
	return false
}

func (j *judge) logins(id string) (all []*call) {
	for _, c := range j.calls {
		if c.op == "Login" && c.err == nil && c.id == id {
			all = append(all, c)
		}
	}
	return all
}

// judgeRotations complains unless each token has one successor.
func (j *judge) judgeRotations() {
	type tokens map[string]bool
	from, to := make(map[string]tokens), make(map[string]tokens)
	for _, c := range j.calls {
		if c.op != "Rotate" || c.err != nil {
			continue
		}
		if bound, certain := j.bound(c.id, c.start, c.end, whichever); certain || bound && session.Token(c.s) == c.token {
			if session.Token(c.s) != c.token {
				j.complain("%s: Rotate gave a session of a device another token", c.visit.name)
			}
			continue
		}
		if from[c.id] == nil {
			from[c.id], to[c.id] = make(tokens), make(tokens)
		}
		from[c.id][c.token], to[c.id][session.Token(c.s)] = true, true
		if session.Token(c.s) == c.token {
			j.complain("%s: Rotate returned the token that it was given", c.visit.name)
		}
	}
	for id := range from {
		if len(to[id]) > len(from[id]) {
			j.complain("Rotate: got %d new tokens for %d old ones, want one for each", len(to[id]), len(from[id]))
		}
	}
}

// judgeLogins complains if a token or an anonymous session logs in twice, or if a user's own
// session does not go on.
func (j *judge) judgeLogins() {
	used := make(map[string]bool)
	for _, l := range j.calls {
		if l.op != "Login" || l.err != nil || l.visit == nil {
			continue
		}
		if l.visit.kind.name == kindLate {
			j.complain("%s: a login succeeded whose check began too long ago", l.visit.name)
		}
		from := idOf(l.token)
		switch g := j.begun[from]; {
		case l.token == "" && j.begun[l.id] != l:
			j.complain("%s: a login from no session returned an existing session", l.visit.name)
		case l.token == "":
		case used[l.token]:
			j.complain("%s: a token logged in for the second time", l.visit.name)
		case j.anonymous(from) && used[from]:
			j.complain("%s: an anonymous session logged in for the second time", l.visit.name)
		case j.anonymous(from) && j.begun[l.id] != l:
			j.complain("%s: a login of an anonymous session returned an existing session", l.visit.name)
		case g != nil && g.op == "Login" && (l.id != from || l.user != g.user):
			j.complain("%s: a session of a user did not go on as theirs", l.visit.name)
		}
		used[l.token], used[from] = true, true
	}
}

func (j *judge) judgeVisits() {
	for _, v := range j.visits {
		revoked, missing := false, v.kind.carries && v.sent == "" ||
			(v.kind.name == kindReauthenticate || v.kind.name == kindBind) && v.loaded != nil && userOf(v.loaded) == ""
		for _, c := range j.calls {
			if c.visit == v {
				revoked = revoked || errors.Is(c.err, session.ErrRevoked)
				missing = missing || errors.Is(c.err, session.ErrNotFound)
			}
		}
		switch {
		case v.err == nil && v.got != nil:
			if session.Token(v.got) == v.sent {
				j.complain("%s: Login returned the old token", v.name)
			}
		case v.err == nil:
		case errors.Is(v.err, session.ErrRevoked) && revoked:
		case errors.Is(v.err, session.ErrNotFound) && missing:
		case errors.Is(v.err, context.DeadlineExceeded) && j.expiredBy(v.end):
		case j.tellsDevice(v):
		default:
			j.complainOf(wrong(v.err, nil, "%s: the Manager", v.name))
		}
	}
}

// judgeBrowsers makes the next request of every browser.
func (j *judge) judgeBrowsers() {
	mayEnd := false
	for _, v := range j.visits {
		mayEnd = mayEnd || v.kind.name == kindLogout || v.kind.name == kindRevoke || v.kind.name == kindExpire
	}
	for _, b := range j.browsers {
		served := !mayEnd || b.cookie() != "" && j.alive(idOf(b.cookie()))
		ctx, _ := j.request(context.Background(), b.cookie())
		s, err := j.manager.GetSession(ctx)
		if served && errors.Is(err, session.ErrNotFound) && j.ended(b.cookie()) {
			s, err = j.renew(b)
		}
		switch {
		case err == nil:
			j.recognise("afterwards", b, s)
			if user, certain := j.expected(b); certain && !mayEnd && userOf(s) != user {
				j.complain("the %s browser is logged in as %q, not as %q", b.name, userOf(s), user)
			}
		case !errors.Is(err, session.ErrNotFound):
			j.complainOf(wrong(err, nil, "the next request of the %s browser", b.name))
		case served:
			j.complain("the %s browser lost its session", b.name)
		}
	}
}

// expected returns the user of a browser. It is not certain if the browser was given two
// sessions, because it keeps the one that arrives last. That happens after concurrent logins
// of two users, after a login whose anonymous session another login held, and after a proof
// for the session from before a login.
func (j *judge) expected(b *browser) (user string, certain bool) {
	if j.burst.loggedIn {
		user = j.user("ann")
	}
	loggedIn, id := "", ""
	for _, c := range j.calls {
		switch {
		case c.visit == nil || c.visit.browser != b:
			continue
		case c.err != nil && c.visit.got != nil && c.id == idOf(b.cookie()) && j.lent(c):
			return "", false
		case c.op == "Prove" && c.err == nil && id != "" && id != c.id:
			return "", false
		case c.err != nil || c.op != "Login":
			continue
		}
		if loggedIn != "" && loggedIn != c.user {
			return "", false
		}
		user, loggedIn, id = c.user, c.user, c.id
	}
	return user, true
}
