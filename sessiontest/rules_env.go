package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

// many is how many goroutines a rule about concurrency uses.
const many = 32

// An env is what a rule has to work with.
type env struct {
	Harness
	store      session.Store
	tokens     session.TokenStore   // nil unless the store is one
	users      session.UserStore    // nil unless the store is one
	devices    session.DeviceStore  // nil unless the store is one
	fresh      func() session.Store // one more store
	goroutines int                  // before the store was made
}

// before and after are the last moment at which something that ends after d is
// alive for sure, and the first at which it is gone for sure.
func (e *env) before(d time.Duration) time.Duration { return d - max(e.Slack, time.Millisecond) }
func (e *env) after(d time.Duration) time.Duration  { return d + e.Slack }

// generate makes a session of a fresh id.
func (e *env) generate(ctx context.Context) (session.Session, error) {
	return e.generateID(ctx, uuid.NewString())
}

func (e *env) generateID(ctx context.Context, id string) (session.Session, error) {
	s, err := e.store.Generate(ctx, id)
	switch {
	case err != nil:
		return nil, fmt.Errorf("Generate of a fresh id: %w", err)
	case s == nil:
		return nil, errors.New("Generate returned neither a session nor an error")
	case s.ID() != id:
		return nil, errors.New("Generate: the session has another id")
	}
	return s, nil
}

// with makes a session that holds value under key.
func (e *env) with(ctx context.Context, key string, value any) (session.Session, error) {
	s, err := e.generate(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.Set(ctx, key, value); err != nil {
		return nil, fmt.Errorf("Set: %w", err)
	}
	return s, nil
}

// load loads the session of s once more, as the next request of its client
// does.
func (e *env) load(ctx context.Context, s session.Session) (session.Session, error) {
	return e.open(ctx, session.Token(s))
}

// open loads a session by what its client carries.
func (e *env) open(ctx context.Context, carried string) (session.Session, error) {
	var s session.Session
	var err error
	if e.tokens != nil {
		s, err = e.tokens.Open(ctx, carried)
	} else {
		s, err = e.store.Get(ctx, carried)
	}
	if err == nil && s == nil {
		err = errors.New("neither a session nor an error")
	}
	return s, err
}

// alive reports an error unless the session of s can be loaded in every way.
func (e *env) alive(ctx context.Context, s session.Session) error {
	if _, err := e.load(ctx, s); err != nil {
		return fmt.Errorf("the session is gone: %w", err)
	}
	if _, err := e.store.Get(ctx, s.ID()); err != nil {
		return fmt.Errorf("Get: the session is gone: %w", err)
	}
	return nil
}

// gone reports an error unless every way to the session of s is ErrNotFound.
func (e *env) gone(ctx context.Context, s session.Session) error {
	if _, err := e.load(ctx, s); !errors.Is(err, session.ErrNotFound) {
		return fmt.Errorf("loaded by what the client carries: got %v, want ErrNotFound", err)
	}
	if _, err := e.store.Get(ctx, s.ID()); !errors.Is(err, session.ErrNotFound) {
		return fmt.Errorf("Get: got %v, want ErrNotFound", err)
	}
	return nil
}

// holds reports an error unless the session of s, loaded anew, has want under
// key; nil: nothing.
func (e *env) holds(ctx context.Context, s session.Session, key string, want any) error {
	l, err := e.load(ctx, s)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return shows(ctx, l, key, want)
}

// shows reports an error unless s itself has want under key.
func shows(ctx context.Context, s session.Session, key string, want any) error {
	got, err := s.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("Get: %w", err)
	}
	if !same(got, want) {
		g, w := fmt.Sprintf("%T %s", got, brief(got)), fmt.Sprintf("%T %s", want, brief(want))
		if g == w {
			g = "another " + g
		}
		return fmt.Errorf("key %q: got %s, want %s", key, g, w)
	}
	return nil
}

// same compares dynamic type and content. Times are the same that show the same
// instant at the same offset.
func same(got, want any) bool {
	g, ok := got.(time.Time)
	w, ok2 := want.(time.Time)
	if ok && ok2 {
		_, offset := g.Zone()
		_, offset2 := w.Zone()
		return g.Equal(w) && offset == offset2
	}
	return reflect.DeepEqual(got, want)
}

func brief(v any) string {
	if r := reflect.ValueOf(v); (r.Kind() == reflect.Slice || r.Kind() == reflect.Map) && r.IsNil() {
		return "nil" // not "[]" or "map[]", as one that is empty
	}
	if s := fmt.Sprint(v); len(s) <= 40 {
		return s
	}
	return "(long)"
}

// together runs f many times at once and returns the errors.
func together(f func(i int) error) error {
	return atOnce(many, f)
}

// atOnce runs f n times at once and returns the errors.
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

// writes are all ways to write to a session that e declares, by name.
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
		{"SetAll of nothing", BatchSetter, func(ctx context.Context, s session.Session) error {
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
		{"Delete of nothing", Deleter, func(ctx context.Context, s session.Session) error { return session.Delete(ctx, s) }},
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
