package sessiontest

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/mist-contrib/session"
)

// takesOver gives a session of another user to who asks for it.
func takesOver(_ *testing.T, b *brokenStore) {
	b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		s, err := b.Store.Login(ctx, token, l)
		if !errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrRevoked) {
			return s, err
		}
		old, openErr := b.Store.Open(ctx, token)
		if openErr != nil {
			return nil, err
		}
		info, err := session.Describe(old)
		if err != nil {
			return nil, err
		}
		l.Reauthentication, l.User = false, info.User
		if info.User == "" {
			l.User = "ada"
		}
		return b.Store.Login(ctx, token, l)
	}
}

// keepsOldToken is a login after which the token from before is good still.
func keepsOldToken(_ *testing.T, b *brokenStore) {
	b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		s, err := b.Store.Login(ctx, token, l)
		if err == nil {
			b.note(token, session.Token(s))
		}
		return s, err
	}
	b.open = func(ctx context.Context, token string) (session.Session, error) {
		if next, ok := b.noted(token).(string); ok {
			token = next
		}
		return b.Store.Open(ctx, token)
	}
}

// entersBy breaks logins with a token, of an anonymous session or one of the user. The
// store gets all others.
func entersBy(with func(ctx context.Context, b *brokenStore, old session.Session, token string, l session.Login) (session.Session, error)) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
			old, err := b.Store.Open(ctx, token)
			if err != nil || l.Reauthentication {
				return b.Store.Login(ctx, token, l)
			}
			return with(ctx, b, old, token, l)
		}
	}
}

// over adds the values of a login to those that were there.
func over(kept map[string]any, l session.Login) session.Login {
	maps.Copy(kept, l.Values)
	l.Values = kept
	return l
}

// copiesAndDrops logs in from none with the values of a session, and ends that afterwards, in
// between of which something may happen.
func copiesAndDrops(between func(ctx context.Context)) defect {
	return entersBy(func(ctx context.Context, b *brokenStore, old session.Session, _ string, l session.Login) (session.Session, error) {
		Step(ctx)
		l = over(record(ctx, old), l)
		between(ctx)
		s, err := b.Store.Login(ctx, "", l)
		if err != nil {
			return nil, err
		}
		return s, b.Store.Remove(ctx, old.ID())
	})
}

// copiesAtLogin gives the session of a user what the anonymous one had a moment before,
// and loses what was written since.
func copiesAtLogin(between func(ctx context.Context)) defect {
	return entersBy(func(ctx context.Context, b *brokenStore, old session.Session, token string, l session.Login) (session.Session, error) {
		Step(ctx)
		copied := over(record(ctx, old), l).Values
		between(ctx)
		s, err := b.Store.Login(ctx, token, l)
		if err != nil || userOf(old) != "" {
			return s, err
		}
		return s, errors.Join(session.Clear(ctx, s), session.SetAll(ctx, s, copied))
	})
}

func slowly(context.Context) { time.Sleep(3 * time.Millisecond) }

// keepsAnonymous copies the values of a session, which goes on.
var keepsAnonymous = entersBy(func(ctx context.Context, b *brokenStore, old session.Session, _ string, l session.Login) (session.Session, error) {
	return b.Store.Login(ctx, "", over(record(ctx, old), l))
})

// keepsID is a login after which the session has the id of the one before.
var keepsID = entersBy(func(ctx context.Context, b *brokenStore, old session.Session, _ string, l session.Login) (session.Session, error) {
	l = over(record(ctx, old), l)
	l.ID = old.ID()
	if err := b.Store.Remove(ctx, old.ID()); err != nil {
		return nil, err
	}
	return b.Store.Login(ctx, "", l)
})

// writesOn hands writes of an anonymous session on to the one that followed it.
func writesOn(t *testing.T, b *brokenStore) {
	t.Helper()
	entersBy(func(ctx context.Context, b *brokenStore, old session.Session, token string, l session.Login) (session.Session, error) {
		s, err := b.Store.Login(ctx, token, l)
		if err == nil {
			b.note("after "+old.ID(), s)
		}
		return s, err
	})(t, b)
	b.onSession = func(s *brokenSession) {
		s.setHook = func(ctx context.Context, key string, value any) error {
			if next, ok := b.noted("after " + s.ID()).(session.Session); ok {
				return next.Set(ctx, key, value)
			}
			return s.Session.Set(ctx, key, value)
		}
	}
}

// acknowledgesAll says that it wrote, also to a session that has ended.
var acknowledgesAll = sessions(func(s *brokenSession) {
	s.setHook = func(ctx context.Context, key string, value any) error {
		err := s.Session.Set(ctx, key, value)
		if errors.Is(err, session.ErrNotFound) {
			err = nil
		}
		return err
	}
})

func brokenLogins() map[string]map[string]defect {
	all := map[string]map[string]defect{
		"a login without a session begins one with a new id": {
			"ignores the id": logs(func(l session.Login) session.Login { l.ID = ""; return l }),
			"wants a session": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					if token == "" {
						return nil, session.ErrNotFound
					}
					return b.Store.Login(ctx, token, l)
				}
			},
		},
		"a login cannot take the id of a live session": {
			"takes the place of the one that has the id": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					s, err := b.Store.Login(ctx, token, l)
					if errors.Is(err, session.ErrExists) {
						return b.Store.Login(ctx, token, session.Login{User: l.User})
					}
					return s, err
				}
			},
			"ends the one that has the id": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					s, err := b.Store.Login(ctx, token, l)
					if errors.Is(err, session.ErrExists) {
						err = errors.Join(err, b.Store.Remove(ctx, l.ID))
					}
					return s, err
				}
			},
		},
		"a login of an anonymous session begins the user's session with its values": {
			"keeps the id":   keepsID,
			"ignores the id": logs(func(l session.Login) session.Login { l.ID = ""; return l }),
			"keeps the token": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, _ session.Login) (session.Session, error) {
					return b.Store.Open(ctx, token)
				}
			},
			"loses the values": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					s, err := b.Store.Login(ctx, token, l)
					if err != nil {
						return nil, err
					}
					return s, session.Clear(ctx, s)
				}
			},
			"binds nobody": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, _ session.Login) (session.Session, error) {
					s, err := b.Store.Rotate(ctx, token, 0)
					if err == nil {
						_, err = b.Store.Open(ctx, session.Token(s))
					}
					return s, err
				}
			},
		},
		"a login of the same user keeps the session": {
			"begins another":     copiesAndDrops(func(context.Context) {}),
			"makes it once more": keepsID,
			"loses the values": entersBy(func(ctx context.Context, b *brokenStore, _ session.Session, token string, l session.Login) (session.Session, error) {
				s, err := b.Store.Login(ctx, token, l)
				if err != nil {
					return nil, err
				}
				return s, session.Clear(ctx, s)
			}),
		},
		"a login ends every older token, without grace": {
			"keeps the old token": keepsOldToken,
		},
		"a login of the same user ends every older token": {
			"keeps the old token": keepsOldToken,
		},
		"requests that began before a login of the same user can write": {
			"begins another":     copiesAndDrops(func(context.Context) {}),
			"makes it once more": keepsID,
		},
		"a login cannot take another user's session": {
			"takes it over": takesOver,
			"begins one with its values": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					s, err := b.Store.Login(ctx, token, l)
					if hers, open := b.Store.Open(ctx, token); errors.Is(err, session.ErrNotFound) && open == nil {
						return b.Store.Login(ctx, "", over(record(ctx, hers), l))
					}
					return s, err
				}
			},
		},
		"of many logins with one token exactly one succeeds": {
			"lets all of one user in": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					s, err := b.Store.Login(ctx, token, l)
					if err == nil {
						b.note(token, s)
					} else if won, ok := b.noted(token).(session.Session); ok {
						return won, nil
					}
					return s, err
				}
			},
			"looks, and then takes": copiesAndDrops(slowly),
			"begins one for each that comes too late": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					s, err := b.Store.Login(ctx, token, l)
					if errors.Is(err, session.ErrNotFound) {
						_, _ = b.Store.Login(ctx, "", l)
					}
					return s, err
				}
			},
		},
		"nothing brings an anonymous session back after its login": {
			"a write does":        resurrects,
			"Refresh does":        revivesOnRefresh,
			"rotation does":       revivesOnRotate,
			"it goes on":          keepsAnonymous,
			"the old token does":  keepsOldToken,
			"its writes go on":    writesOn,
			"its writes are lost": acknowledgesAll,
		},
	}
	maps.Copy(all, brokenRefusals())
	return all
}
