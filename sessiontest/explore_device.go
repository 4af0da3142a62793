package sessiontest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// boundFor is how long a device's token is valid in an [Explorer]. It is longer than the
// grace of the Manager.
const boundFor = time.Minute

// withoutDevices is the number of kinds for stores without devices.
const withoutDevices = 12

// withDevices returns all bursts of up to three kinds that matter to devices, with at least
// one kind of a device.
func withDevices() (all []string) {
	names := []string{"bind", "prove", "replay", "lapse", "write", "rotate", "refresh", "login", "logout", "revoke"}
	var grow func(words []string, from int)
	grow = func(words []string, from int) {
		if len(words) > 0 && slices.Index(names, words[0]) < 4 {
			all = append(all, startsBound(words)...)
		}
		for i := from; len(words) < 3 && i < len(names); i++ {
			grow(append(slices.Clip(words), names[i]), i)
		}
	}
	grow(nil, 0)
	return all
}

// startsBound returns the burst with each start that makes sense: with ann logged in, bound
// or not.
func startsBound(words []string) (all []string) {
	text := " " + strings.Join(words, " ")
	for _, once := range []string{"lapse lapse", "logout logout", "revoke revoke"} {
		if strings.Contains(text, once) {
			return nil // the same as one of them
		}
	}
	if words[0] == kindBind {
		all = append(all, "in:"+text)
	}
	if words[0] != kindBind || slices.Contains(words, kindLogin) {
		all = append(all, "bound:"+text)
	}
	return all
}

func chosenDevices() []string {
	return []string{
		"bind login write",
		"in: bind bind prove lapse",
		"in: bind refresh prove lapse",
		"in: bind rotate rotate lapse",
		"in: bind lose write lapse",
		"in: bind prove login revoke",
		"in: bind write2 bind2 logout",
		"bound: prove prove prove lapse",
		"bound: replay replay replay write",
		"bound: prove login bind prove",
		"bound: prove rotate logout lapse",
		"bound: prove write revoke login2",
		"bound: lapse write rotate prove",
		"bound: login-other prove write lapse",
		"bound: reauthenticate prove lapse write",
		"bound: prove prove2 logout2 revoke",
		"bound: expire prove write",
	}
}

func bind(v *visit, ctx *mist.Context) error {
	if err := v.load(ctx); err != nil {
		return err
	}
	return v.bind(ctx, v.name)
}

func (o *order) bind(ctx *mist.Context, device string) error {
	_, err := o.manager.BindDevice(ctx, func(string) (string, error) { return device, nil })
	return err
}

func (v *visit) prove(ctx *mist.Context, challenge string) error {
	s, err := v.manager.ProveDevice(ctx, idOf(v.sent), func(string, time.Time) (string, error) { return challenge, nil })
	if err == nil {
		v.recognise(v.name, v.browser, s)
	}
	return err
}

// lapse lets time pass until the tokens of all devices have ended.
func lapse(v *visit, ctx *mist.Context) error {
	v.stage.do(ctx.Request.Context(), call{op: kindLapse}, func(*call) { v.Advance(boundFor + boundFor/10) })
	return nil
}

// bound reports whether a session may have been bound to a device between two steps, and
// whether that is certain. It counts the bindings that asked accepts.
func (j *judge) bound(id string, start, end int, asked func(b *call) bool) (maybe, certain bool) {
	for _, b := range j.bindings(id) {
		if b.start > end || !asked(b) {
			continue
		}
		ends, over := false, false
		for _, l := range j.logins(id) {
			ends = ends || l.end >= b.start && l.start <= end
			over = over || l.start > b.end && l.end < start
		}
		maybe = maybe || !over
		certain = certain || b.end < start && !ends
	}
	return maybe, certain
}

func (j *judge) bindings(id string) (all []*call) {
	for _, c := range j.calls {
		if c.op == "Bind" && c.err == nil && c.id == id {
			all = append(all, c)
		}
	}
	return all
}

func whichever(*call) bool { return true }

// by accepts bindings to the device of a proof, and any binding but c itself for a Bind.
func by(c *call) func(b *call) bool {
	return func(b *call) bool { return b != c && (c.op == "Bind" || b.device == c.device) }
}

// lapsed reports whether the tokens of devices may have ended between two steps.
func (j *judge) lapsed(from, to int) bool {
	return slices.ContainsFunc(j.calls, func(c *call) bool { return c.op == kindLapse && c.end >= from && c.start <= to })
}

// given returns the call that gave a token away, or nil.
func (j *judge) given(token string) *call {
	for _, h := range j.handed {
		if h.token == token {
			return h.by
		}
	}
	return nil
}

func ofDevice(c *call) bool { return c.op == "Bind" || c.op == "Prove" }

// ended reports whether a token belongs to a device and may have ended.
func (j *judge) ended(token string) bool {
	by := j.given(token)
	return by != nil && ofDevice(by) && j.lapsed(by.start, never)
}

// outlived reports whether a token may have ended before a step: a device's token at its
// deadline, or another one because a newer token followed it and its grace has passed.
func (j *judge) outlived(token string, step int) bool {
	by := j.given(token)
	switch {
	case by == nil:
		return false
	case ofDevice(by):
		return j.lapsed(by.start, step)
	}
	return slices.ContainsFunc(j.calls, func(c *call) bool {
		next := c.op == "Bind" || c.op == "Rotate" && session.Token(c.s) != c.token
		return next && c.err == nil && c.id == by.id && c.end >= by.start && j.lapsed(c.start, step)
	})
}

// mustHaveEnded reports whether a token has certainly ended.
func (j *judge) mustHaveEnded(h *handed) bool {
	if ofDevice(h.by) {
		return slices.ContainsFunc(j.calls, func(c *call) bool { return c.op == kindLapse && c.start > h.by.end })
	}
	// The token is from before a binding, and a bound token was used before tokens ended.
	return slices.ContainsFunc(j.bindings(h.by.id), func(b *call) bool {
		return b.start > h.by.end &&
			slices.ContainsFunc(j.calls, func(s *call) bool {
				by := j.given(s.token)
				shown := s.op == "Prove" || by != nil && ofDevice(by)
				return shown && s.err == nil && s.id == b.id && s.start > b.end &&
					slices.ContainsFunc(j.calls, func(c *call) bool { return c.op == kindLapse && c.start > s.end })
			})
	})
}

func (j *judge) refusesDevice(c *call) bool {
	bound, certain := j.bound(c.id, c.start, c.end, by(c))
	switch {
	case errors.Is(c.err, session.ErrUnproved):
		if by := j.given(c.token); by == nil || !ofDevice(by) || !j.lapsed(by.start, c.end) {
			j.complain("%s: %s: got session.ErrUnproved, but the token had not ended", c.visit.name, c.op)
		}
	case errors.Is(c.err, session.ErrBound):
		if c.op != "Bind" || !bound {
			j.complain("%s: %s: got session.ErrBound, but nobody had bound the session", c.visit.name, c.op)
		}
	case errors.Is(c.err, session.ErrUnbound):
		if c.op != "Prove" || certain {
			j.complain("%s: %s: got session.ErrUnbound, but the session was bound to that device", c.visit.name, c.op)
		}
	case errors.Is(c.err, session.ErrReplayed):
		if c.op != "Prove" || len(j.answers(c)) == 0 {
			j.complain("%s: %s: got session.ErrReplayed, but nobody had answered the challenge", c.visit.name, c.op)
		}
	default:
		return false
	}
	return true
}

// answers returns the other proofs of a session that answered the same challenge and began
// before this proof ended.
func (j *judge) answers(c *call) (all []*call) {
	for _, a := range j.calls {
		if a != c && a.op == "Prove" && a.err == nil && a.id == c.id && a.challenge == c.challenge && a.start <= c.end {
			all = append(all, a)
		}
	}
	return all
}

func (j *judge) judgeDevices() {
	for _, c := range j.calls {
		if !ofDevice(c) || c.err != nil || c.visit == nil {
			continue
		}
		bound, _ := j.bound(c.id, c.start, c.end, by(c))
		switch device, err := session.DeviceOf(c.s); {
		case err != nil:
			j.complainOf(wrong(err, nil, "%s: DeviceOf", c.visit.name))
		case device != c.device:
			j.complain("%s: %s returned a session of another device: got %q, want %q", c.visit.name, c.op, device, c.device)
		}
		switch {
		case j.given(session.Token(c.s)) != c:
			j.complain("%s: %s gave a token that existed before", c.visit.name, c.op)
		case c.op == "Bind" && j.boundTwice(c):
			j.complain("%s: a session was bound for the second time", c.visit.name)
		case c.op == "Bind":
		case !bound:
			j.complain("%s: a proof worked on a session that was not bound to its device", c.visit.name)
		}
		// A login ends the binding, and the store forgets its challenges.
		for _, a := range j.answers(c) {
			if _, certain := j.bound(c.id, a.start, c.end, whichever); c.op == "Prove" && certain {
				j.complain("%s: a challenge was answered twice", c.visit.name)
			}
		}
	}
}

// boundTwice reports whether a session was bound a second time, with no login that may have
// come between.
func (j *judge) boundTwice(c *call) bool {
	return slices.ContainsFunc(j.bindings(c.id), func(b *call) bool {
		return b != c && !slices.ContainsFunc(j.logins(c.id), func(l *call) bool {
			return l.end >= min(b.start, c.start) && l.start <= max(b.end, c.end)
		})
	})
}

// judgeDevice complains unless a session is bound to a device that was bound to it.
func (j *judge) judgeDevice(s session.Session) {
	device, err := session.DeviceOf(s)
	if j.manager.DeviceBound == 0 {
		return
	}
	bound, certain := j.bound(s.ID(), never, never, whichever)
	known := device == "" || slices.ContainsFunc(j.bindings(s.ID()), func(b *call) bool { return b.device == device })
	switch {
	case err != nil:
		j.complainOf(wrong(err, nil, "afterwards: DeviceOf"))
	case !known || device == "" && certain || device != "" && !bound:
		j.complain("afterwards: a session is bound to another device, or to none: got %q", device)
	}
}

// tellsDevice reports whether the Manager returned the expected error of a binding or proof.
func (j *judge) tellsDevice(v *visit) bool {
	_, certain := j.bound(idOf(v.sent), v.start, v.end, whichever)
	return v.kind.name == kindBind && errors.Is(v.err, session.ErrBound) ||
		(v.kind.name == kindProve || v.kind.name == kindReplay) &&
			(errors.Is(v.err, session.ErrReplayed) || errors.Is(v.err, session.ErrUnbound) && !certain)
}

// renew lets the device of a browser prove itself, because its cookie has ended, and makes
// the next request.
func (j *judge) renew(b *browser) (session.Session, error) {
	ctx, response := j.request(context.Background(), "")
	_, err := j.manager.ProveDevice(ctx, idOf(b.cookie()), func(string, time.Time) (string, error) { return "afterwards", nil })
	if err != nil {
		return nil, err
	}
	given := cookies(response.Header())
	ctx, _ = j.request(context.Background(), given[len(given)-1])
	return j.manager.GetSession(ctx)
}
