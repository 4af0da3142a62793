package session_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"
	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

func TestManagerInitSession(t *testing.T) {
	t.Run("generates, then injects", func(t *testing.T) {
		m, rec := webtest.Spied()
		b := &webtest.Browser{}
		header := b.Visit(t, func(ctx *mist.Context) {
			s, err := m.InitSession(ctx)
			if err != nil {
				t.Fatalf("InitSession: %v", err)
			}
			if u, err := uuid.Parse(s.ID()); err != nil || u.Version() != 4 {
				t.Errorf("id is not a UUIDv4: %v", err)
			}
			if got, want := len(ctx.ResponseWriter.Header()["Set-Cookie"]), 1; got != want {
				t.Errorf("got %d Set-Cookie when InitSession returned, want %d", got, want)
			}
			again, err := m.GetSession(ctx)
			if err != nil || again != s {
				t.Errorf("GetSession gave another session (%v)", err)
			}
			cached, ok := ctx.UserValues["session"].(session.Session)
			if !ok || cached.ID() != s.ID() {
				t.Error("the session is not under CtxSessionKey")
			}
			if session.Token(s) == s.ID() {
				t.Error("the token is the id")
			}
		})
		if got, want := rec.Take(), "Generate inject"; got != want {
			t.Errorf("got calls %q, want %q", got, want)
		}
		if got, want := webtest.SetCookies(header), []string{webtest.SetLine}; !slices.Equal(got, want) {
			t.Errorf("got Set-Cookie %q, want %q", got, want)
		}
		if _, err := b.Name(t, m); err != nil {
			t.Errorf("the cookie opens nothing: %v", err)
		}
	})

	t.Run("the client carries the token, and of a plain store the id", func(t *testing.T) {
		for name, setup := range map[string]func() (*session.Manager, *webtest.Recorder){"token": webtest.Spied, "plain": webtest.SpiedPlain} {
			m, _ := setup()
			b := &webtest.Browser{}
			b.Visit(t, func(ctx *mist.Context) {
				s, err := m.InitSession(ctx)
				if err != nil {
					t.Fatalf("%s: InitSession: %v", name, err)
				}
				line := ctx.ResponseWriter.Header().Get("Set-Cookie")
				c, err := http.ParseSetCookie(line)
				if err != nil || c.Value != session.Token(s) {
					t.Errorf("%s: the cookie is not what the client is to carry (%v)", name, err)
				}
				if got, want := session.Token(s) == s.ID(), name == "plain"; got != want {
					t.Errorf("%s: token is id: got %t, want %t", name, got, want)
				}
			})
		}
	})

	t.Run("NewID makes the id", func(t *testing.T) {
		m, _ := webtest.Spied()
		m.NewID = func() string { return "my-id" }
		(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
			if s, err := m.InitSession(ctx); err != nil || s.ID() != "my-id" {
				t.Errorf("got another id (%v)", err)
			}
		})
	})

	t.Run("is always new", func(t *testing.T) {
		m, rec := webtest.Spied()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		planted := b.Tab()
		var old, now session.Session
		b.Visit(t, func(ctx *mist.Context) {
			var err error
			if old, err = m.GetSession(ctx); err != nil {
				t.Fatalf("GetSession: %v", err)
			}
			rec.Take()
			if now, err = m.InitSession(ctx); err != nil {
				t.Fatalf("InitSession: %v", err)
			}
			if got, err := m.GetSession(ctx); got != now {
				t.Errorf("GetSession does not give the new session (%v)", err)
			}
			if v, err := now.Get(ctx.Request.Context(), "name"); v != nil || err != nil {
				t.Errorf("the new session has values of the old one (%v)", err)
			}
		})
		if got, want := rec.Take(), "Generate inject"; got != want {
			t.Errorf("got calls %q, want %q", got, want)
		}
		if old.ID() == now.ID() {
			t.Error("the old id was adopted")
		}
		if name, err := planted.Name(t, m); err != nil || name != "alice" {
			t.Errorf("the old session: got %q, %v, want it untouched", name, err)
		}
	})

	t.Run("an unknown identifier is not adopted", func(t *testing.T) {
		for name, setup := range map[string]func() (*session.Manager, *webtest.Recorder){"token": webtest.Spied, "plain": webtest.SpiedPlain} {
			m, _ := setup()
			const id, secret = "planted-id", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			for _, carried := range []string{id, id + "." + secret} {
				b := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: carried}}
				planted := b.Tab()
				b.Visit(t, func(ctx *mist.Context) {
					if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
						t.Errorf("%s: GetSession: got %v, want ErrNotFound", name, err)
					}
					if s, err := m.InitSession(ctx); err != nil || s.ID() == id || session.Token(s) == carried {
						t.Errorf("%s: InitSession adopted it, or failed: %v", name, err)
					}
				})
				if _, err := planted.Name(t, m); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: the planted identifier: got %v, want ErrNotFound", name, err)
				}
			}
		}
	})
}

func TestManagerInitSessionIDs(t *testing.T) {
	tests := []struct {
		name  string
		ids   []string // what NewID gives; "taken" is in the store
		err   error
		calls string
		asked int
	}{
		{"free at once", []string{"a"}, nil, "Generate inject", 1},
		{"taken once", []string{"taken", "a"}, nil, "Generate Generate inject", 2},
		{"taken three times", []string{"taken", "taken", "taken", "a"}, nil, "Generate Generate Generate Generate inject", 4},
		{"taken four times", []string{"taken", "taken", "taken", "taken"}, session.ErrExists, "Generate Generate Generate Generate", 4},
		{"empty", []string{""}, session.ErrInvalidID, "", 1},
		{"unfit for a cookie", []string{"a;b"}, session.ErrInvalidID, "", 1},
		{"with a space", []string{"a b"}, session.ErrInvalidID, "", 1},
		{"with a newline", []string{"a\r\nb"}, session.ErrInvalidID, "", 1},
		{"not ASCII", []string{"é"}, session.ErrInvalidID, "", 1},
		{"taken, then unfit", []string{"taken", "\x00"}, session.ErrInvalidID, "Generate", 2},
		{"far too long", []string{strings.Repeat("a", 1<<20)}, session.ErrInvalidID, "", 1},
	}
	for kind, setup := range map[string]func() (*session.Manager, *webtest.Recorder){"token": webtest.Spied, "plain": webtest.SpiedPlain} {
		for _, test := range tests {
			t.Run(kind+"/"+test.name, func(t *testing.T) {
				m, rec := setup()
				m.NewID = func() string { return "taken" }
				first := &webtest.Browser{}
				first.BeginNamed(t, m, "alice")
				rec.Take()
				asked := 0
				m.NewID = func() string { asked++; return test.ids[min(asked, len(test.ids))-1] }
				header := (&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
					s, err := m.InitSession(ctx)
					if !errors.Is(err, test.err) || (s == nil) != (test.err != nil) {
						t.Errorf("got session %t, error %v, want error %v", s != nil, err, test.err)
					}
				})
				if got := rec.Take(); got != test.calls {
					t.Errorf("got calls %q, want %q", got, test.calls)
				}
				if asked != test.asked {
					t.Errorf("NewID was asked %d times, want %d", asked, test.asked)
				}
				if got, want := len(header["Set-Cookie"]) > 0, test.err == nil; got != want {
					t.Errorf("Set-Cookie: got %t, want %t", got, want)
				}
				if name, err := first.Name(t, m); name != "alice" || err != nil {
					t.Errorf("the session that has the id: got %q, %v, want it untouched", name, err)
				}
			})
		}
	}
}

// A TokenStore need not check an id for characters that a token cannot have. The
// Manager must, or it would give the client a token that it refuses itself.
func TestManagerInitSessionIDUnfitForToken(t *testing.T) {
	for _, id := range []string{"a.b", "a:b", "{a}", "a*", strings.Repeat("a", 200)} {
		m, rec := webtest.Spied()
		m.NewID = func() string { return id }
		(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
			if _, err := m.InitSession(ctx); !errors.Is(err, session.ErrInvalidID) {
				t.Errorf("%.10q: got %v, want ErrInvalidID", id, err)
			}
		})
		if got := rec.Take(); got != "" {
			t.Errorf("%.10q: got calls %q, want none", id, got)
		}
	}
}

func TestManagerRefreshSession(t *testing.T) {
	for _, test := range []struct {
		name   string
		maxAge time.Duration
		calls  string
		want   []string
	}{
		{"a browser-session cookie is left alone", 0, "extract Open Refresh", nil},
		{
			"a cookie with a lifetime is renewed", time.Hour, "extract Open Refresh Open inject",
			[]string{"__Host-Http-session=TOKEN; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, rec := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: test.maxAge})
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			before := b.Cookies[webtest.CookieName]
			rec.Take()
			header := b.Visit(t, func(ctx *mist.Context) {
				if err := m.RefreshSession(ctx); err != nil {
					t.Errorf("RefreshSession: %v", err)
				}
			})
			if got := rec.Take(); got != test.calls {
				t.Errorf("got calls %q, want %q", got, test.calls)
			}
			if got := webtest.SetCookies(header); !slices.Equal(got, test.want) {
				t.Errorf("got Set-Cookie %q, want %q", got, test.want)
			}
			if b.Cookies[webtest.CookieName] != before {
				t.Error("the token changed")
			}
		})
	}

	t.Run("prolongs by the idle timeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, _ := webtest.SpiedWith(&memory.Store{IdleTimeout: time.Hour}, &cookie.Propagator{})
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			time.Sleep(time.Hour - time.Millisecond)
			if _, err := b.Name(t, m); err != nil {
				t.Errorf("GetSession: %v", err) // and does not prolong
			}
			b.Visit(t, func(ctx *mist.Context) {
				if err := m.RefreshSession(ctx); err != nil {
					t.Errorf("RefreshSession: %v", err)
				}
			})
			time.Sleep(time.Hour - time.Millisecond)
			if _, err := b.Name(t, m); err != nil {
				t.Errorf("a millisecond before the new deadline: %v", err)
			}
			time.Sleep(time.Millisecond)
			if _, err := b.Name(t, m); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("at the new deadline: got %v, want ErrNotFound", err)
			}
		})
	})

	t.Run("a session that ended since it was loaded", func(t *testing.T) {
		m, rec := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		header := b.Visit(t, func(ctx *mist.Context) {
			if _, err := m.GetSession(ctx); err != nil {
				t.Fatalf("GetSession: %v", err)
			}
			b.Tab().Visit(t, func(ctx *mist.Context) {
				if err := m.RemoveSession(ctx); err != nil {
					t.Fatalf("RemoveSession: %v", err)
				}
			})
			rec.Take()
			if err := m.RefreshSession(ctx); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		})
		if got, want := rec.Take(), "Refresh"; got != want {
			t.Errorf("got calls %q, want %q", got, want)
		}
		if got := webtest.SetCookies(header); got != nil {
			t.Errorf("got Set-Cookie %q, want none", got)
		}
	})
}

func TestManagerRemoveSession(t *testing.T) {
	t.Run("removes, then clears", func(t *testing.T) {
		m, rec := webtest.Spied()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		thief := b.Tab()
		rec.Take()
		header := b.Visit(t, func(ctx *mist.Context) {
			if err := m.RemoveSession(ctx); err != nil {
				t.Fatalf("RemoveSession: %v", err)
			}
			if got, want := rec.Take(), "extract Open Remove clear"; got != want {
				t.Errorf("got calls %q, want %q", got, want)
			}
			if ctx.UserValues["session"] != nil {
				t.Error("the session is still in UserValues")
			}
			for range 2 {
				if _, err := m.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("GetSession afterwards: got %v, want ErrNotFound", err)
				}
			}
			if err := m.RemoveSession(ctx); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("RemoveSession again: got %v, want ErrNotFound", err)
			}
		})
		if got, want := webtest.SetCookies(header), []string{webtest.ClearLine}; !slices.Equal(got, want) {
			t.Errorf("got Set-Cookie %q, want %q", got, want)
		}
		if _, err := thief.Name(t, m); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("the old cookie: got %v, want ErrNotFound", err)
		}
	})

	t.Run("the session is dead for a request under way", func(t *testing.T) {
		m, _ := webtest.Spied()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		b.Visit(t, func(ctx *mist.Context) {
			s, err := m.GetSession(ctx)
			if err != nil {
				t.Fatalf("GetSession: %v", err)
			}
			b.Tab().Visit(t, func(ctx *mist.Context) {
				if err := m.RemoveSession(ctx); err != nil {
					t.Fatalf("RemoveSession: %v", err)
				}
			})
			if err := s.Set(ctx.Request.Context(), "late", "write"); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Set: got %v, want ErrNotFound", err)
			}
			if err := m.RotateSession(ctx); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("RotateSession: got %v, want ErrNotFound", err)
			}
		})
	})

	t.Run("then InitSession: one Set-Cookie", func(t *testing.T) {
		m, _ := webtest.Spied()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		header := b.Visit(t, func(ctx *mist.Context) {
			if err := m.RemoveSession(ctx); err != nil {
				t.Errorf("RemoveSession: %v", err)
			}
			if _, err := m.InitSession(ctx); err != nil {
				t.Errorf("InitSession: %v", err)
			}
		})
		if got, want := webtest.SetCookies(header), []string{webtest.SetLine}; !slices.Equal(got, want) {
			t.Errorf("got Set-Cookie %q, want %q", got, want)
		}
		if name, err := b.Name(t, m); name != "" || err != nil {
			t.Errorf("got %q, %v, want an empty session", name, err)
		}
	})
}
