package session_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// long returns a store with timeouts that these tests never reach.
func long() *memory.Store {
	return &memory.Store{IdleTimeout: 30 * 24 * time.Hour, AbsoluteTimeout: 30 * 24 * time.Hour}
}

func TestRotateSession(t *testing.T) {
	t.Run("renews the token and nothing else", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			old := b.Cookies[webtest.CookieName]
			time.Sleep(time.Minute)
			rec.Take()
			var before, after session.Info
			header := b.Visit(t, func(ctx *mist.Context) {
				s, err := m.GetSession(ctx)
				if err != nil {
					t.Fatalf("GetSession: %v", err)
				}
				before, _ = session.Describe(s)
				if err := m.RotateSession(ctx); err != nil {
					t.Fatalf("RotateSession: %v", err)
				}
				if s, err = m.GetSession(ctx); err != nil {
					t.Fatalf("GetSession: %v", err)
				}
				after, _ = session.Describe(s)
			})
			if got, want := rec.Take(), "extract Open Rotate inject"; got != want {
				t.Errorf("got calls %q, want %q", got, want)
			}
			if got, want := webtest.SetCookies(header), []string{webtest.SetLine}; !slices.Equal(got, want) {
				t.Errorf("got Set-Cookie %q, want %q", got, want)
			}
			if b.Cookies[webtest.CookieName] == old {
				t.Error("the token is the old one")
			}
			if !after.RotatedAt.Equal(before.RotatedAt.Add(time.Minute)) {
				t.Errorf("RotatedAt: got %v, want a minute after %v", after.RotatedAt, before.RotatedAt)
			}
			if after.RotatedAt = before.RotatedAt; before != after || after.ID == "" {
				t.Errorf("got %+v, want %+v", after, before)
			}
			b.Is(t, m, "alice")
		})
	})

	t.Run("hands RotateGrace to the store", func(t *testing.T) {
		for _, test := range []struct{ set, want time.Duration }{
			{0, 30 * time.Second}, {time.Minute, time.Minute}, {1, 1}, {24 * time.Hour, 24 * time.Hour},
		} {
			m, _ := webtest.Spied()
			m.RotateGrace = test.set
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			b.Rotate(t, m)
			if got := m.Store.(*webtest.SpyStore).Grace; got != test.want {
				t.Errorf("RotateGrace %v: got %v, want %v", test.set, got, test.want)
			}
		}
	})

	t.Run("nobody", func(t *testing.T) {
		m, rec := webtest.Spied()
		for carried, calls := range map[string]string{
			"":                                   "extract",
			"x":                                  "extract",
			"unknown.ABCDEFGHIJKLMNOPQRSTUVWXYZ": "extract Open",
		} {
			b := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: carried}}
			header := b.Visit(t, func(ctx *mist.Context) {
				if err := m.RotateSession(ctx); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("got %v, want ErrNotFound", err)
				}
			})
			if got := rec.Take(); got != calls {
				t.Errorf("got calls %q, want %q", got, calls)
			}
			if got := webtest.SetCookies(header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
		}
	})

	t.Run("a plain store cannot", func(t *testing.T) {
		m, rec := webtest.SpiedPlain()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		rec.Take()
		header := b.Visit(t, func(ctx *mist.Context) {
			if err := m.RotateSession(ctx); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("got %v, want ErrUnsupported", err)
			}
		})
		if got := rec.Take(); got != "" {
			t.Errorf("got calls %q, want none", got)
		}
		if got := webtest.SetCookies(header); got != nil {
			t.Errorf("got Set-Cookie %q, want none", got)
		}
		b.Is(t, m, "alice")
	})

	t.Run("after the header is out nothing is rotated", func(t *testing.T) {
		m, rec := webtest.Spied()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		rec.Take()
		b.Visit(t, webtest.Wrap(func(ctx *mist.Context) {
			ctx.ResponseWriter.WriteHeader(204)
			if err := m.RotateSession(ctx); !errors.Is(err, session.ErrHeaderWritten) {
				t.Errorf("got %v, want ErrHeaderWritten", err)
			}
		}, m.Middleware()))
		if got, want := rec.Take(), "extract Open"; got != want {
			t.Errorf("got calls %q, want %q", got, want)
		}
		b.Is(t, m, "alice")
	})
}

func TestRotateSessionGrace(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Second, time.Hour} {
		t.Run(grace.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _ := webtest.SpiedWith(long(), &cookie.Propagator{})
				m.RotateGrace = grace
				if grace == 0 {
					grace = 30 * time.Second
				}
				b := &webtest.Browser{}
				b.BeginNamed(t, m, "alice")
				old := b.Tab()
				b.Rotate(t, m)
				time.Sleep(7 * 24 * time.Hour)
				old.Is(t, m, "alice") // the new one was not seen
				time.Sleep(7 * 24 * time.Hour)
				old.Is(t, m, "alice")

				b.Is(t, m, "alice") // the new one is seen
				time.Sleep(grace - time.Millisecond)
				b.Is(t, m, "alice") // seen again: the grace does not begin anew
				old.Is(t, m, "alice")
				time.Sleep(time.Millisecond)
				old.Is(t, m, "")
				b.Is(t, m, "alice")
				old.Visit(t, func(ctx *mist.Context) {
					if err := m.RotateSession(ctx); !errors.Is(err, session.ErrNotFound) {
						t.Errorf("RotateSession with the dead token: got %v, want ErrNotFound", err)
					}
				})
				b.Is(t, m, "alice")
			})
		})
	}
}

func TestRotateSessionLostResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := webtest.SpiedWith(long(), &cookie.Propagator{})
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		for range 5 {
			b.Answer(t.Context(), func(ctx *mist.Context) {
				if err := m.RotateSession(ctx); err != nil {
					t.Errorf("RotateSession: %v", err)
				}
			})
			time.Sleep(24 * time.Hour)
			b.Is(t, m, "alice")
		}
		old := b.Tab()
		b.Rotate(t, m)
		b.Is(t, m, "alice")
		time.Sleep(30 * time.Second)
		b.Is(t, m, "alice")
		old.Is(t, m, "")
	})
}

func TestRotateSessionTwice(t *testing.T) {
	t.Run("in one request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, _ := webtest.SpiedWith(long(), &cookie.Propagator{})
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			old := b.Tab()
			header := b.Visit(t, func(ctx *mist.Context) {
				for range 3 {
					if err := m.RotateSession(ctx); err != nil {
						t.Errorf("RotateSession: %v", err)
					}
				}
			})
			if got, want := webtest.SetCookies(header), []string{webtest.SetLine}; !slices.Equal(got, want) {
				t.Errorf("got Set-Cookie %q, want %q", got, want)
			}
			time.Sleep(24 * time.Hour)
			old.Is(t, m, "alice")
			b.Is(t, m, "alice")
			time.Sleep(30 * time.Second)
			old.Is(t, m, "")
			b.Is(t, m, "alice")
		})
	})

	t.Run("in two requests", func(t *testing.T) {
		m, _ := webtest.Spied()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		for range 300 {
			b.Rotate(t, m)
		}
		b.Is(t, m, "alice")
	})

	t.Run("after InitSession in its request", func(t *testing.T) {
		m, _ := webtest.Spied()
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "mallory")
		b.Visit(t, func(ctx *mist.Context) {
			s, err := m.InitSession(ctx)
			if err != nil {
				t.Fatalf("InitSession: %v", err)
			}
			if err := m.RotateSession(ctx); err != nil {
				t.Errorf("RotateSession: %v", err)
			}
			if err := s.Set(ctx.Request.Context(), "name", "alice"); err != nil {
				t.Errorf("Set: %v", err)
			}
		})
		b.Is(t, m, "alice")
	})
}

func TestRotateSessionLosers(t *testing.T) {
	m, _ := webtest.Spied()
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	for range 20 {
		tabs := make([]*webtest.Browser, 100)
		for i := range tabs {
			tabs[i] = b.Tab()
		}
		var all sync.WaitGroup
		for _, tab := range tabs {
			all.Go(func() {
				tab.Visit(t, func(ctx *mist.Context) {
					if err := m.RotateSession(ctx); err != nil {
						t.Errorf("RotateSession: %v", err)
					}
				})
			})
		}
		all.Wait()
		if tabs[0].Cookies[webtest.CookieName] == b.Cookies[webtest.CookieName] {
			t.Fatal("the token is the old one")
		}
		for _, tab := range tabs {
			if tab.Cookies[webtest.CookieName] != tabs[0].Cookies[webtest.CookieName] {
				t.Fatal("two of a race got two tokens")
			}
		}
		b = tabs[0]
		b.Is(t, m, "alice")
	}
}

// A request with an old token gives the browser the newest token or none.
func TestRotateSessionLateRefresh(t *testing.T) {
	m, _ := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	late := b.Tab()
	b.Rotate(t, m)
	b.Is(t, m, "alice")
	header := late.Visit(t, func(ctx *mist.Context) {
		if err := m.RefreshSession(ctx); err != nil {
			t.Errorf("RefreshSession: %v", err)
		}
	})
	if len(header["Set-Cookie"]) > 0 && late.Cookies[webtest.CookieName] != b.Cookies[webtest.CookieName] {
		t.Error("the old token was put back")
	}

	late = b.Tab()
	late.Visit(t, func(ctx *mist.Context) {
		if err := m.RotateSession(ctx); err != nil {
			t.Errorf("RotateSession: %v", err)
		}
		if err := m.RefreshSession(ctx); err != nil {
			t.Errorf("RefreshSession: %v", err)
		}
	})
	if late.Cookies[webtest.CookieName] == b.Cookies[webtest.CookieName] {
		t.Error("a refresh after a rotation put the old token back")
	}
	late.Is(t, m, "alice")
}

func TestRotateSessionKeepsWrites(t *testing.T) {
	m, _ := webtest.Spied()
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	set := func(ctx context.Context, s session.Session, key string) {
		if err := s.Set(ctx, key, true); err != nil {
			t.Errorf("Set %s: %v", key, err)
		}
	}
	other := b.Tab()
	b.Visit(t, func(ctx *mist.Context) {
		c := ctx.Request.Context()
		old := webtest.Loaded(t, m, ctx)
		set(c, old, "before")
		other.Visit(t, func(under *mist.Context) {
			way := webtest.Loaded(t, m, under)
			set(c, way, "way-before")
			if err := m.RotateSession(ctx); err != nil {
				t.Errorf("RotateSession: %v", err)
			}
			set(c, way, "way-after")
		})
		set(c, old, "after")
		renewed := webtest.Loaded(t, m, ctx)
		set(c, renewed, "renewed")
	})
	b.Visit(t, func(ctx *mist.Context) {
		s := webtest.Loaded(t, m, ctx)
		for _, key := range []string{"name", "before", "way-before", "way-after", "after", "renewed"} {
			if v, err := s.Get(ctx.Request.Context(), key); v == nil || err != nil {
				t.Errorf("%s: got %v, %v", key, v, err)
			}
		}
	})
}

// In whatever order a rotation and a logout happen, the session is dead afterwards.
func TestRotateSessionAgainstRemove(t *testing.T) {
	m, _ := webtest.Spied()
	for range 300 {
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		tabs := []*webtest.Browser{b.Tab(), b.Tab(), b.Tab()}
		var all sync.WaitGroup
		for _, tab := range tabs {
			all.Go(func() {
				tab.Visit(t, func(ctx *mist.Context) {
					if err := m.RotateSession(ctx); err != nil && !errors.Is(err, session.ErrNotFound) {
						t.Errorf("RotateSession: %v", err)
					}
				})
			})
		}
		leaves := b.Tab()
		all.Go(func() {
			leaves.Visit(t, func(ctx *mist.Context) {
				if err := m.RemoveSession(ctx); err != nil {
					t.Errorf("RemoveSession: %v", err)
				}
			})
		})
		all.Wait()
		for _, tab := range append(tabs, b) {
			tab.Is(t, m, "")
		}
	}
}
