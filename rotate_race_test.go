package session_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

func TestRotateSessionLosers(t *testing.T) {
	m, _ := webtest.Spied()
	b := &webtest.Browser{}
	b.Login(t, m, "alice")
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

// A request that was opened by an old token gives the browser the newest one,
// or none.
func TestRotateSessionLateRefresh(t *testing.T) {
	m, _ := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
	b := &webtest.Browser{}
	b.Login(t, m, "alice")
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
	b.Login(t, m, "alice")
	set := func(ctx context.Context, s session.Session, key string) {
		if err := s.Set(ctx, key, true); err != nil {
			t.Errorf("Set %s: %v", key, err)
		}
	}
	other := b.Tab()
	b.Visit(t, func(ctx *mist.Context) {
		c := ctx.Request.Context()
		old, err := m.GetSession(ctx)
		if err != nil {
			t.Fatalf("GetSession: %v", err)
		}
		set(c, old, "before")
		other.Visit(t, func(under *mist.Context) {
			way, err := m.GetSession(under)
			if err != nil {
				t.Fatalf("GetSession: %v", err)
			}
			set(c, way, "way-before")
			if err := m.RotateSession(ctx); err != nil {
				t.Errorf("RotateSession: %v", err)
			}
			set(c, way, "way-after")
		})
		set(c, old, "after")
		renewed, err := m.GetSession(ctx)
		if err != nil {
			t.Fatalf("GetSession: %v", err)
		}
		set(c, renewed, "renewed")
	})
	b.Visit(t, func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if err != nil {
			t.Fatalf("GetSession: %v", err)
		}
		for _, key := range []string{"name", "before", "way-before", "way-after", "after", "renewed"} {
			if v, err := s.Get(ctx.Request.Context(), key); v == nil || err != nil {
				t.Errorf("%s: got %v, %v", key, v, err)
			}
		}
	})
}

// However a rotation and a logout interleave, the session is dead.
func TestRotateSessionAgainstRemove(t *testing.T) {
	m, _ := webtest.Spied()
	for range 300 {
		b := &webtest.Browser{}
		b.Login(t, m, "alice")
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
