package program

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// A Subject is one of the two stores, with the results that a program got from it.
type Subject struct {
	Store  session.DeviceStore
	Tokens []string  // in order of issue
	IDs    []string  // ids of the sessions that logins began, in the same order
	Epoch  time.Time // when the program began, by the store's clock; zero: do not report times

	objects [6]session.Session
	bound   []string // ids of sessions that were bound, in order
	late    time.Duration
	revoked time.Time // the last time that a user's sessions were removed, by the clock of the process
}

// Do makes a step and returns the name of its operation.
func (r *Subject) Do(ctx context.Context, st Step) string {
	stepCtx, _ := st.Context(ctx)
	op := st.operation()
	op.do(stepCtx, r, st)
	return op.name
}

// keep returns the outcome of a call that returns a session, and keeps the session.
func (r *Subject) keep(s session.Session, err error, st Step) outcome {
	o := failedWith(err)
	o.made = s != nil
	if err != nil || s == nil {
		return o
	}
	o.id = s.ID()
	if !slices.Contains(IDs, o.id) && !slices.Contains(r.IDs, o.id) {
		r.IDs = append(r.IDs, o.id)
	}
	if carried := session.Token(s); carried != "" {
		if o.token = slices.Index(r.Tokens, carried); o.token < 0 {
			o.token = len(r.Tokens)
			r.Tokens = append(r.Tokens, carried)
		}
	}
	r.objects[int(st.Variant)%len(r.objects)] = s
	return o
}

// carried returns a token and a name for it. The token was issued, or it is a variation
// of an issued one.
func (r *Subject) carried(st Step) (carried, name string) {
	n := len(r.Tokens)
	if n == 0 {
		return "a." + strings.Repeat("A", 26), "unknown"
	}
	i := n - 1 - int(st.On&31)%min(n, 1+int(st.Key)) // recent tokens more often
	t := r.Tokens[i]
	id, secret, _ := strings.Cut(t, ".")
	_, foreign, _ := strings.Cut(r.Tokens[int(st.Key)%n], ".")
	name = fmt.Sprintf("token %d", i)
	if st.On >= 224 {
		name = "malformed or foreign"
	}
	return pick(st.On, []string{t}, []string{
		"", ".", id, id + ".", "." + secret, t + "A", t[:len(t)-1], strings.ToLower(t), t + "\x00", id + "." + t, secret + "." + id,
		id + "." + strings.Repeat("B", 26), id + "." + foreign, "none." + secret, strings.Repeat("A", 1<<16),
	}), name
}

// object returns one of the loaded sessions, or nil.
func (r *Subject) object(st Step) session.Session {
	for i := range r.objects {
		if s := r.objects[(int(st.On)+i)%len(r.objects)]; s != nil {
			return s
		}
	}
	return nil
}

// shows returns the values that an object shows.
func (r *Subject) shows(ctx context.Context, i int) outcome {
	if r.objects[i] == nil {
		return skipped
	}
	all, err := Shown(ctx, r.objects[i])
	o := failedWith(err)
	o.value = all
	return o
}

// idOf returns an id. Every second one comes from a login.
func (r *Subject) idOf(st Step) string {
	if n := len(r.IDs); n > 0 && st.On < 224 && st.Key%2 == 1 {
		return r.IDs[n-1-int(st.On)%min(n, 4)]
	}
	return pick(st.On, IDs, badIDs)
}

// ids returns the ids of all sessions that were created, and some unused ids.
func (r *Subject) ids() []string { return slices.Concat(IDs, r.IDs) }

// named replaces the ids that logins gave by names, because these ids differ between the
// stores.
func (r *Subject) named(text string) string {
	var pairs []string
	for i, id := range r.IDs {
		pairs = append(pairs, id, fmt.Sprintf("login %d", i))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
