package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

func notFoundIsNotFailure() []rule {
	return []rule{
		{"unknown, malformed, expired and removed look the same", 0, allLookTheSame},
		{"an ended context is not reported as ErrNotFound", 0, endedIsNotNotFound},
	}
}

func allLookTheSame(ctx context.Context, e *env) error {
	gone, err := e.generate(ctx)
	if err != nil {
		return err
	}
	if err := removed(ctx, e, gone); err != nil {
		return err
	}
	old, err := e.generate(ctx)
	if err != nil {
		return err
	}
	e.Advance(e.after(e.Idle))
	_, unknown := e.store.Get(ctx, uuid.NewString())
	if !errors.Is(unknown, session.ErrNotFound) {
		return wrong(unknown, session.ErrNotFound, "Get of an unknown id")
	}
	alike := func(err error, call, what string) error {
		switch {
		case !errors.Is(err, session.ErrNotFound):
			return wrong(err, session.ErrNotFound, "%s of %s", call, what)
		case err.Error() != unknown.Error():
			return unexpected(err, fmt.Sprintf("the text %q, as for an unknown id", unknown), "%s of %s", call, what)
		}
		return nil
	}
	for what, id := range map[string]string{
		"a removed session": gone.ID(), "an expired session": old.ID(), "an empty id": "", "a malformed id": "not an id",
	} {
		_, err := e.store.Get(ctx, id)
		if err := alike(err, "Get", what); err != nil {
			return err
		}
	}
	if e.tokens == nil {
		return nil
	}
	for what, token := range map[string]string{
		"what a removed session's client carries": session.Token(gone), "what an expired session's client carries": session.Token(old),
		"an empty string": "", "a malformed string": "no id", "an id": gone.ID(),
	} {
		_, err := e.tokens.Open(ctx, token)
		if err := alike(err, "Open", what); err != nil {
			return err
		}
	}
	return nil
}

// calls returns every call of a store and of s that takes a context, by name.
func (e *env) calls(s session.Session) map[string]func(ctx context.Context) error {
	calls := map[string]func(ctx context.Context) error{
		"Generate": func(ctx context.Context) error {
			_, err := e.store.Generate(ctx, uuid.NewString())
			return err
		},
		"Get": func(ctx context.Context) error {
			_, err := e.store.Get(ctx, s.ID())
			return err
		},
		"Refresh": func(ctx context.Context) error { return e.store.Refresh(ctx, s.ID()) },
		"Remove":  func(ctx context.Context) error { return e.store.Remove(ctx, s.ID()) },
		"Session.Get": func(ctx context.Context) error {
			_, err := s.Get(ctx, "kept")
			return err
		},
	}
	if e.tokens != nil {
		calls["Open"] = func(ctx context.Context) error {
			_, err := e.tokens.Open(ctx, session.Token(s))
			return err
		}
		calls["Rotate"] = func(ctx context.Context) error {
			_, err := e.tokens.Rotate(ctx, session.Token(s), time.Hour)
			return err
		}
	}
	if e.users != nil {
		calls["Login"] = func(ctx context.Context) error {
			_, err := e.users.Login(ctx, session.Token(s), ada())
			return err
		}
		calls["UserSessions"] = func(ctx context.Context) error {
			_, err := e.users.UserSessions(ctx, "ada")
			return err
		}
		calls["RemoveUserSessions"] = func(ctx context.Context) error {
			_, err := e.users.RemoveUserSessions(ctx, "ada")
			return err
		}
	}
	for name, write := range e.writes() {
		calls["Session."+name] = func(ctx context.Context) error { return write(ctx, s) }
	}
	return calls
}

func endedIsNotNotFound(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	late, cancelLate := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancelLate()
	for name, call := range e.calls(s) {
		if err := call(canceled); !errors.Is(err, context.Canceled) || errors.Is(err, session.ErrNotFound) {
			return wrong(err, context.Canceled, "%s with a canceled context", name)
		}
		if err := call(late); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, session.ErrNotFound) {
			return wrong(err, context.DeadlineExceeded, "%s after the deadline of its context", name)
		}
	}
	l, err := e.load(ctx, s)
	if err != nil {
		return fmt.Errorf("after calls whose context had ended: %w", err)
	}
	return errors.Join(shows(ctx, l, "kept", 1), shows(ctx, l, "late", nil))
}
