package sessiontest

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/dormoron/mist"
	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

// A wreck is what the Explorer has to find in one of the bursts: a store, or a
// Manager, that is broken in one way.
type wreck struct {
	burst string // that shows it
	finds string // part of what the Explorer says
	store defect
	flows map[string]flow
}

func wrecks() map[string]wreck {
	all := brokenWrites()
	maps.Copy(all, brokenTokens())
	maps.Copy(all, brokenAccounts())
	maps.Copy(all, brokenManagers())
	maps.Copy(all, brokenAnswers())
	maps.Copy(all, brokenBindings())
	return all
}

func brokenWrites() map[string]wreck {
	return map[string]wreck{
		"a write stores the whole record":   {burst: "write write", finds: "an acknowledged write is lost", store: wholeRecord},
		"a write brings back what is gone":  {burst: "write logout", finds: "Set after a session had ended by Remove", store: resurrects},
		"a write brings back what expired":  {burst: "write expire", finds: "Set after a session had ended by its idle timeout", store: resurrects},
		"Refresh brings back what is gone":  {burst: "logout refresh", finds: "Refresh after a session had ended", store: revivesOnRefresh},
		"rotation brings back what is gone": {burst: "logout rotate", finds: "Rotate after a session had ended", store: revivesOnRotate},
		"Update reads, and then writes": {burst: "update update", finds: "a counter after 2 acknowledged updates: got int(1)", store: sessions(func(s *brokenSession) {
			s.updateHook = func(ctx context.Context, key string, f func(any) (any, error)) error {
				stored, err := s.stored(ctx)
				if err != nil {
					return err
				}
				old, err := stored.Get(ctx, key)
				if err != nil {
					return err
				}
				value, err := f(old)
				if err != nil {
					return err
				}
				return s.Session.Set(ctx, key, value)
			}
		})},
		"a cache knows what is gone": {burst: "write logout", finds: "Open worked on a session that had ended", store: func(_ *testing.T, b *brokenStore) {
			b.open = func(ctx context.Context, token string) (session.Session, error) {
				if cached, ok := b.noted(token).(session.Session); ok {
					return cached, nil
				}
				s, err := b.Store.Open(ctx, token)
				if err == nil {
					b.note(token, s)
				}
				return s, err
			}
		}},
		"Remove clears the cookie only": {burst: "logout", finds: "a session lives that had ended by Remove", store: func(_ *testing.T, b *brokenStore) {
			b.remove = func(ctx context.Context, _ string) error { return ctx.Err() }
		}},
		"the session of the last visitor": {burst: "write write2", finds: "browser was given the session of another browser", store: func(_ *testing.T, b *brokenStore) {
			b.open = func(ctx context.Context, token string) (session.Session, error) {
				s, err := b.Store.Open(ctx, token)
				if last, ok := b.note("last", s).(session.Session); ok && err == nil {
					return last, nil
				}
				return s, err
			}
		}},
	}
}

func brokenTokens() map[string]wreck {
	return map[string]wreck{
		"rotation for each who asks": {burst: "rotate rotate", finds: "got 2 new tokens for 1 old", store: rotatesAlways},
		"rotation copies the record": {burst: "write rotate", finds: "an acknowledged write is lost", store: func(_ *testing.T, b *brokenStore) {
			b.rotate = func(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
				Step(ctx)
				s, err := b.Store.Rotate(ctx, token, grace)
				if err != nil {
					return nil, err
				}
				copied := record(ctx, s)
				Step(ctx)
				return s, errors.Join(session.Clear(ctx, s), session.SetAll(ctx, s, copied))
			}
		}},
		"rotation makes a session and removes the old one": {burst: "write rotate", finds: "Set found no session, but nothing had ended it", store: func(_ *testing.T, b *brokenStore) {
			b.rotate = func(ctx context.Context, token string, _ time.Duration) (session.Session, error) {
				old, err := b.Store.Open(ctx, token)
				if err != nil {
					return nil, err
				}
				s, err := b.Store.Generate(ctx, uuid.NewString())
				if err != nil {
					return nil, err
				}
				return s, errors.Join(session.SetAll(ctx, s, record(ctx, old)), b.Store.Remove(ctx, old.ID()))
			}
		}},
		"rotation believes that the response arrived": {
			burst: "lose", finds: "lost its session",
			store: rotatesWith(func(time.Duration) time.Duration { return 0 }, true),
		},
		"a refresh gives away the token that it was sent": {burst: "in: login refresh", finds: "lost its session", flows: map[string]flow{
			"refresh": func(v *visit, ctx *mist.Context) error {
				if err := v.load(ctx); err != nil {
					return err
				}
				if err := v.manager.Store.Refresh(ctx.Request.Context(), v.loaded.ID()); err != nil {
					return err
				}
				return v.manager.Propagator.Inject(v.sent, ctx.ResponseWriter)
			},
		}},
	}
}

func brokenManagers() map[string]wreck {
	return map[string]wreck{
		"who finds no session is told to forget the cookie": {burst: "write login", finds: "lost its session", flows: map[string]flow{
			"write": func(v *visit, ctx *mist.Context) error {
				err := write(v, ctx)
				if errors.Is(err, session.ErrNotFound) {
					return errors.Join(err, v.manager.Propagator.Remove(ctx.ResponseWriter))
				}
				return err
			},
		}},
		"who finds no session is given another one": {burst: "write login", finds: "browser is logged in as", flows: map[string]flow{
			"write": func(v *visit, ctx *mist.Context) error {
				err := write(v, ctx)
				if errors.Is(err, session.ErrNotFound) {
					_, err = v.manager.InitSession(ctx)
				}
				return err
			},
		}},
		"a logout clears the cookie only": {burst: "logout", finds: "a session lives that had ended by 1.logout", flows: map[string]flow{
			kindLogout: func(v *visit, ctx *mist.Context) error {
				if err := v.load(ctx); err != nil {
					return err
				}
				return v.manager.Propagator.Remove(ctx.ResponseWriter)
			},
		}},
		"a login is a value": {burst: "login", finds: "Login returned the old token", flows: map[string]flow{
			kindLogin: func(v *visit, ctx *mist.Context) error {
				if err := v.load(ctx); err != nil {
					return err
				}
				v.got = v.loaded
				return v.loaded.Set(ctx.Request.Context(), "user", v.user("ann"))
			},
		}},
	}
}

// brokenAnswers are simple, one for each of the Explorer's remaining questions.
func brokenAnswers() map[string]wreck {
	return map[string]wreck{
		"a write fails in its own way": {burst: "write", finds: "Set: got the error \"sessiontest: fault\"", store: sessions(func(s *brokenSession) {
			s.setHook = func(ctx context.Context, key string, value any) error {
				if key != marker {
					return ErrFault
				}
				return s.Session.Set(ctx, key, value)
			}
		})},
		"a write is refused, and stored": {burst: "write", finds: "a refused write is there", store: sessions(func(s *brokenSession) {
			s.setHook = func(ctx context.Context, key string, value any) error {
				err := s.Session.Set(ctx, key, value)
				if err == nil && key != marker {
					err = session.ErrNotFound
				}
				return err
			}
		})},
		"a login finds a revocation where there is none": {burst: "login login", finds: "but nobody had revoked", store: func(_ *testing.T, b *brokenStore) {
			b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
				s, err := b.Store.Login(ctx, token, l)
				if errors.Is(err, session.ErrNotFound) {
					err = session.ErrRevoked
				}
				return s, err
			}
		}},
		"rotation keeps the token": {burst: "rotate", finds: "Rotate returned the token that it was given", store: func(_ *testing.T, b *brokenStore) {
			b.rotate = func(ctx context.Context, token string, _ time.Duration) (session.Session, error) {
				return b.Store.Open(ctx, token)
			}
		}},
		"rotation ends the grace of all old tokens": {
			burst: "rotate lose", finds: "gave away no longer opens its session",
			store: rotatesWith(func(time.Duration) time.Duration { return 0 }, false),
		},
		"a second login keeps the old token": {burst: "in: login", finds: "a token from before a login", store: keepsOldToken},
		"an id is a token": {
			burst: "write", finds: "that was never given away",
			store: opens(func(ctx context.Context, b *brokenStore, token string) (session.Session, error) {
				return b.Store.Get(ctx, idOf(token))
			}),
		},
		"a value makes a user": {burst: "write", finds: "nobody logged in with it", store: sessions(func(s *brokenSession) {
			s.infoHook = func() session.Info {
				info, _ := session.Describe(s.Session)
				if v, _ := s.Session.Get(context.Background(), "1.write"); v != nil {
					info.User = "ann"
				}
				return info
			}
		})},
		"a login of another takes the values along": {
			burst: "in: login-other", finds: "was written to another one",
			flows: map[string]flow{kindOther: func(v *visit, ctx *mist.Context) error {
				err := loginAs("bob")(v, ctx)
				if err == nil {
					err = session.SetAll(ctx.Request.Context(), v.got, record(ctx.Request.Context(), v.loaded))
				}
				return err
			}},
		},
		"a list is not all": {
			burst: "login login2", finds: "UserSessions: got 1",
			store: listsWrongly(func(_ context.Context, _ *brokenStore, _ string, infos []session.Info) []session.Info {
				return infos[:min(1, len(infos))]
			}),
		},
		"a list is somebody else's": {
			burst: "login", finds: "lists a session that is not the user's",
			store: listsWrongly(func(_ context.Context, _ *brokenStore, _ string, infos []session.Info) []session.Info {
				for i := range infos {
					infos[i].ID = uuid.NewString()
				}
				return infos
			}),
		},
		"a revocation does not count": {burst: "login", finds: "RemoveUserSessions: got 0", store: func(_ *testing.T, b *brokenStore) {
			b.revoke = func(ctx context.Context, user string, _ ...string) (int, error) {
				_, err := b.Store.RemoveUserSessions(ctx, user)
				return 0, err
			}
		}},
		"a write ends the session": {burst: "write", finds: "is gone, but nothing had ended it", store: sessions(func(s *brokenSession) {
			s.setHook = func(ctx context.Context, key string, value any) error {
				err := s.Session.Set(ctx, key, value)
				if key != marker {
					err = s.store.Store.Remove(ctx, s.ID())
				}
				return err
			}
		})},
		"a value cannot be read": {burst: "write", finds: "Get of a value: got the error", store: sessions(func(s *brokenSession) {
			s.getHook = func(ctx context.Context, key string) (any, error) {
				if key != marker {
					return nil, ErrFault
				}
				return s.Session.Get(ctx, key)
			}
		})},
		"Get fails": {burst: "write", finds: "afterwards: Get: got the error", store: func(_ *testing.T, b *brokenStore) {
			b.get = func(context.Context, string) (session.Session, error) { return nil, ErrFault }
		}},
		"Remove fails": {burst: "write", finds: "afterwards: Remove: got the error", store: func(_ *testing.T, b *brokenStore) {
			b.remove = func(context.Context, string) error { return ErrFault }
		}},
		"Generate fails": {burst: "write", finds: "before the burst", store: func(_ *testing.T, b *brokenStore) {
			b.generate = func(context.Context, string) (session.Session, error) { return nil, ErrFault }
		}},
		"Open fails at the second time": {burst: "write", finds: "the next request of the first", store: func(_ *testing.T, b *brokenStore) {
			b.open = func(ctx context.Context, token string) (session.Session, error) {
				if b.note(token, true) != nil {
					return nil, ErrFault
				}
				return b.Store.Open(ctx, token)
			}
		}},
	}
}
