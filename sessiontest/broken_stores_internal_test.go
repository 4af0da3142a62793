package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

// A defect breaks a store in one way.
type defect = func(t *testing.T, b *brokenStore)

// brokenByRule returns, for every rule, the stores that break it: their defects by name.
func brokenByRule() map[string]map[string]defect {
	all := make(map[string]map[string]defect)
	for _, part := range []map[string]map[string]defect{brokenStores(), brokenRotation(), brokenSessions(), brokenUsers(), brokenLogins(), brokenDevices(), brokenSizes()} {
		for rule, defects := range part {
			if all[rule] == nil {
				all[rule] = make(map[string]defect)
			}
			maps.Copy(all[rule], defects)
		}
	}
	return all
}

// revive makes a session again where there is none.
func revive(ctx context.Context, b *brokenStore, id string, err error) error {
	if errors.Is(err, session.ErrNotFound) {
		_, err = b.Store.Generate(ctx, id)
	}
	return err
}

func revivesOnRefresh(_ *testing.T, b *brokenStore) {
	b.refresh = func(ctx context.Context, id string) error { return revive(ctx, b, id, b.Store.Refresh(ctx, id)) }
}

func revivesOnRotate(_ *testing.T, b *brokenStore) {
	b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
		s, err := b.Store.Rotate(ctx, token, grace)
		if errors.Is(err, session.ErrNotFound) {
			return b.Store.Generate(ctx, uuid.NewString())
		}
		return s, err
	}
}

// opens breaks Open for what the good store does not know.
func opens(otherwise func(ctx context.Context, b *brokenStore, token string) (session.Session, error)) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.open = func(ctx context.Context, token string) (session.Session, error) {
			s, err := b.Store.Open(ctx, token)
			if errors.Is(err, session.ErrNotFound) {
				return otherwise(ctx, b, token)
			}
			return s, err
		}
	}
}

func brokenStores() map[string]map[string]defect {
	return map[string]map[string]defect{
		"concurrent sessions do not mix": {
			"hands the last visitor's session to the next": func(_ *testing.T, b *brokenStore) {
				b.open = func(ctx context.Context, token string) (session.Session, error) {
					s, err := b.Store.Open(ctx, token)
					if last, ok := b.note("last", s).(session.Session); ok && err == nil {
						return last, nil
					}
					return s, err
				}
			},
		},
		"the secret of one session opens no other": {
			"looks at the id only": opens(func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
				id, _, _ := strings.Cut(token, ".")
				return b.Store.Get(ctx, id)
			}),
		},
		"every character of a secret counts": {
			"compares all but the last": func(_ *testing.T, b *brokenStore) {
				b.open = func(ctx context.Context, token string) (session.Session, error) {
					if s, err := b.Store.Open(ctx, token); err == nil {
						b.note(token[:len(token)-1], token)
						return s, nil
					}
					known, _ := b.noted(token[:len(token)-1]).(string)
					return b.Store.Open(ctx, known)
				}
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					s, err := b.Store.Generate(ctx, id)
					if err == nil {
						token := session.Token(s)
						b.note(token[:len(token)-1], token)
					}
					return s, err
				}
			},
		},
		"an id alone opens nothing": {
			"takes an id for a token": opens(func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
				return b.Store.Get(ctx, token)
			}),
		},
		"Remove ends the session": {
			"removes nothing": func(_ *testing.T, b *brokenStore) {
				b.remove = func(context.Context, string) error { return nil }
			},
			"removes the cookie only": func(_ *testing.T, b *brokenStore) {
				b.remove = func(ctx context.Context, id string) error {
					b.note(id, true)
					return ctx.Err()
				}
				b.open = func(ctx context.Context, token string) (session.Session, error) {
					id, _, _ := strings.Cut(token, ".")
					if b.noted(id) != nil {
						return nil, session.ErrNotFound
					}
					return b.Store.Open(ctx, token)
				}
			},
		},
		"Remove may be repeated, and Remove of an unknown id is no error": {
			"reports what is not there": func(_ *testing.T, b *brokenStore) {
				b.remove = func(ctx context.Context, id string) error {
					if _, err := b.Store.Get(ctx, id); err != nil {
						return err
					}
					return b.Store.Remove(ctx, id)
				}
			},
		},
		"no Refresh after Remove":  {"revives": revivesOnRefresh},
		"no Refresh after expiry":  {"revives": revivesOnRefresh},
		"no rotation after Remove": {"revives": revivesOnRotate},
		"no rotation after expiry": {"revives": revivesOnRotate},
		"Remove kills every token of the session": {
			"remembers who was opened by a new token": func(_ *testing.T, b *brokenStore) {
				b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
					s, err := b.Store.Rotate(ctx, token, grace)
					if err == nil {
						b.note(session.Token(s), s)
					}
					return s, err
				}
				b.open = func(ctx context.Context, token string) (session.Session, error) {
					if s, ok := b.noted(token).(session.Session); ok {
						return s, nil
					}
					return b.Store.Open(ctx, token)
				}
			},
		},
		"Remove wins against concurrent writes, refreshes and rotations": {
			"refreshes what it had seen": revivesOnRefresh,
		},
		"Refresh writes nothing": {
			"empties the session": func(_ *testing.T, b *brokenStore) {
				b.refresh = func(ctx context.Context, id string) error {
					s, err := b.Store.Get(ctx, id)
					if err != nil {
						return err
					}
					return errors.Join(session.Clear(ctx, s), b.Store.Refresh(ctx, id))
				}
			},
		},
		"after expiry an id can be used again, without its old data": {
			"finds the old data": func(_ *testing.T, b *brokenStore) {
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					s, err := b.Store.Generate(ctx, id)
					if old, ok := b.note(id, s).(session.Session); ok && err == nil {
						err = session.SetAll(ctx, s, record(ctx, old))
					}
					return s, err
				}
			},
			"does not give it back": func(_ *testing.T, b *brokenStore) {
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					if b.note(id, true) != nil {
						return nil, session.ErrExists
					}
					return b.Store.Generate(ctx, id)
				}
			},
		},
		"Generate leaves a live session alone": {
			"takes it over": func(_ *testing.T, b *brokenStore) {
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					if s, err := b.Store.Get(ctx, id); err == nil {
						return s, nil
					}
					return b.Store.Generate(ctx, id)
				}
			},
			"overwrites it": func(_ *testing.T, b *brokenStore) {
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					if err := b.Store.Remove(ctx, id); err != nil {
						return nil, err
					}
					return b.Store.Generate(ctx, id)
				}
			},
		},
		"of many calls of Generate with one id exactly one succeeds": {
			"looks first, then makes": func(_ *testing.T, b *brokenStore) {
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					if _, err := b.Store.Get(ctx, id); err == nil {
						return nil, session.ErrExists
					}
					time.Sleep(time.Millisecond)
					if err := b.Store.Remove(ctx, id); err != nil {
						return nil, err
					}
					return b.Store.Generate(ctx, id)
				}
			},
		},
		"only a session that was made or opened with a token has it": {
			"keeps the secret": func(_ *testing.T, b *brokenStore) {
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					s, err := b.Store.Generate(ctx, id)
					b.note(id, s)
					return s, err
				}
				b.get = func(_ context.Context, id string) (session.Session, error) {
					s, _ := b.noted(id).(session.Session)
					return s, nil
				}
			},
			"forgets it": func(_ *testing.T, b *brokenStore) {
				b.onSession = func(s *brokenSession) { s.tokenHook = func() string { return "" } }
			},
		},
		"a call with an unknown id creates no session": {
			"makes it on Get": func(_ *testing.T, b *brokenStore) {
				b.get = func(ctx context.Context, id string) (session.Session, error) {
					s, err := b.Store.Get(ctx, id)
					if err != nil && ctx.Err() == nil {
						return b.Store.Generate(ctx, id)
					}
					return s, err
				}
			},
			"makes it on Refresh": revivesOnRefresh,
		},
		"a token that the store did not issue names nothing": {
			"adopts it": opens(func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
				id, _, _ := strings.Cut(token, ".")
				return b.Store.Generate(ctx, id)
			}),
			"rotates it": revivesOnRotate,
		},
		"an id with special characters is refused or reaches no other session": {
			"matches a pattern": func(_ *testing.T, b *brokenStore) {
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					s, err := b.Store.Generate(ctx, id)
					if err == nil {
						b.note("any", id)
					}
					return s, err
				}
				b.remove = func(ctx context.Context, id string) error {
					if known, ok := b.noted("any").(string); ok && id == "*" {
						id = known
					}
					return b.Store.Remove(ctx, id)
				}
			},
			"has an error of its own": func(_ *testing.T, b *brokenStore) {
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					s, err := b.Store.Generate(ctx, id)
					if errors.Is(err, session.ErrInvalidID) {
						err = errors.New("bad key")
					}
					return s, err
				}
			},
		},
		"unknown, malformed, expired and removed look the same": {
			"tells who was there": func(_ *testing.T, b *brokenStore) {
				b.remove = func(ctx context.Context, id string) error {
					b.note(id, true)
					return b.Store.Remove(ctx, id)
				}
				b.get = func(ctx context.Context, id string) (session.Session, error) {
					s, err := b.Store.Get(ctx, id)
					if err != nil && b.noted(id) != nil {
						err = fmt.Errorf("%w: removed", err)
					}
					return s, err
				}
			},
			"has another error for malformed tokens": opens(func(_ context.Context, _ *brokenStore, token string) (session.Session, error) {
				if strings.Contains(token, ".") {
					return nil, session.ErrNotFound
				}
				return nil, session.ErrInvalidID
			}),
		},
		"an ended context is not reported as ErrNotFound": {
			"does not look at the context": func(_ *testing.T, b *brokenStore) {
				b.refresh = func(ctx context.Context, id string) error {
					return b.Store.Refresh(context.WithoutCancel(ctx), id)
				}
			},
			"calls it not found": func(_ *testing.T, b *brokenStore) {
				b.open = func(ctx context.Context, token string) (session.Session, error) {
					s, err := b.Store.Open(ctx, token)
					if err != nil {
						return nil, session.ErrNotFound
					}
					return s, nil
				}
			},
			"removes all the same": func(_ *testing.T, b *brokenStore) {
				b.remove = func(ctx context.Context, id string) error {
					return errors.Join(b.Store.Remove(context.WithoutCancel(ctx), id), ctx.Err())
				}
			},
		},
		"hostile tokens are not found": {
			"trims them": opens(func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
				return b.Store.Open(ctx, strings.TrimSpace(token))
			}),
			"has an error of its own": opens(func(context.Context, *brokenStore, string) (session.Session, error) {
				return nil, errors.New("bad token")
			}),
		},
		"no error holds a token, an id or a value": {
			"names the id": func(_ *testing.T, b *brokenStore) {
				b.refresh = func(ctx context.Context, id string) error {
					if err := b.Store.Refresh(ctx, id); err != nil {
						return fmt.Errorf("refresh of %s: %w", id, err)
					}
					return nil
				}
			},
			"names the id that somebody has": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					s, err := b.Store.Login(ctx, token, l)
					if errors.Is(err, session.ErrExists) {
						err = fmt.Errorf("login as %s: %w", l.ID, err)
					}
					return s, err
				}
			},
			"names the token": func(_ *testing.T, b *brokenStore) {
				b.open = func(ctx context.Context, token string) (session.Session, error) {
					s, err := b.Store.Open(ctx, token)
					if err != nil {
						err = fmt.Errorf("open %s: %w", token, err)
					}
					return s, err
				}
			},
		},
		"no goroutine outlives a call": {
			"has a janitor": func(t *testing.T, b *brokenStore) {
				stop := make(chan struct{})
				t.Cleanup(func() { close(stop) })
				b.generate = func(ctx context.Context, id string) (session.Session, error) {
					if b.note("janitor", true) == nil {
						go func() { <-stop }()
					}
					return b.Store.Generate(ctx, id)
				}
			},
		},
	}
}
