package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

func usersLost() []rule {
	return []rule{
		{"a write acknowledged during a login is in its session", users, loginLosesNothing},
		{"requests that began before a login of the same user can write", users, loginKeepsWriters},
		{"a write acknowledged during a refused login is in the anonymous session", users | UserLister, refusalLosesNothing},
	}
}

func loginLosesNothing(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	var in session.Session
	w, err := e.writers(ctx, s, func() (err error) {
		in, err = e.login(ctx, s, ada())
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(e.gone(ctx, s), e.holds(ctx, in, "kept", 1), w.judge(ctx, e, in))
}

func refusalLosesNothing(ctx context.Context, e *env) error {
	if _, err := e.member(ctx, ada()); err != nil {
		return err
	}
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	w, err := e.writers(ctx, s, func() error {
		if _, err := e.users.Login(ctx, session.Token(s), session.Login{User: "ada", MaxSessions: 1}); !errors.Is(err, session.ErrUserLimit) {
			return wrong(err, session.ErrUserLimit, "Login beyond MaxSessions")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.Set(ctx, "late", 1); err != nil {
		return wrong(err, nil, "Set after a refused login, by a session that was loaded before")
	}
	return errors.Join(e.holds(ctx, s, "kept", 1), e.holds(ctx, s, "late", 1), w.judge(ctx, e, s))
}

// written records the answers to writes during a login.
type written struct {
	mu      sync.Mutex
	sets    map[string]bool // by key; false: refused with ErrNotFound
	updates int             // acknowledged updates of "counter"
	pops    map[string]bool // as sets
}

// writers writes to s through many session objects for some milliseconds, while login runs.
func (e *env) writers(ctx context.Context, s session.Session, login func() error) (*written, error) {
	const rounds = 12
	w := &written{sets: make(map[string]bool), pops: make(map[string]bool)}
	var loaded [many]session.Session
	for i := range loaded {
		var err error
		if loaded[i], err = e.load(ctx, s); err != nil {
			return nil, err
		}
	}
	if e.Capabilities&(Popper|BatchSetter) == Popper|BatchSetter {
		flashes := make(map[string]any)
		for i := 3; i < many; i += 4 {
			for n := range rounds {
				flashes[fmt.Sprintf("flash %d-%d", i, n)] = n
			}
		}
		if err := session.SetAll(ctx, s, flashes); err != nil {
			return nil, wrong(err, nil, "SetAll")
		}
	}
	return w, together(func(i int) error {
		if i == 0 {
			time.Sleep(rounds / 3 * time.Millisecond)
			return login()
		}
		for n := range rounds {
			if err := w.write(ctx, e, loaded[i], i, n); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	})
}

// write makes one write and records its answer.
func (w *written) write(ctx context.Context, e *env, s session.Session, i, n int) error {
	set, flash := fmt.Sprintf("%d-%d", i, n), fmt.Sprintf("flash %d-%d", i, n)
	var what string
	var err error
	var note func(acknowledged bool)
	switch {
	case i%4 == 2 && e.Capabilities&Updater != 0:
		what, err = "Update", session.Update(ctx, s, "counter", func(old any) (any, error) {
			n, _ := old.(int)
			return n + 1, nil
		})
		note = func(acknowledged bool) {
			if acknowledged {
				w.updates++
			}
		}
	case i%4 == 3 && e.Capabilities&(Popper|BatchSetter) == Popper|BatchSetter:
		what = "Pop"
		_, err = session.Pop(ctx, s, flash)
		note = func(acknowledged bool) { w.pops[flash] = acknowledged }
	default:
		what, err = "Set", s.Set(ctx, set, n)
		note = func(acknowledged bool) { w.sets[set] = acknowledged }
	}
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		return unexpected(err, "no error or session.ErrNotFound", "%s during a login", what)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	note(err == nil)
	return nil
}

// judge reports an error unless s has every acknowledged write and no refused one.
func (w *written) judge(ctx context.Context, e *env, s session.Session) error {
	l, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	lost, kept := 0, 0
	look := func(key string, want bool) error {
		v, err := l.Get(ctx, key)
		switch {
		case err != nil:
			return wrong(err, nil, "Get")
		case want && v == nil:
			lost++
		case !want && v != nil:
			kept++
		}
		return nil
	}
	for key, acknowledged := range w.sets {
		if err := look(key, acknowledged); err != nil {
			return err
		}
	}
	for key, acknowledged := range w.pops {
		if err := look(key, !acknowledged); err != nil {
			return err
		}
	}
	v, err := l.Get(ctx, "counter")
	switch {
	case err != nil:
		return wrong(err, nil, "Get")
	case v != any(w.updates) && (v != nil || w.updates > 0):
		return differs(fmt.Sprintf("Get of a counter after %d acknowledged updates", w.updates), v, w.updates)
	case lost > 0 || kept > 0:
		return fmt.Errorf("after writes during a login: got %d acknowledged writes lost and %d refused writes stored, want none", lost, kept)
	}
	return nil
}
