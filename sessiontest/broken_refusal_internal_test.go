package sessiontest

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/mist-contrib/session"
)

// valuesAfterwards stores the values of a login in a second step.
func valuesAfterwards(between func()) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
			values := l.Values
			l.Values = nil
			s, err := b.Store.Login(ctx, token, l)
			if err != nil {
				return nil, err
			}
			between()
			return s, session.SetAll(ctx, s, values)
		}
	}
}

// ifRefused does something to the session whose login was refused.
func ifRefused(then func(ctx context.Context, b *brokenStore, old session.Session) error) defect {
	return entersBy(func(ctx context.Context, b *brokenStore, old session.Session, token string, l session.Login) (session.Session, error) {
		s, err := b.Store.Login(ctx, token, l)
		if err != nil {
			return nil, errors.Join(err, then(ctx, b, old))
		}
		return s, nil
	})
}

// givesBackCopy has copied the values before a login, and stores them once more if it
// was refused.
func givesBackCopy(between func(ctx context.Context)) defect {
	return entersBy(func(ctx context.Context, b *brokenStore, old session.Session, token string, l session.Login) (session.Session, error) {
		Step(ctx)
		copied := record(ctx, old)
		between(ctx)
		s, err := b.Store.Login(ctx, token, l)
		if err != nil {
			return nil, errors.Join(err, session.Clear(ctx, old), session.SetAll(ctx, old, copied))
		}
		return s, nil
	})
}

// forgetsObjects gives a session back, but not to requests that had loaded it.
func forgetsObjects(t *testing.T, b *brokenStore) {
	t.Helper()
	ifRefused(func(_ context.Context, b *brokenStore, old session.Session) error {
		b.note("refused "+old.ID(), new(int))
		return nil
	})(t, b)
	b.onSession = func(s *brokenSession) {
		loaded := b.noted("refused " + s.ID())
		s.setHook = func(ctx context.Context, key string, value any) error {
			if b.noted("refused "+s.ID()) != loaded {
				return session.ErrNotFound
			}
			return s.Session.Set(ctx, key, value)
		}
	}
}

// brokenRefusals is what goes wrong with values, and with logins that are refused.
func brokenRefusals() map[string]map[string]defect {
	return map[string]map[string]defect{
		"a refused login leaves the anonymous session as it was": {
			"takes it, and keeps it": ifRefused(func(ctx context.Context, b *brokenStore, old session.Session) error {
				return b.Store.Remove(ctx, old.ID())
			}),
			"gives back another one": ifRefused(func(ctx context.Context, b *brokenStore, old session.Session) error {
				kept := record(ctx, old)
				if err := b.Store.Remove(ctx, old.ID()); err != nil {
					return err
				}
				s, err := b.Store.Generate(ctx, old.ID())
				if err != nil {
					return err
				}
				return session.SetAll(ctx, s, kept)
			}),
			"refreshes it": ifRefused(func(ctx context.Context, b *brokenStore, old session.Session) error {
				return b.Store.Refresh(ctx, old.ID())
			}),
			"ends the grace of old tokens": ifRefused(func(ctx context.Context, b *brokenStore, old session.Session) error {
				s, err := b.Store.Rotate(ctx, session.Token(old), 0)
				if err == nil {
					_, err = b.Store.Open(ctx, session.Token(s))
				}
				return err
			}),
			"gives back the values of the login, too": entersBy(func(ctx context.Context, b *brokenStore, old session.Session, token string, l session.Login) (session.Session, error) {
				if err := session.SetAll(ctx, old, l.Values); err != nil {
					return nil, err
				}
				return b.Store.Login(ctx, token, l)
			}),
			"forgets who had loaded it": forgetsObjects,
		},
		"a login stores its values over the old ones, all or none": {
			"forgets them":      logs(func(l session.Login) session.Login { l.Values = nil; return l }),
			"stores them later": valuesAfterwards(func() {}),
			"under those that are kept": entersBy(func(ctx context.Context, b *brokenStore, old session.Session, token string, l session.Login) (session.Session, error) {
				kept := record(ctx, old)
				s, err := b.Store.Login(ctx, token, l)
				if err != nil {
					return nil, err
				}
				return s, session.SetAll(ctx, s, kept)
			}),
			"in the place of those that are kept": entersBy(func(ctx context.Context, b *brokenStore, _ session.Session, token string, l session.Login) (session.Session, error) {
				values := l.Values
				l.Values = nil
				s, err := b.Store.Login(ctx, token, l)
				if err != nil {
					return nil, err
				}
				return s, errors.Join(session.Clear(ctx, s), session.SetAll(ctx, s, values))
			}),
			"keeps what it was given": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					b.note("given", l.Values["mine"])
					return b.Store.Login(ctx, token, l)
				}
				b.onSession = func(s *brokenSession) {
					s.getHook = func(ctx context.Context, key string) (any, error) {
						v, err := s.Session.Get(ctx, key)
						if given, ok := b.noted("given").([]byte); ok && key == "mine" && v != nil {
							return given, err
						}
						return v, err
					}
				}
			},
			"stores what it can": logs(func(l session.Login) session.Login {
				l.Values = maps.Clone(l.Values)
				maps.DeleteFunc(l.Values, func(_ string, v any) bool {
					_, bad := v.(func())
					return bad
				})
				return l
			}),
		},
		"a login stores as many values as a session can hold": {
			"forgets them": logs(func(l session.Login) session.Login { l.Values = nil; return l }),
		},
		"no request sees a session without the values of its login": {
			"stores them later": valuesAfterwards(func() { time.Sleep(2 * time.Millisecond) }),
		},
		"a write acknowledged during a login is in its session": {
			"copies, and then takes":     copiesAtLogin(slowly),
			"copies, and drops later":    copiesAndDrops(slowly),
			"acknowledges what it loses": acknowledgesAll,
			"stores what it refuses": func(t *testing.T, b *brokenStore) {
				t.Helper()
				writesOn(t, b)
				on := b.onSession
				b.onSession = func(s *brokenSession) {
					on(s)
					set := s.setHook
					s.setHook = func(ctx context.Context, key string, value any) error {
						return errors.Join(set(ctx, key, value), s.Session.Set(ctx, "another", value))
					}
				}
			},
		},
		"a write acknowledged during a refused login is in the anonymous session": {
			"gives back a copy": givesBackCopy(slowly),
			"takes it, and keeps it": ifRefused(func(ctx context.Context, b *brokenStore, old session.Session) error {
				return b.Store.Remove(ctx, old.ID())
			}),
		},
	}
}
