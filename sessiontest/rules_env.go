package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

// many is the number of goroutines in a rule about concurrency.
const many = 32

// An env is the store that a rule tests, with helpers.
type env struct {
	Harness
	store      session.Store
	tokens     session.TokenStore   // nil unless the store is one
	users      session.UserStore    // nil unless the store is one
	devices    session.DeviceStore  // nil unless the store is one
	fresh      func() session.Store // makes another store
	goroutines int                  // how many ran before the store was made
}

// before returns the last moment at which something that ends after d must still be
// alive. after returns the first moment at which it must be gone.
func (e *env) before(d time.Duration) time.Duration { return d - max(e.Slack, time.Millisecond) }
func (e *env) after(d time.Duration) time.Duration  { return d + e.Slack }

func (e *env) generate(ctx context.Context) (session.Session, error) {
	return e.generateID(ctx, uuid.NewString())
}

func (e *env) generateID(ctx context.Context, id string) (session.Session, error) {
	s, err := e.store.Generate(ctx, id)
	switch {
	case err != nil:
		return nil, wrong(err, nil, "Generate of an unused id")
	case s == nil:
		return nil, errors.New("Generate: got no session and no error, want one of them")
	case s.ID() != id:
		return nil, errors.New("Generate: got a session with another id, want the id that was passed")
	}
	return s, nil
}

// generateWith makes a session that holds value under key.
func (e *env) generateWith(ctx context.Context, key string, value any) (session.Session, error) {
	s, err := e.generate(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Set(ctx, key, value); err != nil {
		return nil, wrong(err, nil, "Set of the key %q to %s", key, show(value))
	}
	return s, nil
}

// load loads the session of s again, as its client's next request does.
func (e *env) load(ctx context.Context, s session.Session) (session.Session, error) {
	l, err := e.open(ctx, session.Token(s))
	if err != nil {
		return nil, wrong(err, nil, "%s of a live session", e.opener())
	}
	return l, nil
}

// open loads a session by what its client carries: the token, or the id if the store
// issues no tokens.
func (e *env) open(ctx context.Context, token string) (session.Session, error) {
	var s session.Session
	var err error
	if e.tokens != nil {
		s, err = e.tokens.Open(ctx, token)
	} else {
		s, err = e.store.Get(ctx, token)
	}
	if err == nil && s == nil {
		err = errors.New("neither a session nor an error")
	}
	return s, err
}

// opener returns the name of the method that open calls.
func (e *env) opener() string {
	if e.tokens != nil {
		return "Open"
	}
	return "Get"
}

// alive reports an error unless the session of s can be loaded in every way.
func (e *env) alive(ctx context.Context, s session.Session) error {
	if _, err := e.load(ctx, s); err != nil {
		return err
	}
	if _, err := e.store.Get(ctx, s.ID()); err != nil {
		return wrong(err, nil, "Get of a live session")
	}
	return nil
}

// gone reports an error unless every way to load the session of s fails with ErrNotFound.
func (e *env) gone(ctx context.Context, s session.Session) error {
	if _, err := e.open(ctx, session.Token(s)); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "%s of an ended session", e.opener())
	}
	if _, err := e.store.Get(ctx, s.ID()); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Get of an ended session")
	}
	return nil
}

// holds reports an error unless the session of s, loaded again, has want under key.
// A nil want means that the key must be absent.
func (e *env) holds(ctx context.Context, s session.Session, key string, want any) error {
	l, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	if err := shows(ctx, l, key, want); err != nil {
		return fmt.Errorf("loaded again: %w", err)
	}
	return nil
}

// shows reports an error unless s itself has want under key.
func shows(ctx context.Context, s session.Session, key string, want any) error {
	got, err := s.Get(ctx, key)
	if err != nil {
		return wrong(err, nil, "Get of the key %q", short(key))
	}
	if !same(got, want) {
		return differs(fmt.Sprintf("Get of the key %q", short(key)), got, want)
	}
	return nil
}

func together(f func(i int) error) error {
	return atOnce(many, f)
}

// atOnce runs f in n goroutines at once and returns the errors.
func atOnce(n int, f func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, n)
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errors.Join(errs...)
}

// writes returns every declared way to write to a session, by name.
func (e *env) writes() map[string]func(ctx context.Context, s session.Session) error {
	all := []struct {
		name  string
		needs Capability
		write func(ctx context.Context, s session.Session) error
	}{
		{"Set", 0, func(ctx context.Context, s session.Session) error { return s.Set(ctx, "late", 1) }},
		{"SetAll", BatchSetter, func(ctx context.Context, s session.Session) error {
			return session.SetAll(ctx, s, map[string]any{"late": 1, "later": 2})
		}},
		{"SetAll of no values", BatchSetter, func(ctx context.Context, s session.Session) error {
			return session.SetAll(ctx, s, nil)
		}},
		{"Update", Updater, func(ctx context.Context, s session.Session) error {
			return session.Update(ctx, s, "late", func(any) (any, error) { return 1, nil })
		}},
		{"Pop", Popper, func(ctx context.Context, s session.Session) error {
			_, err := session.Pop(ctx, s, "kept")
			return err
		}},
		{"Pop of an absent key", Popper, func(ctx context.Context, s session.Session) error {
			_, err := session.Pop(ctx, s, "absent")
			return err
		}},
		{"Delete", Deleter, func(ctx context.Context, s session.Session) error { return session.Delete(ctx, s, "kept") }},
		{"Delete of no keys", Deleter, func(ctx context.Context, s session.Session) error { return session.Delete(ctx, s) }},
		{"Clear", Deleter, func(ctx context.Context, s session.Session) error { return session.Clear(ctx, s) }},
	}
	declared := make(map[string]func(ctx context.Context, s session.Session) error)
	for _, w := range all {
		if w.needs&^e.Capabilities == 0 {
			declared[w.name] = w.write
		}
	}
	return declared
}
