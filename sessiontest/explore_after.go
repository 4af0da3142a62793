package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mist-contrib/session"
)

func (j *judge) judgeSessions() {
	ctx := context.Background()
	for _, id := range slices.Sorted(maps.Keys(j.begun)) {
		cause, dead := j.dead(id)
		s, err := j.store.Get(ctx, id)
		switch {
		case err != nil && !errors.Is(err, session.ErrNotFound):
			j.complainOf(wrong(err, nil, "afterwards: Get"))
		case err == nil && dead:
			j.complain("a session lives that had ended by %s", cause)
		case err != nil && j.alive(id):
			j.complain("a session is gone, but nothing had ended it")
		case err == nil:
			j.judgeValues(ctx, s)
			j.judgeTokens(ctx, id)
			j.judgeDevice(s)
		case dead:
			j.judgeLate(ctx, id, cause)
		}
	}
}

// judgeValues complains unless a session has every acknowledged write and no other, and
// nothing of another user.
func (j *judge) judgeValues(ctx context.Context, s session.Session) {
	owner := userOf(s)
	for _, l := range j.logins(s.ID()) {
		if l.user != owner {
			j.complain("a session was logged in as one user and is another's, or nobody's")
		}
	}
	if owner != "" && len(j.logins(s.ID())) == 0 {
		j.complain("a session has a user, but nobody logged in with it")
	}
	updates, from, own := 0, j.from(s.ID()), make(map[string]bool)
	for _, c := range j.calls {
		if c.op == "Update" && c.err == nil && (c.id == s.ID() || c.id == from) {
			updates++
		}
	}
	written := j.written()
	for _, w := range written {
		if w.id == s.ID() || w.id == from {
			own[w.key] = true
			j.judgeValue(ctx, s, w, owner)
		}
	}
	for _, w := range written {
		if own[w.key] {
			continue
		}
		switch got, err := s.Get(ctx, w.key); {
		case err != nil:
			j.complainOf(wrong(err, nil, "afterwards: Get of a value"))
		case got != nil:
			j.complain("a session shows what was written to another one: the key %q: got %s, want nil", w.key, show(got))
		}
	}
	switch n, err := s.Get(ctx, counter); {
	case err != nil:
		j.complainOf(wrong(err, nil, "afterwards: Get of a value"))
	case n != any(updates) && (n != nil || updates > 0):
		j.complainOf(differs(fmt.Sprintf("a counter after %d acknowledged updates", updates), n, updates))
	}
}

// written returns the calls that set a value, in their order. A login counts once for each
// of its values.
func (j *judge) written() (all []*call) {
	for _, c := range j.calls {
		if c.op == "Set" {
			all = append(all, c)
		}
		for key, value := range c.values {
			w := *c
			w.key, w.value = key, value
			all = append(all, &w)
		}
	}
	return all
}

func (j *judge) judgeValue(ctx context.Context, s session.Session, c *call, owner string) {
	got, err := s.Get(ctx, c.key)
	writer, _ := got.(string)
	switch {
	case err != nil:
		j.complainOf(wrong(err, nil, "afterwards: Get of a value"))
	case c.err == nil && got != c.value:
		j.complain("an acknowledged write is lost: %q", c.key)
	case c.err != nil && got != nil:
		j.complain("a refused write is there: %q", c.key)
	case c.key != marker && writer != "" && writer != owner:
		j.complain("a session shows data of another user: %q", c.key)
	}
}

func (j *judge) judgeTokens(ctx context.Context, id string) {
	ts, ok := capability[session.TokenStore](j.store)
	if !ok {
		return
	}
	for _, h := range j.handed {
		if h.by.id != id {
			continue
		}
		s, err := ts.Open(ctx, h.token)
		replaced, certain := j.replaced(h)
		switch {
		case err == nil && (s.ID() != id || userOf(s) != userOf(h.by.s)):
			j.complain("a token that %s gave away opens the session of somebody else", h.by.op)
		case err == nil && replaced && certain:
			j.complain("a token from before a login opens its session")
		case err == nil && j.mustHaveEnded(h):
			j.complain("a token that %s gave away opens its session after its end", h.by.op)
		case err != nil && !replaced && j.alive(id) && j.outlived(h.token, never):
			if !errors.Is(err, session.ErrNotFound) || j.ended(h.token) != errors.Is(err, session.ErrUnproved) {
				j.complainOf(unexpected(err, "session.ErrUnproved for a bound token and plain session.ErrNotFound for another", "a token that %s gave away, after its end", h.by.op))
			}
		case err != nil && !replaced && j.alive(id):
			j.complainOf(unexpected(err, "its session", "a token that %s gave away no longer opens its session", h.by.op))
		}
	}
	for _, guess := range []string{id, id + ".", id + "." + strings.Repeat("A", 26)} {
		if _, err := ts.Open(ctx, guess); !errors.Is(err, session.ErrNotFound) {
			j.complainOf(wrong(err, session.ErrNotFound, "Open of a token that was never given away"))
		}
	}
}

// replaced reports whether a login has ended a token, and whether the login certainly came
// after it.
func (j *judge) replaced(h *handed) (replaced, certain bool) {
	for _, l := range j.logins(h.by.id) {
		if l != h.by && l.end >= h.by.start {
			replaced = true
			certain = certain || l.start > h.by.end
		}
	}
	return replaced, certain
}

// judgeLate makes late calls to an ended session.
func (j *judge) judgeLate(ctx context.Context, id, cause string) {
	ts, _ := capability[session.TokenStore](j.store)
	refused := func(what string, err error) {
		if !errors.Is(err, session.ErrNotFound) {
			j.complainOf(wrong(err, session.ErrNotFound, "%s after a session had ended by %s", what, cause))
		}
	}
	for _, c := range j.calls {
		if c.s != nil && c.id == id {
			refused("Set", c.s.Set(ctx, "late", true))
		}
	}
	refused("Refresh", j.store.Refresh(ctx, id))
	for _, h := range j.handed {
		if ts == nil || h.by.id != id {
			continue
		}
		_, err := ts.Rotate(ctx, h.token, 0)
		refused("Rotate", err)
		_, err = ts.Open(ctx, h.token)
		refused("Open", err)
	}
	if ds, ok := capability[session.DeviceStore](j.store); ok {
		_, err := ds.Prove(ctx, id, session.Proof{Device: "any", Lifetime: boundFor})
		refused("Prove", err)
	}
	_, err := j.store.Get(ctx, id)
	refused("Get", err)
}

// judgeUsers complains unless the sessions of a user are listed and a revocation ends them.
func (j *judge) judgeUsers() {
	us, ok := capability[session.UserStore](j.store)
	if !ok || j.burst.needs&UserStore == 0 {
		return
	}
	ctx := context.Background()
	for _, user := range []string{j.user("ann"), j.user("bob")} {
		theirs := make(map[string]bool)
		for _, l := range j.calls {
			if l.op != "Login" || l.err != nil || l.user != user {
				continue
			}
			if _, err := j.store.Get(ctx, l.id); err == nil {
				theirs[l.id] = true
			}
		}
		infos, err := us.UserSessions(ctx, user)
		switch {
		case err != nil:
			j.complainOf(wrong(err, nil, "afterwards: UserSessions"))
		case len(infos) != len(theirs):
			j.complain("UserSessions: got %d sessions, want %d", len(infos), len(theirs))
		}
		for _, info := range infos {
			if !theirs[info.ID] || info.User != user {
				j.complain("UserSessions lists a session that is not the user's")
			}
		}
		switch n, err := us.RemoveUserSessions(ctx, user); {
		case err != nil:
			j.complainOf(wrong(err, nil, "afterwards: RemoveUserSessions"))
		case n != len(theirs):
			j.complain("RemoveUserSessions: got %d sessions, want %d", n, len(theirs))
		}
		for id := range theirs {
			j.judgeLate(ctx, id, "a last revocation")
		}
	}
}

// clean makes room for the next order.
func (j *judge) clean() {
	for id := range j.begun {
		if err := j.store.Remove(context.Background(), id); err != nil {
			j.complainOf(wrong(err, nil, "afterwards: Remove"))
		}
	}
}
