package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
)

func brokenSessions() map[string]map[string]defect {
	return map[string]map[string]defect{
		"an old session object cannot write to a new session with the same id": {
			"writes by id": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, value any) error {
					now, err := s.stored(ctx)
					if err != nil {
						return err
					}
					return errors.Join(now.Set(ctx, key, value), s.Session.Set(ctx, key, value))
				}
				s.clearHook = func(ctx context.Context) error {
					now, err := s.stored(ctx)
					if err != nil {
						return err
					}
					return session.Clear(ctx, now)
				}
			}),
		},
		"no write after Remove": {"resurrects": resurrects, "says nothing": sessions(func(s *brokenSession) {
			s.popHook = func(ctx context.Context, key string) (any, error) {
				v, err := session.Pop(ctx, s.Session, key)
				if errors.Is(err, session.ErrNotFound) {
					err = nil
				}
				return v, err
			}
		})},
		"no write after expiry": {"resurrects": resurrects},
		"Remove wins against concurrent writes, refreshes and rotations": {"resurrects": resurrects},
		"Remove wins against an Update in progress": {
			"resurrects": sessions(func(s *brokenSession) {
				s.updateHook = func(ctx context.Context, key string, f func(any) (any, error)) error {
					return revive(ctx, s.store, s.ID(), session.Update(ctx, s.Session, key, f))
				}
			}),
		},
		"concurrent writes of different keys all survive": {"writes the whole record": wholeRecord},
		"reading writes nothing": {
			"writes back what it read": sessions(func(s *brokenSession) {
				s.getHook = func(ctx context.Context, key string) (any, error) {
					v, err := s.Session.Get(ctx, key)
					if v != nil && err == nil {
						err = s.Session.Set(ctx, key, v)
					}
					return v, err
				}
			}),
		},
		"Delete removes its keys and no others": {
			"takes all that begin so": sessions(func(s *brokenSession) {
				s.deleteHook = func(ctx context.Context, keys ...string) error {
					for key := range values(ctx, s.Session) {
						if strings.HasPrefix(key, keys[0]) {
							keys = append(keys, key)
						}
					}
					return session.Delete(ctx, s.Session, keys...)
				}
			}),
			"takes the first only": sessions(func(s *brokenSession) {
				s.deleteHook = func(ctx context.Context, keys ...string) error {
					return session.Delete(ctx, s.Session, keys[0])
				}
			}),
		},
		"writers of other keys survive Delete and Clear": {"writes the whole record": wholeRecord},
		"SetAll stores all or nothing": {
			"stores what it can": sessions(func(s *brokenSession) {
				s.setAllHook = func(ctx context.Context, all map[string]any) error {
					var errs []error
					for key, v := range all {
						errs = append(errs, s.Session.Set(ctx, key, v))
					}
					return errors.Join(errs...)
				}
			}),
		},
		"Update loses no increment": {
			"reads, then writes": sessions(func(s *brokenSession) {
				s.updateHook = func(ctx context.Context, key string, f func(any) (any, error)) error {
					now, err := s.stored(ctx)
					if err != nil {
						return err
					}
					old, err := now.Get(ctx, key)
					if err != nil {
						return err
					}
					time.Sleep(time.Millisecond)
					v, err := f(old)
					if err != nil {
						return err
					}
					return s.Session.Set(ctx, key, v)
				}
			}),
		},
		"Pop gives a value to exactly one caller": {
			"reads, then deletes": sessions(func(s *brokenSession) {
				s.popHook = func(ctx context.Context, key string) (any, error) {
					v, err := s.Session.Get(ctx, key)
					if err != nil {
						return nil, err
					}
					time.Sleep(time.Millisecond)
					return v, session.Delete(ctx, s.Session, key)
				}
			}),
		},
		"neither reading nor writing extends a session": {
			"Set refreshes": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, value any) error {
					return errors.Join(s.Session.Set(ctx, key, value), s.store.Store.Refresh(ctx, s.ID()))
				}
			}),
			"Get refreshes": sessions(func(s *brokenSession) {
				s.getHook = func(ctx context.Context, key string) (any, error) {
					v, err := s.Session.Get(ctx, key)
					return v, errors.Join(err, s.store.Store.Refresh(ctx, s.ID()))
				}
			}),
		},
		"no operation leaves a session that never ends": {
			"SetAll does": func(_ *testing.T, b *brokenStore) {
				b.onSession = func(s *brokenSession) {
					s.setAllHook = func(ctx context.Context, all map[string]any) error {
						b.note(s.ID(), s)
						return session.SetAll(ctx, s.Session, all)
					}
				}
				b.get = func(ctx context.Context, id string) (session.Session, error) {
					if s, ok := b.noted(id).(session.Session); ok {
						return s, nil
					}
					return b.Store.Get(ctx, id)
				}
			},
		},
		"Describe reports the times": {
			"has the deadline of the idle timeout only": sessions(func(s *brokenSession) {
				s.infoHook = func() session.Info {
					info, _ := session.Describe(s.Session)
					info.AbsoluteDeadline = info.IdleDeadline
					return info
				}
			}),
			"sees nobody": sessions(func(s *brokenSession) {
				s.infoHook = func() session.Info {
					info, _ := session.Describe(s.Session)
					info.LastSeen = info.CreatedAt
					return info
				}
			}),
			"takes a value for the user": sessions(func(s *brokenSession) {
				s.infoHook = func() session.Info {
					info, _ := session.Describe(s.Session)
					info.User = "somebody"
					return info
				}
			}),
		},
		"Now is the clock of the times that Describe reports": {
			"another machine's, which is behind": sessions(func(s *brokenSession) {
				s.nowHook = func(ctx context.Context) (time.Time, error) {
					now, err := session.Now(ctx, s.Session)
					return now.Add(-20 * time.Minute), err
				}
			}),
			"another machine's, which is ahead": sessions(func(s *brokenSession) {
				s.nowHook = func(ctx context.Context) (time.Time, error) {
					now, err := session.Now(ctx, s.Session)
					return now.Add(20 * time.Minute), err
				}
			}),
			"the time of loading": sessions(func(s *brokenSession) {
				loaded := time.Now()
				s.nowHook = func(ctx context.Context) (time.Time, error) { return loaded, ctx.Err() }
			}),
			"goes on when nobody waits": sessions(func(s *brokenSession) {
				s.nowHook = func(ctx context.Context) (time.Time, error) {
					return session.Now(context.WithoutCancel(ctx), s.Session)
				}
			}),
		},
		"values come back with their type and content": {
			"knows one type of int": sessions(func(s *brokenSession) {
				s.getHook = func(ctx context.Context, key string) (any, error) {
					v, err := s.Session.Get(ctx, key)
					if n, ok := v.(int16); ok {
						v = int64(n)
					}
					return v, err
				}
			}),
			"knows one type of int in an interface": sessions(func(s *brokenSession) {
				s.getHook = func(ctx context.Context, key string) (any, error) {
					v, err := s.Session.Get(ctx, key)
					if m, ok := v.(map[string]any); ok {
						m["n"] = int64(1)
					}
					return v, err
				}
			}),
			"knows no nil slice": sessions(func(s *brokenSession) {
				s.getHook = func(ctx context.Context, key string) (any, error) {
					v, err := s.Session.Get(ctx, key)
					if b, ok := v.([]byte); ok && b == nil {
						v = []byte{}
					}
					return v, err
				}
			}),
		},
		"a long text comes back whole": {
			"cuts it": sessions(func(s *brokenSession) {
				s.getHook = func(ctx context.Context, key string) (any, error) {
					v, err := s.Session.Get(ctx, key)
					if text, ok := v.(string); ok {
						v = text[:min(len(text), 1<<16-1)]
					}
					return v, err
				}
			}),
		},
		"values that cannot be stored are refused and the old one stays": {
			"keeps their text": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, value any) error {
					err := s.Session.Set(ctx, key, value)
					if errors.Is(err, session.ErrValue) {
						err = s.Session.Set(ctx, key, fmt.Sprint(value))
					}
					return err
				}
			}),
			"deletes the old one": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, value any) error {
					err := s.Session.Set(ctx, key, value)
					if errors.Is(err, session.ErrValue) {
						err = errors.Join(err, session.Delete(ctx, s.Session, key))
					}
					return err
				}
			}),
		},
		"an absent key is no error": {
			"it is": sessions(func(s *brokenSession) {
				s.getHook = func(ctx context.Context, key string) (any, error) {
					v, err := s.Session.Get(ctx, key)
					if v == nil && err == nil {
						err = errors.New("key not found")
					}
					return v, err
				}
			}),
		},
		"any bytes are a key": {
			"ends keys at a NUL": sessions(func(s *brokenSession) {
				cut := func(key string) string {
					key, _, _ = strings.Cut(key, "\x00")
					return key
				}
				s.setHook = func(ctx context.Context, key string, v any) error { return s.Session.Set(ctx, cut(key), v) }
				s.getHook = func(ctx context.Context, key string) (any, error) { return s.Session.Get(ctx, cut(key)) }
			}),
			"has a field of its own": sessions(func(s *brokenSession) {
				s.getHook = func(ctx context.Context, key string) (any, error) {
					if key == "id" {
						return s.ID(), nil
					}
					return s.Session.Get(ctx, key)
				}
			}),
		},
		"limits are the same and exact": {
			"cuts long keys": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, v any) error {
					return s.Session.Set(ctx, key[:min(len(key), 256)], v)
				}
			}),
			"drops the oldest": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, v any) error {
					err := s.Session.Set(ctx, key, v)
					if errors.Is(err, session.ErrTooLarge) && len(key) < 256 && len(record(ctx, s.Session)) == 1024 {
						err = errors.Join(session.Delete(ctx, s.Session, "0"), s.Session.Set(ctx, key, v))
					}
					return err
				}
			}),
		},
		"a session shows what was loaded plus its own writes": {
			"shows what is stored": sessions(func(s *brokenSession) {
				s.getHook = func(ctx context.Context, key string) (any, error) {
					now, err := s.stored(ctx)
					if err != nil {
						return nil, err
					}
					return now.Get(ctx, key)
				}
			}),
			"shows no own writes": sessions(func(s *brokenSession) {
				loaded := record(context.Background(), s.Session)
				s.getHook = func(_ context.Context, key string) (any, error) { return loaded[key], nil }
			}),
		},
		"Update and Pop act on what is stored": {
			"Update acts on what was loaded": sessions(func(s *brokenSession) {
				s.updateHook = func(ctx context.Context, key string, f func(any) (any, error)) error {
					old, err := s.Session.Get(ctx, key)
					if err != nil {
						return err
					}
					v, err := f(old)
					return errors.Join(err, s.Session.Set(ctx, key, v))
				}
			}),
			"Pop acts on what was loaded": sessions(func(s *brokenSession) {
				s.popHook = func(ctx context.Context, key string) (any, error) {
					v, err := s.Session.Get(ctx, key)
					return v, errors.Join(err, session.Delete(ctx, s.Session, key))
				}
			}),
		},
		"Update passes nil for an absent key and returns the error of f": {
			"swallows the error": sessions(func(s *brokenSession) {
				s.updateHook = func(ctx context.Context, key string, f func(any) (any, error)) error {
					return session.Update(ctx, s.Session, key, func(old any) (any, error) {
						v, _ := f(old)
						return v, nil
					})
				}
			}),
			"deletes for nil": sessions(func(s *brokenSession) {
				s.updateHook = func(ctx context.Context, key string, f func(any) (any, error)) error {
					err := session.Update(ctx, s.Session, key, f)
					if errors.Is(err, session.ErrValue) {
						err = session.Delete(ctx, s.Session, key)
					}
					return err
				}
			}),
		},
		"All lists what Get returns": {
			"leaves out a key": sessions(func(s *brokenSession) {
				s.allHook = func(ctx context.Context) iter.Seq2[string, any] {
					mine := record(ctx, s.Session)
					delete(mine, "")
					return maps.All(mine)
				}
			}),
		},
		"Clear empties the session and does not end it": {
			"ends it": sessions(func(s *brokenSession) {
				s.clearHook = func(ctx context.Context) error {
					return errors.Join(session.Clear(ctx, s.Session), s.store.Store.Remove(ctx, s.ID()))
				}
			}),
			"does nothing": sessions(func(s *brokenSession) {
				s.clearHook = func(context.Context) error { return nil }
			}),
		},
		"Update ends with its context": {
			"does not": sessions(func(s *brokenSession) {
				s.updateHook = func(ctx context.Context, key string, f func(any) (any, error)) error {
					return session.Update(context.WithoutCancel(ctx), s.Session, key, f)
				}
			}),
		},
		"changing a value after Set does not change the session":         {"keeps references": references},
		"changing a value that Get returned does not change the session": {"keeps references": references},
		"changing a value of All or Update does not change the session":  {"keeps references": references},
		"no error holds a token, an id or a value": {
			"names the value": sessions(func(s *brokenSession) {
				s.setHook = func(ctx context.Context, key string, value any) error {
					if err := s.Session.Set(ctx, key, value); err != nil {
						return fmt.Errorf("set %v: %w", value, err)
					}
					return nil
				}
			}),
		},
	}
}
