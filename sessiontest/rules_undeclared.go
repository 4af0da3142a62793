package sessiontest

import (
	"context"
	"errors"

	"github.com/mist-contrib/session"
)

// undeclared returns the rules for the capabilities that a Harness does not declare.
func undeclared() chapter {
	unsupported := func(name string, call func(ctx context.Context, s session.Session) error) func(ctx context.Context, e *env) error {
		return func(ctx context.Context, e *env) error {
			s, err := e.generateWith(ctx, "kept", 1)
			if err != nil {
				return err
			}
			if err := call(ctx, s); !errors.Is(err, errors.ErrUnsupported) {
				return wrong(err, errors.ErrUnsupported, "%s, undeclared", name)
			}
			return e.holds(ctx, s, "kept", 1)
		}
	}
	return chapter{"what is not declared is unsupported", "A store that does not declare a capability does not have it, and there is no weaker fallback.", []rule{
		{"TokenStore", TokenStore, func(ctx context.Context, e *env) error {
			s, err := e.generate(ctx)
			if err != nil {
				return err
			}
			if e.tokens != nil || session.Token(s) != s.ID() {
				return errors.New("the store: got one that issues tokens, want one that does not, because the Harness does not declare TokenStore")
			}
			return nil
		}},
		{"UserStore", UserStore, func(_ context.Context, e *env) error {
			if e.users != nil {
				return errors.New("the store: got one with Login, want one without, because the Harness does not declare UserStore")
			}
			return nil
		}},
		{"DeviceStore", DeviceStore, func(_ context.Context, e *env) error {
			if e.devices != nil {
				return errors.New("the store: got one with Bind, want one without, because the Harness does not declare DeviceStore")
			}
			return nil
		}},
		{"UserSessions and Login.MaxSessions", UserLister, func(ctx context.Context, e *env) error {
			if e.users == nil {
				return nil
			}
			if _, err := e.users.UserSessions(ctx, "ada"); !errors.Is(err, errors.ErrUnsupported) {
				return wrong(err, errors.ErrUnsupported, "UserSessions, undeclared")
			}
			if _, err := e.users.Login(ctx, "", session.Login{User: "ada", MaxSessions: 1}); !errors.Is(err, errors.ErrUnsupported) {
				return wrong(err, errors.ErrUnsupported, "Login with MaxSessions, while UserLister is undeclared")
			}
			return nil
		}},
		{"Delete", Deleter, unsupported("Delete", func(ctx context.Context, s session.Session) error { return session.Delete(ctx, s, "kept") })},
		{"Clear", Deleter, unsupported("Clear", session.Clear)},
		{"Pop", Popper, unsupported("Pop", func(ctx context.Context, s session.Session) error {
			_, err := session.Pop(ctx, s, "kept")
			return err
		})},
		{"Update", Updater, unsupported("Update", func(ctx context.Context, s session.Session) error {
			return session.Update(ctx, s, "kept", func(old any) (any, error) { return old, nil })
		})},
		{"SetAll", BatchSetter, unsupported("SetAll", func(ctx context.Context, s session.Session) error {
			return session.SetAll(ctx, s, map[string]any{"kept": 2})
		})},
		{"All", Ranger, unsupported("All", func(ctx context.Context, s session.Session) error {
			_, err := session.All(ctx, s)
			return err
		})},
		{"Now", Clock, unsupported("Now", func(ctx context.Context, s session.Session) error {
			_, err := session.Now(ctx, s)
			return err
		})},
		{"Describe", Describer, unsupported("Describe", func(_ context.Context, s session.Session) error {
			_, err := session.Describe(s)
			return err
		})},
	}}
}
