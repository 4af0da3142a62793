package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/mist-contrib/session"
)

// Losses counts the orders in which clients lost something because they keep their sessions
// themselves. No [session.ClientStore] can prevent these losses.
type Losses struct {
	Orders  int // all explored orders
	Writes  int // at the end the browser's session lacks an acknowledged write
	Replays int // a request with an old cookie saw old values
	Undone  int // a late response undid a login or a logout
	Ended   int // a cookie opens a session that a logout or a login had ended
}

func (l *Losses) add(more Losses) {
	l.Orders += more.Orders
	l.Writes += more.Writes
	l.Replays += more.Replays
	l.Undone += more.Undone
	l.Ended += more.Ended
}

func (l *Losses) String() string {
	return fmt.Sprintf("by design, of %d orders: %d lost a write, %d showed old values, %d undid a login or a logout, in %d an ended session opens",
		l.Orders, l.Writes, l.Replays, l.Undone, l.Ended)
}

// revokes reports whether a store can end the sessions of a user.
func revokes(store session.Store) bool {
	us, ok := capability[session.UserStore](store)
	if !ok {
		return false
	}
	_, err := us.RemoveUserSessions(context.Background(), "nobody")
	return !errors.Is(err, errors.ErrUnsupported)
}

// An expectedSession is the session that a cookie has to show: the session that its request came
// with, changed by that request.
type expectedSession struct {
	id, user string
	ids      []string // its own, and the id of the anonymous session before its login
	values   map[string]any
	login    *call // the last login; nil for an anonymous session
	seen     *call // the call that extended it last
}

// A clients judges sessions that clients keep.
type clients struct {
	*judge
	pictures map[string]*expectedSession // by cookie
	after    map[*visit]*expectedSession // the session of a visit at its end
	ids      map[string]bool             // of all sessions
	left     map[string]bool             // anonymous sessions that a logout or a login ended
}

func (o *order) judgeClients() {
	c := &clients{
		judge: &judge{order: o}, pictures: make(map[string]*expectedSession), after: make(map[*visit]*expectedSession),
		ids: make(map[string]bool), left: make(map[string]bool),
	}
	for _, b := range o.browsers {
		c.pictures[b.held[0]] = c.follow(nil, b.arrival)
	}
	// The request that gave a cookie ended before a request carried it.
	for _, v := range slices.SortedFunc(slices.Values(o.visits), func(a, b *visit) int { return a.end - b.end }) {
		c.visited(v)
	}
	c.judgeVisits()
	opens := c.judgeCookies()
	c.judgeForgeries()
	c.judgeObjects()
	c.count(opens)
}

// visited makes the picture of the cookie that a request was given.
func (c *clients) visited(v *visit) {
	var mine []*call
	acknowledged := false
	for _, k := range c.calls {
		if k.visit == v {
			mine = append(mine, k)
			acknowledged = acknowledged || k.err == nil && slices.Contains([]string{"Set", "Update", "Login", "Rotate", "Refresh"}, k.op)
		}
	}
	before := c.pictures[v.sent]
	p := c.follow(before, mine)
	c.after[v] = p
	switch given := len(v.given) > 0; {
	case !v.kind.carries:
	case given && v.given[len(v.given)-1] != "":
		if p == nil {
			c.complain("%s: the client was given a cookie, but has no session", v.name)
			return
		}
		c.pictures[v.given[len(v.given)-1]] = p
	case p != nil && given:
		c.complain("%s: the client was told to forget its session", v.name)
	case p != nil && acknowledged:
		c.complain("%s: a write was acknowledged, but the client was given no cookie", v.name)
	case p == nil && before != nil && !given:
		c.complain("%s: the client was not told to forget its session", v.name)
	}
}

// follow returns the picture of a session after the calls of a request.
func (c *clients) follow(p *expectedSession, calls []*call) *expectedSession {
	if p != nil {
		copied := *p
		p, copied.values = &copied, maps.Clone(p.values)
	}
	for _, k := range calls {
		if !c.plausible(p, k) || k.err != nil {
			continue
		}
		switch k.op {
		case "Generate":
			p = &expectedSession{id: k.id, ids: []string{k.id}, values: make(map[string]any), seen: k}
			c.ids[k.id] = true
		case "Set":
			p.values[k.key] = k.value
		case "Update":
			n, _ := p.values[k.key].(int)
			p.values[k.key] = n + 1
		case "Refresh":
			p.seen = k
		case "Login":
			p = c.loggedIn(p, k)
		case "Remove":
			if p != nil && k.id == p.id {
				c.left[p.id] = p.user == ""
				p = nil
			}
		}
	}
	return p
}

// plausible complains of an answer of the store that the session does not explain. It
// returns false if the call changes no session.
func (c *clients) plausible(p *expectedSession, k *call) bool {
	switch {
	case k.err != nil:
		c.refused(p, k)
		return true
	case slices.Contains([]string{"Generate", "Remove", "RemoveUserSessions", kindExpire}, k.op), k.op == "Login" && k.token == "":
		return true
	case p == nil, k.op != "Login" && p.id != k.id:
		c.complain("%s: %s worked on a session that the request does not have", k.who(), k.op)
		return false
	}
	deaths, _ := c.deaths(p)
	for _, d := range deaths {
		if d.to < k.start {
			c.complain("%s: %s worked on a session that had ended by %s", k.who(), k.op, d.cause)
		}
	}
	return true
}

func (k *call) who() string {
	if k.visit == nil {
		return "before the burst"
	}
	return k.visit.name
}

func (c *clients) refused(p *expectedSession, k *call) {
	switch {
	case errors.Is(k.err, context.DeadlineExceeded) && c.expiredBy(k.end):
		return
	case errors.Is(k.err, session.ErrRevoked):
		if k.op == "Login" && k.visit != nil && c.sawRevocation(k) {
			return
		}
	case errors.Is(k.err, session.ErrNotFound):
		if p == nil {
			return
		}
		deaths, _ := c.deaths(p)
		if slices.ContainsFunc(deaths, func(d death) bool { return d.from <= k.end }) {
			return
		}
		c.complain("%s: %s found no session, but nothing had ended it", k.who(), k.op)
		return
	}
	c.complainOf(wrong(k.err, nil, "%s: %s", k.who(), k.op))
}

// loggedIn returns the picture of a session after a login.
func (c *clients) loggedIn(p *expectedSession, k *call) *expectedSession {
	if k.visit != nil && k.visit.kind.name == kindLate {
		c.complain("%s: a login succeeded whose check began too long ago", k.visit.name)
	}
	next := &expectedSession{id: k.id, user: k.user, ids: []string{k.id}, values: make(map[string]any), login: k, seen: k}
	goesOn := k.token != "" && p.user == k.user
	switch {
	case k.token == "":
	case p.user != "" && p.user != k.user:
		c.complain("%s: a login took over the session of another user", k.who())
	default:
		next.ids, next.values = slices.Concat(p.ids, next.ids), p.values
		c.left[p.id] = p.user == ""
	}
	if c.ids[k.id] != goesOn || goesOn && k.id != p.id {
		c.complain("%s: a login returned an existing session, or did not go on with the user's own", k.who())
	}
	c.ids[k.id] = true
	maps.Copy(next.values, k.values)
	return next
}

// deaths returns why the session of a cookie has ended. left reports that it would have
// ended on a server, but that nothing can end it here.
func (c *clients) deaths(p *expectedSession) (all []death, left bool) {
	left = c.left[p.id]
	for _, k := range c.calls {
		cause, since, over := c.death(p, k)
		if cause == "" || since > k.end {
			continue
		}
		d := death{cause, k.start, k.end}
		if k.err != nil || over >= k.start {
			d.to = never
		}
		if k.op == kindExpire || c.revokes {
			all = append(all, d)
		} else {
			left = left || d.to != never
		}
	}
	return all, left
}

// death reports whether a call ends the session of a cookie. The call must come after the
// steps from since to over.
func (c *clients) death(p *expectedSession, k *call) (cause string, since, over int) {
	l := p.login
	switch {
	case k.op == kindExpire:
		return "its idle timeout", p.seen.start, p.seen.end
	case l == nil:
		return "", 0, 0
	case k.op == "Remove" && k.id == p.id:
		return "a logout", 0, -1 // whenever the cookie was given
	case k.op == "Login" && k.err == nil && k.id == p.id && k != l:
		return "a login", l.start, l.end
	case k.op == "RemoveUserSessions" && k.user == p.user && l.visit == nil:
		return "a revocation", l.start, l.end
	case k.op == "RemoveUserSessions" && k.user == p.user:
		return "a revocation", l.visit.start, l.visit.start // its check began then
	}
	return "", 0, 0
}

// ended returns why the session of a cookie has certainly ended, and whether it may have.
func (c *clients) ended(p *expectedSession) (cause string, maybe bool) {
	deaths, _ := c.deaths(p)
	for _, d := range deaths {
		if d.to != never {
			return d.cause, true
		}
	}
	return "", len(deaths) > 0
}
