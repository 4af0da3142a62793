package program

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/mist-contrib/session"
)

// An operation is one of the calls. Pass is not an operation: see [Comparison].
type operation struct {
	name string
	do   func(ctx context.Context, r *Subject, st Step) outcome
}

const pass = "Pass"

func (st Step) operation() operation {
	all := operations()
	return all[int(st.Op)%len(all)]
}

// Op returns the byte of an operation, for [Step.Op].
func Op(name string) byte {
	for i, op := range operations() {
		if op.name == name {
			return byte(i)
		}
	}
	panic("program: no such operation")
}

// onSession turns a call on a session into an operation.
func onSession(call func(ctx context.Context, s session.Session, st Step) (value any, err error)) func(context.Context, *Subject, Step) outcome {
	return func(ctx context.Context, r *Subject, st Step) outcome {
		s := r.object(st)
		if s == nil {
			return skipped
		}
		value, err := call(ctx, s, st)
		o := failedWith(err)
		o.id, o.value = r.named(s.ID()), value
		return o
	}
}

func operations() []operation {
	return []operation{
		{"Generate", func(ctx context.Context, r *Subject, st Step) outcome {
			s, err := r.Store.Generate(ctx, pick(st.On, IDs, badIDs))
			return r.keep(s, err, st)
		}},
		{"Open", opens},
		{"Open", opens},
		{"Get", func(ctx context.Context, r *Subject, st Step) outcome {
			s, err := r.Store.Get(ctx, r.idOf(st))
			return r.keep(s, err, st)
		}},
		{"Refresh", func(ctx context.Context, r *Subject, st Step) outcome {
			return failedWith(r.Store.Refresh(ctx, r.idOf(st)))
		}},
		{"Remove, twice", func(ctx context.Context, r *Subject, st Step) outcome {
			if st.Value < 128 { // rarer than the other operations
				return skipped
			}
			id := r.idOf(st)
			return failedWith(errors.Join(r.Store.Remove(ctx, id), r.Store.Remove(ctx, id)))
		}},
		{"Rotate", rotates},
		{"Rotate", rotates},
		{"Login", logsIn}, // more frequent than the other operations
		{"Login", logsIn},
		{"Login", logsIn},
		{"Login", logsIn},
		{"Bind", binds},
		{"Bind", binds},
		{"Prove", proves},
		{"Prove", proves},
		{"Prove", proves},
		{"UserSessions", listsUser},
		{"RemoveUserSessions", revokesUser},
		{"Session.Get", onSession(func(ctx context.Context, s session.Session, st Step) (any, error) {
			return s.Get(ctx, pick(st.Key, keyPool, nil))
		})},
		{"Set", onSession(func(ctx context.Context, s session.Session, st Step) (any, error) {
			return nil, s.Set(ctx, pick(st.Key, keyPool, nil), pick(st.Value, storable, unstorable))
		})},
		{"SetAll", onSession(setsAll)},
		{"Delete", onSession(func(ctx context.Context, s session.Session, st Step) (any, error) {
			first, second := pick(st.Key, keyPool, nil), pick(st.Value, keyPool, nil)
			return nil, session.Delete(ctx, s, []string{first, second, first}[:st.Variant%4]...)
		})},
		{"Clear", onSession(func(ctx context.Context, s session.Session, _ Step) (any, error) {
			return nil, session.Clear(ctx, s)
		})},
		{"Pop", onSession(func(ctx context.Context, s session.Session, st Step) (any, error) {
			return session.Pop(ctx, s, pick(st.Key, keyPool, nil))
		})},
		{"Update", updates},
		{"All", onSession(func(ctx context.Context, s session.Session, _ Step) (any, error) { return Shown(ctx, s) })},
		{"Describe", func(_ context.Context, r *Subject, st Step) outcome {
			s := r.object(st)
			if s == nil {
				return skipped
			}
			i, err := session.Describe(s)
			o := failedWith(err)
			o.value, o.times = r.describe(i)
			return o
		}},
		{"DeviceOf", onSession(device)},
		{"Now", func(ctx context.Context, r *Subject, st Step) outcome {
			s := r.object(st)
			if s == nil {
				return skipped
			}
			at, err := session.Now(ctx, s)
			o := failedWith(err)
			if err == nil && !r.Epoch.IsZero() {
				o.times = []time.Duration{at.Sub(r.Epoch)}
			}
			return o
		}},
		{"Sweep", sweeps},
		{pass, func(context.Context, *Subject, Step) outcome { return skipped }},
	}
}

func opens(ctx context.Context, r *Subject, st Step) outcome {
	carried, name := r.carried(st)
	s, err := r.Store.Open(ctx, carried)
	return r.opened(s, err, st).of(name)
}

// rotates rotates once, or until too many old tokens are valid.
func rotates(ctx context.Context, r *Subject, st Step) outcome {
	grace := pick(st.Value, graces, []time.Duration{-1, math.MinInt64})
	carried, name := r.carried(st)
	s, err := r.Store.Rotate(ctx, carried, grace)
	o := r.keep(s, err, st).of(name)
	for range 70 {
		if st.Variant < 250 || o.token < 0 {
			break
		}
		s, err := r.Store.Rotate(ctx, session.Token(s), grace)
		o = r.keep(s, err, st).of(name)
	}
	return o
}

// sweeps removes expired sessions, which must have no visible effect.
func sweeps(ctx context.Context, r *Subject, _ Step) outcome {
	switch st := r.Store.(type) {
	case interface{ Sweep() int }:
		st.Sweep()
	case interface {
		Sweep(ctx context.Context) (int, error)
	}:
		if ctx != nil && ctx.Err() == nil {
			_, err := st.Sweep(ctx)
			return failedWith(err)
		}
	}
	return failedWith(nil)
}

func setsAll(ctx context.Context, s session.Session, st Step) (any, error) {
	all := make(map[string]any)
	for i := range int(st.Variant) % 5 {
		all[keyPool[(int(st.Key)+i)%(len(keyPool)-1)]] = storable[(int(st.Value)+i)%len(storable)]
	}
	switch { // at most one reason to refuse them: map order decides which of two a store finds first
	case st.Variant >= 240:
		all[keyPool[len(keyPool)-1]] = 1
	case st.Variant >= 224:
		all["a"] = pick(st.Value|224, unstorable, unstorable)
	case st.Variant >= 220:
		for i := range 1025 {
			all[fmt.Sprint(i)] = i
		}
	case st.Variant == fills: // almost as much as an empty session can hold
		room := int(st.Value) % 16
		all = map[string]any{"a": large, "n": large[:session.MaxSize-len(large)-len("a-n-")-room]}
	}
	return nil, session.SetAll(ctx, s, all)
}

// updates returns the value that the function received last.
func updates(ctx context.Context, r *Subject, st Step) outcome {
	cancel := func() {}
	if ctx != nil {
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
	}
	key, value := pick(st.Key, keyPool, nil), pick(st.Value, storable, nil)
	return onSession(func(ctx context.Context, s session.Session, st Step) (last any, err error) {
		calls := 0
		// between calls f while the function runs. It does nothing if the session has
		// ended, because a store may then skip the function.
		between := func(f func()) {
			if calls++; calls == 1 && s.Set(ctx, key, "between") == nil {
				f()
			}
		}
		err = session.Update(ctx, s, key, func(old any) (any, error) {
			last = old
			switch st.Variant % 16 {
			case 0:
				return pick(st.Value|224, nil, unstorable), nil
			case 1:
				return value, errRefuses
			case 2:
				if b, ok := old.([]byte); ok && len(b) > 0 {
					b[0]++ // its own copy
				}
				return old, fmt.Errorf("%w: %w", errRefuses, session.ErrNotFound)
			case 3:
				if old == nil {
					return nil, errRefuses
				}
			case 4:
				if old != nil {
					return nil, errRefuses
				}
			case 5:
				between(func() {})
			case 6:
				between(func() { _ = r.Store.Remove(ctx, s.ID()) })
			case 7:
				between(cancel)
			case 8:
				between(func() { _, _ = session.Pop(ctx, s, key) })
			case 9:
				between(func() {})
				return nil, errRefuses
			case 10:
				return old, nil
			default:
				if n, ok := old.(int); ok {
					return n + 1, nil
				}
			}
			return value, nil
		})
		if err != nil {
			last = nil // the session has ended, so the store may have skipped the function
		}
		return last, err
	})(ctx, r, st)
}
