package sessiontest

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/mist-contrib/session"
)

func (c *clients) open(cookie string) (session.Session, error) {
	ctx, _ := c.request(context.Background(), cookie)
	return c.manager.GetSession(ctx)
}

// judgeCookies tries every cookie that was given away, and returns those that open a session.
func (c *clients) judgeCookies() (opens map[string]bool) {
	opens = make(map[string]bool)
	for _, cookie := range slices.Sorted(maps.Keys(c.pictures)) {
		p := c.pictures[cookie]
		cause, maybe := c.ended(p)
		switch s, err := c.open(cookie); {
		case err == nil && cause != "":
			c.complain("a cookie opens a session that had ended by %s", cause)
		case err == nil:
			opens[cookie] = true
			c.compare(p, s)
		case !errors.Is(err, session.ErrNotFound):
			c.complainOf(wrong(err, nil, "GetSession with a cookie"))
		case !maybe:
			c.complain("a cookie no longer opens its session, but nothing had ended it")
		}
	}
	return opens
}

// compare complains unless a session is as in the picture.
func (c *clients) compare(p *expectedSession, s session.Session) {
	if s.ID() != p.id || userOf(s) != p.user {
		c.complain("a cookie opens the session of somebody else")
	}
	for _, key := range c.keys() {
		got, err := s.Get(context.Background(), key)
		switch want := p.values[key]; {
		case err != nil:
			c.complainOf(wrong(err, nil, "afterwards: Get of a value"))
		case got == want:
		case got == nil:
			c.complain("a cookie does not show a write from before: %q", key)
		default:
			c.complain("a cookie shows what its request did not see: the key %q: got %s, want %s", key, show(got), show(want))
		}
	}
}

// keys returns every key that a request tried to write.
func (c *clients) keys() []string {
	all := map[string]bool{counter: true}
	for _, k := range c.calls {
		if k.op == "Set" {
			all[k.key] = true
		}
		for key := range k.values {
			all[key] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// judgeForgeries tries cookies that were never given away: parts of two cookies, and changes
// of one.
func (c *clients) judgeForgeries() {
	first, second := c.browsers[0].held[0], c.browsers[1].held[0]
	for _, v := range c.visits {
		for _, given := range v.given {
			if given != "" {
				first = given
			}
		}
	}
	half := len(first) / 2
	changed := []byte(first)
	changed[half] ^= 'A' ^ 'B'
	for _, guess := range []string{
		string(changed), first[:len(first)-1], first + "A", first[:half] + second[min(half, len(second)):], second[:min(half, len(second))] + first[half:],
	} {
		if _, err := c.open(guess); !errors.Is(err, session.ErrNotFound) {
			c.complainOf(wrong(err, session.ErrNotFound, "GetSession with a cookie that was never given away"))
		}
	}
}

// judgeObjects writes to the session objects of requests whose session has ended.
func (c *clients) judgeObjects() {
	for _, v := range c.visits {
		cause := "a logout"
		if p := c.after[v]; p != nil {
			if cause, _ = c.ended(p); cause == "" {
				continue
			}
		}
		for _, s := range []session.Session{v.loaded, v.got} {
			if s == nil {
				continue
			}
			if err := s.Set(context.Background(), "late", true); !errors.Is(err, session.ErrNotFound) {
				c.complainOf(wrong(err, session.ErrNotFound, "Set after a session had ended by %s", cause))
			}
		}
	}
}

func (c *clients) count(opens map[string]bool) {
	var lost struct{ writes, replays, undone, ended bool }
	for cookie := range opens {
		_, left := c.deaths(c.pictures[cookie])
		lost.ended = lost.ended || left
	}
	for _, b := range c.browsers {
		lost.writes = lost.writes || opens[b.cookie()] && c.lacks(b, c.pictures[b.cookie()], never)
		lost.undone = lost.undone || c.undone(b, opens[b.cookie()])
	}
	for _, v := range c.visits {
		lost.replays = lost.replays || v.loaded != nil && c.lacks(v.browser, c.pictures[v.sent], v.start)
	}
	number := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	c.losses = Losses{1, number(lost.writes), number(lost.replays), number(lost.undone), number(lost.ended)}
}

// lacks reports whether a cookie of a browser lacks a write to its session that was
// acknowledged to the browser before a step.
func (c *clients) lacks(b *browser, p *expectedSession, before int) bool {
	updates := 0
	for _, k := range c.calls {
		if k.err != nil || k.visit == nil || k.visit.browser != b || k.visit.end >= before || !slices.Contains(p.ids, k.id) {
			continue
		}
		switch k.op {
		case "Set":
			if p.values[k.key] != k.value {
				return true
			}
		case "Update":
			updates++
		}
		for key, value := range k.values {
			if p.values[key] != value {
				return true
			}
		}
	}
	n, _ := p.values[counter].(int)
	return n < updates
}

// undone reports whether a browser no longer has the result of its last login or logout.
// opens says whether its cookie opens a session.
func (c *clients) undone(b *browser, opens bool) bool {
	var last *visit
	var login *call
	for _, k := range c.calls {
		v := k.visit
		if v == nil || v.browser != b || v.err != nil || last != nil && v.end < last.end {
			continue
		}
		if k.op == "Login" && k.err == nil || v.kind.name == kindLogout {
			last, login = v, nil
			if k.op == "Login" {
				login = k
			}
		}
	}
	switch p := c.pictures[b.cookie()]; {
	case last == nil:
		return false
	case login == nil:
		return opens
	default:
		return p == nil || p.login != login
	}
}
