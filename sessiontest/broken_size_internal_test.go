package sessiontest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mist-contrib/session"
)

// size is how much the values of a session take, if they are texts.
func size(ctx context.Context, s session.Session) (bytes int) {
	for key, v := range values(ctx, s) {
		if text, ok := v.(string); ok {
			bytes += len(key) + 1 + len(text)
		}
	}
	return bytes
}

// brokenSizes are stores that do not keep to the size of a session. What the good store
// refuses they cannot store, so some of them only say that they did.
func brokenSizes() map[string]map[string]defect {
	saysNothing := func(err error) error {
		if errors.Is(err, session.ErrTooLarge) {
			return nil
		}
		return err
	}
	return map[string]map[string]defect{
		"a session holds 2 MiB and not a byte more": {
			"says nothing": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, v any) error { return saysNothing(s.Session.Set(ctx, key, v)) }
			}),
			"makes room": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, v any) error {
					err := s.Session.Set(ctx, key, v)
					if errors.Is(err, session.ErrTooLarge) {
						err = errors.Join(session.Delete(ctx, s.Session, "a"), s.Session.Set(ctx, key, v))
					}
					return err
				}
			}),
			"loses the old value": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, v any) error {
					err := s.Session.Set(ctx, key, v)
					if errors.Is(err, session.ErrTooLarge) {
						err = errors.Join(err, session.Delete(ctx, s.Session, key))
					}
					return err
				}
			}),
			"counts the value in place too": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, v any) error {
					if text, ok := v.(string); ok && size(ctx, s.Session)+len(key)+1+len(text) > session.MaxSize {
						return session.ErrTooLarge
					}
					return s.Session.Set(ctx, key, v)
				}
			}),
		},
		"every write counts towards the size": {
			"SetAll stores what fits": sessions(func(s *brokenSession) {
				s.setAllHook = func(ctx context.Context, all map[string]any) error {
					var errs []error
					for key, v := range all {
						errs = append(errs, s.Session.Set(ctx, key, v))
					}
					return errors.Join(errs...)
				}
			}),
			"Update has no limit": sessions(func(s *brokenSession) {
				s.updateHook = func(ctx context.Context, key string, f func(any) (any, error)) error {
					return saysNothing(session.Update(ctx, s.Session, key, f))
				}
			}),
			"Pop takes nothing off": forgets(func(s *brokenSession, forget func(string)) {
				s.popHook = func(ctx context.Context, key string) (any, error) {
					forget(key)
					return session.Pop(ctx, s.Session, key)
				}
			}),
			"Delete takes nothing off": forgets(func(s *brokenSession, forget func(string)) {
				s.deleteHook = func(ctx context.Context, keys ...string) error {
					forget(keys[0])
					return session.Delete(ctx, s.Session, keys...)
				}
			}),
			"Clear takes nothing off": forgets(func(s *brokenSession, forget func(string)) {
				s.clearHook = func(ctx context.Context) error {
					forget("a")
					return session.Clear(ctx, s.Session)
				}
			}),
		},
		"concurrent writers cannot exceed the size together": {
			"reads, then writes": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, v any) error {
					text, _ := v.(string)
					now, err := s.stored(ctx)
					if err != nil {
						return err
					}
					time.Sleep(time.Millisecond)
					old, err := now.Get(ctx, key)
					if err != nil {
						return err
					}
					if old == nil && size(ctx, now)+len(key)+1+len(text) > session.MaxSize {
						return session.ErrTooLarge
					}
					return saysNothing(s.Session.Set(ctx, key, v))
				}
			}),
		},
		"a login cannot exceed the size": {
			"stores none of its values": logins(func(ctx context.Context, b *brokenStore, token string, l session.Login) (session.Session, error) {
				l.Values = nil
				return b.Store.Login(ctx, token, l)
			}),
			"ends the session that was there": logins(func(ctx context.Context, b *brokenStore, token string, _ session.Login) (session.Session, error) {
				if s, err := b.Store.Open(ctx, token); err == nil {
					return nil, errors.Join(session.ErrTooLarge, b.Store.Remove(ctx, s.ID()))
				}
				return nil, session.ErrTooLarge
			}),
		},
	}
}

// forgets breaks sessions that do not take a value off their size when it goes.
func forgets(onSession func(s *brokenSession, forget func(key string))) defect {
	return sessions(func(s *brokenSession) {
		off := 0
		onSession(s, func(key string) {
			if text, ok := record(context.Background(), s.Session)[key].(string); ok {
				off += len(key) + 1 + len(text)
			}
		})
		full := func(ctx context.Context, all map[string]any) bool {
			bytes := size(ctx, s.Session) + off
			for key, v := range all {
				text, _ := v.(string)
				bytes += len(key) + 1 + len(text)
				if old, ok := record(ctx, s.Session)[key].(string); ok {
					bytes -= len(key) + 1 + len(old)
				}
			}
			return off > 0 && bytes > session.MaxSize
		}
		s.setHook = func(ctx context.Context, key string, v any) error {
			if full(ctx, map[string]any{key: v}) {
				return session.ErrTooLarge
			}
			return s.Session.Set(ctx, key, v)
		}
		s.setAllHook = func(ctx context.Context, all map[string]any) error {
			if full(ctx, all) {
				return session.ErrTooLarge
			}
			return session.SetAll(ctx, s.Session, all)
		}
	})
}

// logins breaks logins that the good store refuses as too large.
func logins(otherwise func(ctx context.Context, b *brokenStore, token string, l session.Login) (session.Session, error)) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
			s, err := b.Store.Login(ctx, token, l)
			if errors.Is(err, session.ErrTooLarge) {
				return otherwise(ctx, b, token, l)
			}
			return s, err
		}
	}
}
