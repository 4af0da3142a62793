package sessiontest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// logs breaks Login: the store gets what with makes of it.
func logs(with func(l session.Login) session.Login) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
			return b.Store.Login(ctx, token, with(l))
		}
	}
}

// listsWrongly breaks UserSessions.
func listsWrongly(with func(ctx context.Context, b *brokenStore, user string, infos []session.Info) []session.Info) defect {
	return func(_ *testing.T, b *brokenStore) {
		b.list = func(ctx context.Context, user string) ([]session.Info, error) {
			infos, err := b.Store.UserSessions(ctx, user)
			if err != nil {
				return nil, err
			}
			return with(ctx, b, user, infos), nil
		}
	}
}

// forgetsSome misses a session of a user who has several.
func forgetsSome(_ *testing.T, b *brokenStore) {
	b.revoke = func(ctx context.Context, user string, except ...string) (int, error) {
		infos, err := b.Store.UserSessions(ctx, user)
		if err != nil || len(infos) < 2 {
			return b.Store.RemoveUserSessions(ctx, user, except...)
		}
		return b.Store.RemoveUserSessions(ctx, user, append(except, infos[0].ID)...)
	}
}

// revokesOnly ends what there is, and lets in who began before.
func revokesOnly(_ *testing.T, b *brokenStore) {
	b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		l.Began = time.Time{}
		return b.Store.Login(ctx, token, l)
	}
}

func brokenUsers() map[string]map[string]defect {
	return map[string]map[string]defect{
		"no stored value sets the user": {
			"believes a value": func(_ *testing.T, b *brokenStore) {
				b.onSession = func(s *brokenSession) {
					s.infoHook = func() session.Info {
						info, _ := session.Describe(s.Session)
						if user, _ := s.Session.Get(context.Background(), "user"); user != nil { //nolint:usetesting // there is no test at hand
							info.User, _ = user.(string)
						}
						return info
					}
				}
			},
		},
		"a user name with special characters reaches no other user": {
			"cuts at a colon":  logs(func(l session.Login) session.Login { l.User, _, _ = strings.Cut(l.User, ":"); return l }),
			"ignores case":     logs(func(l session.Login) session.Login { l.User = strings.ToLower(l.User); return l }),
			"cuts after a NUL": logs(func(l session.Login) session.Login { l.User = strings.TrimRight(l.User, "\x00") + "."; return l }),
		},
		"an invalid login is refused and changes nothing": {
			"takes any user": logs(func(l session.Login) session.Login {
				if l.Check() != nil {
					l = session.Login{User: "ada"}
				}
				return l
			}),
			"takes any id": logs(func(l session.Login) session.Login {
				if errors.Is(l.Check(), session.ErrInvalidID) {
					l.ID = ""
				}
				return l
			}),
			"begins a session if there is none": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					s, err := b.Store.Login(ctx, token, l)
					if errors.Is(err, session.ErrNotFound) {
						return b.Store.Login(ctx, "", l)
					}
					return s, err
				}
			},
			"takes any timeout": logs(func(l session.Login) session.Login { l.IdleTimeout, l.AbsoluteTimeout = 0, 0; return l }),
		},
		"Reauthentication keeps the session and its settings": {
			"is a login": logs(func(l session.Login) session.Login { l.Reauthentication = false; return l }),
			"is none": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					if l.Reauthentication {
						return b.Store.Rotate(ctx, token, 0)
					}
					return b.Store.Login(ctx, token, l)
				}
			},
			"never lowers the level": logs(func(l session.Login) session.Login { l.Level = max(l.Level, 2); return l }),
		},
		"Reauthentication with another user's session is refused": {
			"logs in": logs(func(l session.Login) session.Login { l.Reauthentication = false; return l }),
		},
		"UserSessions lists the live sessions, the last seen first": {
			"the other way round": listsWrongly(func(_ context.Context, _ *brokenStore, _ string, infos []session.Info) []session.Info {
				slices.Reverse(infos)
				return infos
			}),
			"with one that ended": listsWrongly(func(_ context.Context, b *brokenStore, user string, infos []session.Info) []session.Info {
				if before, _ := b.note("list "+user, infos).([]session.Info); len(before) > 0 {
					return append(infos, before[0])
				}
				return infos
			}),
			"without the last": listsWrongly(func(_ context.Context, _ *brokenStore, _ string, infos []session.Info) []session.Info {
				return infos[:max(0, len(infos)-1)]
			}),
		},
		"Describe reports the login": {
			"another level":  logs(func(l session.Login) session.Login { l.Level = 1; return l }),
			"not persistent": logs(func(l session.Login) session.Login { l.Persistent = false; return l }),
		},
		"Describe reports the device of the login": {
			"no browser": logs(func(l session.Login) session.Login { l.UserAgent = ""; return l }),
			"no address": logs(func(l session.Login) session.Login { l.Address = ""; return l }),
		},
		"an old token after its grace is reported as reused": {
			"does not know it": opens(func(context.Context, *brokenStore, string) (session.Session, error) { return nil, session.ErrNotFound }),
		},
		"RemoveUserSessions ends all sessions of a user, and no other": {
			"all but one": forgetsSome,
			"nothing": func(_ *testing.T, b *brokenStore) {
				b.revoke = func(context.Context, string, ...string) (int, error) { return 2, nil }
			},
			"those in except": func(_ *testing.T, b *brokenStore) {
				b.revoke = func(ctx context.Context, user string, _ ...string) (int, error) {
					return b.Store.RemoveUserSessions(ctx, user)
				}
			},
		},
		"Remove ends the session of a user, and nothing brings it back": {
			"a write does":  resurrects,
			"Refresh does":  revivesOnRefresh,
			"rotation does": revivesOnRotate,
			"it removes no one": func(_ *testing.T, b *brokenStore) {
				b.remove = func(context.Context, string) error { return nil }
			},
		},
		"nothing brings a session back after RemoveUserSessions": {
			"a write does":  resurrects,
			"Refresh does":  revivesOnRefresh,
			"rotation does": revivesOnRotate,
			"it removes no one": func(_ *testing.T, b *brokenStore) {
				b.revoke = func(context.Context, string, ...string) (int, error) { return 0, nil }
			},
		},
		"a login whose check began before a revocation is refused": {"lets it in": revokesOnly},
		"RemoveUserSessions wins against logins in progress": {
			"lets them in": revokesOnly,
		},
		"a limit refuses a login beyond it": {
			"knows no limit": logs(func(l session.Login) session.Login { l.MaxSessions = 0; return l }),
			"one more":       logs(func(l session.Login) session.Login { l.MaxSessions++; return l }),
			"one fewer":      logs(func(l session.Login) session.Login { l.MaxSessions--; return l }),
			"ends another":   logs(func(l session.Login) session.Login { l.EndOldest = true; return l }),
		},
		"EndOldest ends the session that logged in first": {
			"refuses":        logs(func(l session.Login) session.Login { l.EndOldest = false; return l }),
			"knows no limit": logs(func(l session.Login) session.Login { l.MaxSessions = 0; return l }),
			"tells nobody":   logs(func(l session.Login) session.Login { l.Ended = nil; return l }),
		},
		"concurrent logins leave as many sessions as the limit allows": {
			"one more": logs(func(l session.Login) session.Login { l.MaxSessions++; return l }),
			"looks before it logs in": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					infos, err := b.Store.UserSessions(ctx, l.User)
					if err != nil {
						return nil, err
					}
					if len(infos) >= l.MaxSessions && !l.EndOldest {
						return nil, session.ErrUserLimit
					}
					time.Sleep(time.Millisecond)
					l.MaxSessions = 0
					return b.Store.Login(ctx, token, l)
				}
			},
		},
		"ended sessions do not count for a limit": {
			"they do": func(_ *testing.T, b *brokenStore) {
				b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
					if before, _ := b.note(l.User, true).(bool); before {
						return nil, session.ErrUserLimit
					}
					return b.Store.Login(ctx, token, l)
				}
			},
		},
		"a login restarts both timeouts": {
			"keeps the deadline": func(_ *testing.T, b *brokenStore) {
				b.Store = &memory.Store{IdleTimeout: testIdle * 9 / 10, AbsoluteTimeout: testAbsolute}
			},
		},
		"a session keeps the timeouts of its login": {
			"gives it the store's": logs(func(l session.Login) session.Login { l.IdleTimeout, l.AbsoluteTimeout = 0, 0; return l }),
			"a millisecond more":   logs(func(l session.Login) session.Login { l.IdleTimeout += time.Millisecond; return l }),
			"Refresh forgets them": func(_ *testing.T, b *brokenStore) {
				b.refresh = func(ctx context.Context, id string) error { return ctx.Err() }
			},
		},
	}
}
