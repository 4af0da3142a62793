package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// Idle and Absolute are the timeouts of both stores.
const (
	Idle     = time.Hour
	Absolute = 90 * time.Minute
)

// A Comparison runs programs on a memory.Store and on the store under test.
type Comparison struct {
	// New makes the store under test, without sessions.
	New func(ctx context.Context) session.DeviceStore

	// Before is called before each step, unless it is nil.
	Before func()

	// Pass moves the clocks of both stores forward; nothing else moves them. If it is
	// nil, both stores use the machine's clock. No program runs long enough for that to
	// matter.
	Pass func(d time.Duration)

	// Skew is how far the clock of the store under test is ahead. Late is how late that
	// store may notice a time or an end.
	Skew, Late time.Duration

	// Unit is the time resolution of the store under test. Zero means a microsecond.
	Unit time.Duration

	// Ended counts the results of operations on both stores. A key is the name, a space
	// and the errors.
	Ended map[string]int
}

// A comparisonRun is a program in progress.
type comparisonRun struct {
	*Comparison
	ours, its Subject
	log       strings.Builder
	marks     []time.Time // of the last steps
}

// Run runs a program. If the stores differ, it returns the steps up to the first
// difference, otherwise "".
func (d *Comparison) Run(ctx context.Context, program []byte) (report string) {
	m := &comparisonRun{Comparison: d, ours: Subject{Store: &memory.Store{IdleTimeout: Idle, AbsoluteTimeout: Absolute}}, its: Subject{Store: d.New(ctx)}}
	if d.Pass != nil {
		m.ours.Epoch = time.Now()
		m.its.Epoch, m.its.late = m.ours.Epoch.Add(d.Skew), d.Late
		m.ours.late = d.Late
	}
	for n, st := range Steps(program) {
		if d.Before != nil {
			d.Before()
		}
		if d.Pass != nil {
			m.tick(ctx)
			m.marks = append(m.marks, time.Now())
		}
		if !m.step(ctx, n, st) {
			return m.log.String()
		}
	}
	if !m.look(ctx, "at the end") || !m.open(ctx, "at the end", len(m.ours.Tokens)) {
		return m.log.String()
	}
	return ""
}

func (m *comparisonRun) step(ctx context.Context, n int, st Step) bool {
	op := st.operation()
	stepCtx, wrong := st.Context(ctx)
	if op.name == pass && m.Pass != nil {
		return m.time(ctx, n, st)
	}
	return m.same(ctx, fmt.Sprintf("%s: step %d of %+v %s", op.name, n, st, wrong), func(r *Subject) outcome { return op.do(stepCtx, r, st) })
}

// time lets time pass, often until just before, exactly at or just after an end. Then it
// compares the sessions.
func (m *comparisonRun) time(ctx context.Context, n int, st Step) bool {
	id := m.alive(ctx, st)
	at, ok := m.deadline(ctx, id, st)
	if !ok {
		at = time.Now().Add(pick(st.Key, []time.Duration{m.unit(), 1234 * m.unit(), time.Second, 40 * time.Second, 10 * time.Minute}, nil))
	}
	if !time.Now().Before(at) {
		return true
	}
	fmt.Fprintf(&m.log, "Pass: step %d of %+v: %v\n", n, st, time.Until(at))
	object := make(map[*Subject]session.Session)
	for _, r := range []*Subject{&m.ours, &m.its} {
		object[r], _ = r.Store.Get(ctx, r.ids()[id])
	}
	if !m.pass(ctx, time.Until(at), st.Variant >= 64) {
		return false
	}
	// A lookup by id makes the memory store forget why a session has ended.
	if st.Key%2 == 0 && !m.open(ctx, "after a time", 4) || !m.look(ctx, "after a time") {
		return false
	}
	switch st.Key / 2 % 4 {
	case 0:
		return m.same(ctx, "in time Set", func(r *Subject) outcome {
			if object[r] == nil {
				return skipped
			}
			return failedWith(object[r].Set(ctx, "a", 1))
		})
	case 1:
		return m.same(ctx, "in time Refresh", func(r *Subject) outcome { return failedWith(r.Store.Refresh(ctx, r.ids()[id])) })
	case 2:
		return m.same(ctx, "in time RemoveUserSessions", func(r *Subject) outcome {
			st.Value |= 128
			return revokesUser(ctx, r, st)
		})
	}
	return true
}

// alive returns the number of an id, if possible of a live session.
func (m *comparisonRun) alive(ctx context.Context, st Step) int {
	ids := m.ours.ids()
	for i := range ids {
		if _, err := m.ours.Store.Get(ctx, ids[(i+int(st.On))%len(ids)]); err == nil {
			return (i + int(st.On)) % len(ids)
		}
	}
	return 0
}

// deadline returns when a session ends, or when something that a recent step began ends.
func (m *comparisonRun) deadline(ctx context.Context, id int, st Step) (at time.Time, ok bool) {
	off := around(m.unit(), m.Late)[st.Variant%3]
	if s, err := m.ours.Store.Get(ctx, m.ours.ids()[id]); err == nil && st.Value < 128 {
		info, err := session.Describe(s)
		all := ends(info)
		return all[int(st.Value)%len(all)].Add(off), err == nil
	}
	lasts := slices.Concat(graces[1:2], idles[1:], absolutes[1:], lifetimes, []time.Duration{Idle, Absolute, session.BeganLimit, 2 * session.BeganLimit})
	began := m.marks[max(0, len(m.marks)-1-int(st.On)%16)]
	return began.Add(lasts[int(st.Key)%len(lasts)] + off), st.Value < 192
}

// around returns the durations just before, exactly at and just after a time.
func around(unit, late time.Duration) []time.Duration {
	return []time.Duration{-unit, late, late + unit}
}

func (d *Comparison) unit() time.Duration { return cmp.Or(d.Unit, time.Microsecond) }

// pass lets time pass. Sessions that are kept awake end only at their absolute deadline.
func (m *comparisonRun) pass(ctx context.Context, d time.Duration, awake bool) bool {
	const often = Idle * 3 / 4
	end := time.Now().Add(d)
	for awake && d < 3*Absolute && time.Until(end) > often {
		m.wait(ctx, often-time.Minute)
		for i := range m.ours.ids() {
			m.tick(ctx)
			if !m.same(ctx, "kept awake Refresh", func(r *Subject) outcome { return failedWith(r.Store.Refresh(ctx, r.ids()[i])) }) {
				return false
			}
		}
	}
	m.wait(ctx, time.Until(end))
	return true
}

// tick lets the shortest time pass before a step. Stores may order two events at the same
// time differently.
func (m *comparisonRun) tick(ctx context.Context) { m.wait(ctx, m.unit()+5*m.Late) }

// wait lets time pass. It waits a little longer if the store under test might still show
// a session that has ended by then.
func (m *comparisonRun) wait(ctx context.Context, d time.Duration) {
	for again := m.Late > 0; again; {
		again = false
		for _, id := range m.ours.ids() {
			s, err := m.ours.Store.Get(ctx, id)
			if err != nil {
				continue
			}
			info, err := session.Describe(s)
			for _, end := range ends(info) {
				if left := time.Until(end) - d; err == nil && left <= 0 && left > -m.Late {
					d += m.Late
					again = true
				}
			}
		}
	}
	m.Pass(d)
}

// same makes one call on both stores.
func (m *comparisonRun) same(ctx context.Context, name string, call func(r *Subject) outcome) bool {
	compare := func(name string, call func(r *Subject) outcome) (got outcome, ok bool) {
		want, got := call(&m.ours), call(&m.its)
		want.id, got.id = m.ours.named(want.id), m.its.named(got.id)
		if !got.equal(want, m.Late) {
			fmt.Fprintf(&m.log, "%s\n\tmemory: %v\n\tother:  %v\n", name, want, got)
			return got, false
		}
		if want.expired == "" {
			got.expired = ""
		}
		return got, true
	}
	got, ok := compare(name, call)
	if !ok {
		return false
	}
	fmt.Fprintf(&m.log, "%s: %v\n", name, got)
	for i := range m.ours.objects {
		if _, ok := compare(fmt.Sprintf("then object %d shows", i), func(r *Subject) outcome { return r.shows(ctx, i) }); !ok {
			return false
		}
	}
	op, _, _ := strings.Cut(name, ":")
	m.Ended[op+" "+strings.Join(got.errors, " ")]++
	if got.expired != "" {
		m.Ended[op+" "+got.expired]++
	}
	return true
}

// look compares every session, by its id and by its user.
func (m *comparisonRun) look(ctx context.Context, when string) bool {
	for i := range m.ours.ids() {
		if !m.same(ctx, when+" Get", func(r *Subject) outcome {
			s, err := r.Store.Get(ctx, r.ids()[i])
			if err != nil {
				return failedWith(err)
			}
			info, err := session.Describe(s)
			values, err2 := Shown(ctx, s)
			o := failedWith(errors.Join(err, err2))
			text, times := r.describe(info)
			o.value, o.times = map[string]any{"values": values, "described": text}, times
			return o
		}) {
			return false
		}
	}
	for _, user := range Users[1:] {
		if !m.same(ctx, when+" UserSessions", func(r *Subject) outcome {
			infos, err := r.Store.UserSessions(ctx, user)
			o := failedWith(err)
			o.value, o.times = r.describe(infos...)
			return o
		}) {
			return false
		}
	}
	return true
}

// open opens the last n tokens.
func (m *comparisonRun) open(ctx context.Context, when string, n int) bool {
	for i := max(0, len(m.ours.Tokens)-n); i < len(m.ours.Tokens); i++ {
		if !m.same(ctx, fmt.Sprintf("%s Open: token %d", when, i), func(r *Subject) outcome {
			s, err := r.Store.Open(ctx, r.Tokens[i])
			return r.opened(s, err, Step{})
		}) {
			return false
		}
	}
	return true
}

// CheckCoverage fails the test if the programs did not cover every success and every error of
// each operation, and more.
func (d *Comparison) CheckCoverage(t *testing.T, more ...string) {
	t.Helper()
	for _, op := range operations() {
		if op.name != pass {
			more = append(more, op.name+" ")
		}
	}
	for _, way := range append(more,
		"Generate ErrExists", "Generate ErrInvalidID", "Open ErrNotFound", "Get ErrNotFound", "Refresh ErrNotFound", "Rotate ErrNotFound", "Rotate another",
		"Set ErrValue", "Set ErrTooLarge", "Set ErrNotFound", "SetAll ErrValue", "SetAll ErrTooLarge", "SetAll ErrNotFound", "Delete ErrNotFound",
		"Clear ErrNotFound", "Pop ErrNotFound", "Update ErrNotFound", "Update ErrValue", "Update ErrTooLarge", "Update the function's",
		"Update ErrNotFound the function's", "Update Canceled", "Set Canceled", "Open DeadlineExceeded", "Session.Get another",
		"at the end Open ", "at the end Open ErrNotFound", "Open ErrNotFound ErrReused", "Login ErrNotFound", "Login ErrNotFound ErrRevoked", "Login ErrUserLimit",
		"Bind ErrBound", "Bind ErrNotFound", "Bind another", "Prove ErrUnbound", "Prove ErrReplayed", "Prove ErrNotFound", "Prove ErrFull", "Prove another",
		"Bind Canceled", "Prove Canceled", "Login ErrInvalidUser", "Login another", "Login ErrExists", "Login ErrValue", "Login ErrTooLarge", "UserSessions ErrInvalidUser", "RemoveUserSessions ErrInvalidUser",
	) {
		if d.Ended[way] == 0 {
			t.Errorf("no program had: %s", way)
		}
	}
}
