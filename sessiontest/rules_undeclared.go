package sessiontest

import (
	"context"
	"errors"
	"fmt"

	"github.com/mist-contrib/session"
)

// undeclared are what must hold where a capability is not declared.
func undeclared() chapter {
	unsupported := func(call func(ctx context.Context, s session.Session) error) func(ctx context.Context, e *env) error {
		return func(ctx context.Context, e *env) error {
			s, err := e.with(ctx, "kept", 1)
			if err != nil {
				return err
			}
			if err := call(ctx, s); !errors.Is(err, errors.ErrUnsupported) {
				return fmt.Errorf("got %v, want errors.ErrUnsupported", err)
			}
			return e.holds(ctx, s, "kept", 1)
		}
	}
	return chapter{"what is not declared is unsupported", "No weaker fallback, ever.", []rule{
		{"TokenStore", TokenStore, func(ctx context.Context, e *env) error {
			s, err := e.generate(ctx)
			if err != nil {
				return err
			}
			if e.tokens != nil || session.Token(s) != s.ID() {
				return errors.New("the store issues tokens but does not declare it")
			}
			return nil
		}},
		{"UserStore", UserStore, func(_ context.Context, e *env) error {
			if e.users != nil {
				return errors.New("the store knows users but does not declare it")
			}
			return nil
		}},
		{"DeviceStore", DeviceStore, func(_ context.Context, e *env) error {
			if e.devices != nil {
				return errors.New("the store binds sessions to devices but does not declare it")
			}
			return nil
		}},
		{"UserSessions and Login.MaxSessions", UserLister, func(ctx context.Context, e *env) error {
			if e.users == nil {
				return nil
			}
			_, listed := e.users.UserSessions(ctx, "ada")
			_, limited := e.users.Login(ctx, "", session.Login{User: "ada", MaxSessions: 1})
			for _, err := range []error{listed, limited} {
				if !errors.Is(err, errors.ErrUnsupported) {
					return fmt.Errorf("got %v, want errors.ErrUnsupported", err)
				}
			}
			return nil
		}},
		{"Delete", Deleter, unsupported(func(ctx context.Context, s session.Session) error { return session.Delete(ctx, s, "kept") })},
		{"Clear", Deleter, unsupported(session.Clear)},
		{"Pop", Popper, unsupported(func(ctx context.Context, s session.Session) error {
			_, err := session.Pop(ctx, s, "kept")
			return err
		})},
		{"Update", Updater, unsupported(func(ctx context.Context, s session.Session) error {
			return session.Update(ctx, s, "kept", func(old any) (any, error) { return old, nil })
		})},
		{"SetAll", BatchSetter, unsupported(func(ctx context.Context, s session.Session) error {
			return session.SetAll(ctx, s, map[string]any{"kept": 2})
		})},
		{"All", Ranger, unsupported(func(ctx context.Context, s session.Session) error {
			_, err := session.All(ctx, s)
			return err
		})},
		{"Now", Clock, unsupported(func(ctx context.Context, s session.Session) error {
			_, err := session.Now(ctx, s)
			return err
		})},
		{"Describe", Describer, unsupported(func(_ context.Context, s session.Session) error {
			_, err := session.Describe(s)
			return err
		})},
	}}
}
