package session_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/sessiontest"
)

// The events of a session come once, in order, and with its user.
func TestEventsOfLife(t *testing.T) {
	play(t, map[string]func(s *scene) string{
		"created": func(s *scene) string {
			s.anonymous(s.alice)
			s.anonymous(s.alice)
			return "created s1 -; created s2 -"
		},
		"login of a visitor without a session": func(s *scene) string {
			s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice"))
			return "login s1 alice"
		},
		"login with a session": func(s *scene) string {
			s.anonymous(s.alice)
			s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice"))
			s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice"))
			return "created s1 -; login s2 alice after s1; login s2 alice"
		},
		"login as somebody else": func(s *scene) string {
			s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice"))
			s.alice.Do(s.T, webtest.LogIn(s.Manager, "bob"))
			return "login s1 alice; removed s1 alice; login s2 bob"
		},
		"reauthenticated": func(s *scene) string {
			s.setting(func() { s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice")) })
			s.alice.Do(s.T, webtest.Reauthenticate(s.Manager))
			return "reauthenticated s1 alice"
		},
		"reauthenticated without a login": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			s.alice.Visit(s.T, func(ctx *mist.Context) {
				if err := webtest.Reauthenticate(s.Manager)(ctx); !errors.Is(err, session.ErrNotFound) {
					s.Errorf("got %v", err)
				}
			})
			return ""
		},
		"rotated": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice); s.bob.Do(s.T, webtest.LogIn(s.Manager, "bob")) })
			s.alice.Do(s.T, s.RotateSession)
			s.bob.Do(s.T, s.RotateSession)
			return "rotated s1 -; rotated s2 bob"
		},
		"rotated when it is time": func(s *scene) string {
			s.RenewAfter = 10 * time.Minute
			s.setting(func() { s.anonymous(s.alice); s.bob.Do(s.T, webtest.LogIn(s.Manager, "bob")) })
			for range 4 {
				time.Sleep(5 * time.Minute)
				s.alice.Do(s.T, s.RefreshSession)
				s.bob.Do(s.T, s.RefreshSession)
			}
			return "rotated s2 bob; rotated s2 bob"
		},
		"refreshed, read and written are none": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			s.alice.Do(s.T, s.RefreshSession)
			s.alice.Do(s.T, func(ctx *mist.Context) error {
				return webtest.Loaded(s.T, s.Manager, ctx).Set(ctx.Request.Context(), "k", "v")
			})
			return ""
		},
		"logout": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice); s.bob.Do(s.T, webtest.LogIn(s.Manager, "bob")) })
			s.alice.Do(s.T, s.RemoveSession)
			s.bob.Do(s.T, s.RemoveSession)
			return "removed s1 -; removed s2 bob"
		},
		"logout, and again": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			s.alice.Visit(s.T, func(ctx *mist.Context) {
				_, _ = s.RemoveSession(ctx), s.RemoveSession(ctx)
			})
			return "removed s1 -"
		},
		"one device is signed out": func(s *scene) string {
			s.setting(func() { s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice")) })
			if err := s.RemoveUserSession(s.Context(), "bob", "s1"); !errors.Is(err, session.ErrNotFound) {
				s.Errorf("of somebody else: got %v", err)
			}
			if err := s.RemoveUserSession(s.Context(), "alice", "s1"); err != nil {
				s.Errorf("got %v", err)
			}
			s.asks(s.alice)
			return "removed s1 alice; unknown s1 - ErrNotFound"
		},
		"revoked": func(s *scene) string {
			s.setting(func() {
				for range 3 {
					s.bob.Do(s.T, webtest.LogIn(s.Manager, "alice"))
					s.bob = &webtest.Browser{}
				}
				s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice"))
			})
			if _, err := s.RemoveUserSessions(s.Context(), "alice", "s2"); err != nil {
				s.Errorf("got %v", err)
			}
			s.asks(s.alice)
			return "revoked - alice 3; unknown s4 - ErrNotFound"
		},
	})
}

// The event of a refused login has the reason. A login that ends other sessions reports
// those first.
func TestEventsOfLogins(t *testing.T) {
	play(t, map[string]func(s *scene) string{
		"one too many": func(s *scene) string {
			s.MaxUserSessions = 1
			s.setting(func() { s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice")) })
			if err := s.logsIn(s.bob, "alice"); !errors.Is(err, session.ErrUserLimit) {
				s.Errorf("got %v", err)
			}
			return "login_refused - alice ErrUserLimit"
		},
		"one too many ends the oldest": func(s *scene) string {
			s.MaxUserSessions, s.EndOldest = 1, true
			s.setting(func() { s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice")) })
			time.Sleep(time.Second)
			s.bob.Do(s.T, webtest.LogIn(s.Manager, "alice"))
			s.asks(s.alice)
			return "removed s1 alice ErrUserLimit; login s2 alice; unknown s1 - ErrNotFound"
		},
		"revoked since the request came": func(s *scene) string {
			s.setting(func() { s.alice.Do(s.T, webtest.LogIn(s.Manager, "alice")) })
			s.bob.Visit(s.T, func(ctx *mist.Context) {
				_, _ = s.GetSession(ctx) // the request is here, and reads its form
				time.Sleep(time.Second)
				if _, err := s.RemoveUserSessions(s.Context(), "alice"); err != nil {
					s.Errorf("RemoveUserSessions: %v", err)
				}
				if _, err := s.Login(ctx, "alice"); !errors.Is(err, session.ErrRevoked) {
					s.Errorf("got %v", err)
				}
			})
			return "revoked - alice 1; login_refused - alice ErrRevoked"
		},
		"a user that can be none is no event": func(s *scene) string {
			if err := s.logsIn(s.alice, ""); !errors.Is(err, session.ErrInvalidUser) {
				s.Errorf("got %v", err)
			}
			if _, err := s.RemoveUserSessions(s.Context(), ""); !errors.Is(err, session.ErrInvalidUser) {
				s.Errorf("got %v", err)
			}
			return ""
		},
	})
}

// A failure of the store causes an event in every flow. No other error does.
func TestEventsOfFailures(t *testing.T) {
	flow := func(op string, call func(s *scene, ctx *mist.Context) error) func(s *scene) string {
		return func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			s.fails(op)
			s.alice.Visit(s.T, func(ctx *mist.Context) {
				if err := call(s, ctx); !errors.Is(err, sessiontest.ErrFault) {
					s.Errorf("got %v, want ErrFault", err)
				}
			})
			return "failed - - ErrFault"
		}
	}
	play(t, map[string]func(s *scene) string{
		"Generate":           flow("Generate", func(s *scene, ctx *mist.Context) error { _, err := s.InitSession(ctx); return err }),
		"Refresh":            flow("Refresh", func(s *scene, ctx *mist.Context) error { return s.RefreshSession(ctx) }),
		"Rotate":             flow("Rotate", func(s *scene, ctx *mist.Context) error { return s.RotateSession(ctx) }),
		"Remove":             flow("Remove", func(s *scene, ctx *mist.Context) error { return s.RemoveSession(ctx) }),
		"Get":                flow("Get", func(s *scene, ctx *mist.Context) error { return s.RemoveUserSession(ctx, "alice", "s1") }),
		"Login":              flow("Login", func(s *scene, ctx *mist.Context) error { return webtest.LogIn(s.Manager, "alice")(ctx) }),
		"UserSessions":       flow("UserSessions", func(s *scene, ctx *mist.Context) error { _, err := s.UserSessions(ctx, "alice"); return err }),
		"RemoveUserSessions": flow("RemoveUserSessions", func(s *scene, ctx *mist.Context) error { _, err := s.RemoveUserSessions(ctx, "alice"); return err }),
		"Login of nobody": func(s *scene) string {
			s.fails("Login")
			if err := s.logsIn(s.alice, "alice"); !errors.Is(err, sessiontest.ErrFault) {
				s.Errorf("got %v, want ErrFault", err)
			}
			return "failed - - ErrFault"
		},
		"a session that ended meanwhile is none": func(s *scene) string {
			s.setting(func() { s.anonymous(s.alice) })
			s.alice.Visit(s.T, func(ctx *mist.Context) {
				_ = s.Store.Remove(ctx.Request.Context(), webtest.Loaded(s.T, s.Manager, ctx).ID())
				if err := s.RefreshSession(ctx); !errors.Is(err, session.ErrNotFound) {
					s.Errorf("got %v", err)
				}
			})
			return ""
		},
	})
}

// Each request with a reused token causes an event until the next login. After it,
// older tokens are unknown and no sign of theft.
func TestEventsOfTokensBeforeLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		var stale *webtest.Browser
		s.setting(func() {
			s.anonymous(s.alice)
			stale = s.alice.Tab()
			s.alice.Rotate(t, s.Manager)
			s.asks(s.alice)
			time.Sleep(time.Minute)
		})
		s.asks(stale)
		s.asks(stale)
		s.alice.Do(t, webtest.LogIn(s.Manager, "alice"))
		s.asks(stale)
		want := "reused s1 - ErrReused; reused s1 - ErrReused; login s2 alice after s1; unknown s1 - ErrNotFound"
		if got := s.take(); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// A value that cannot be kept is the application's mistake, not a failure of the store.
func TestEventsOfLoginValues(t *testing.T) {
	play(t, map[string]func(s *scene) string{
		"a bad value": func(s *scene) string {
			s.alice.Visit(s.T, func(ctx *mist.Context) {
				if _, err := s.LoginWith(ctx, session.Login{User: "alice", Values: map[string]any{"bad": func() {}}}); !errors.Is(err, session.ErrValue) {
					s.Errorf("got %v, want ErrValue", err)
				}
			})
			return ""
		},
		"a store that fails": func(s *scene) string {
			s.fails("Login")
			s.alice.Visit(s.T, func(ctx *mist.Context) {
				if _, err := s.LoginWith(ctx, session.Login{User: "alice", Values: map[string]any{"good": 1}}); !errors.Is(err, sessiontest.ErrFault) {
					s.Errorf("got %v, want ErrFault", err)
				}
			})
			return "failed - - ErrFault"
		},
	})
}
