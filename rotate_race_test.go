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
	"github.com/mist-contrib/session/memory"
)

func TestRotateSessionLosers(t *testing.T) {
	m, _ := spied()
	b := &browser{}
	b.login(t, m, "alice")
	for range 20 {
		tabs := make([]*browser, 100)
		for i := range tabs {
			tabs[i] = b.tab()
		}
		var all sync.WaitGroup
		for _, tab := range tabs {
			all.Go(func() {
				tab.visit(t, func(ctx *mist.Context) {
					if err := m.RotateSession(ctx); err != nil {
						t.Errorf("RotateSession: %v", err)
					}
				})
			})
		}
		all.Wait()
		if tabs[0].cookies[cookieName] == b.cookies[cookieName] {
			t.Fatal("the token is the old one")
		}
		for _, tab := range tabs {
			if tab.cookies[cookieName] != tabs[0].cookies[cookieName] {
				t.Fatal("two of a race got two tokens")
			}
		}
		b = tabs[0]
		b.is(t, m, "alice")
	}
}

// A request that was opened by an old token gives the browser the newest one,
// or none.
func TestRotateSessionLateRefresh(t *testing.T) {
	m, _ := spiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
	b := &browser{}
	b.login(t, m, "alice")
	late := b.tab()
	b.rotate(t, m)
	b.is(t, m, "alice")
	header := late.visit(t, func(ctx *mist.Context) {
		if err := m.RefreshSession(ctx); err != nil {
			t.Errorf("RefreshSession: %v", err)
		}
	})
	if len(header["Set-Cookie"]) > 0 && late.cookies[cookieName] != b.cookies[cookieName] {
		t.Error("the old token was put back")
	}

	late = b.tab()
	late.visit(t, func(ctx *mist.Context) {
		if err := m.RotateSession(ctx); err != nil {
			t.Errorf("RotateSession: %v", err)
		}
		if err := m.RefreshSession(ctx); err != nil {
			t.Errorf("RefreshSession: %v", err)
		}
	})
	if late.cookies[cookieName] == b.cookies[cookieName] {
		t.Error("a refresh after a rotation put the old token back")
	}
	late.is(t, m, "alice")
}

func TestRotateSessionKeepsWrites(t *testing.T) {
	m, _ := spied()
	b := &browser{}
	b.login(t, m, "alice")
	set := func(ctx context.Context, s session.Session, key string) {
		if err := s.Set(ctx, key, true); err != nil {
			t.Errorf("Set %s: %v", key, err)
		}
	}
	other := b.tab()
	b.visit(t, func(ctx *mist.Context) {
		c := ctx.Request.Context()
		old, err := m.GetSession(ctx)
		if err != nil {
			t.Fatalf("GetSession: %v", err)
		}
		set(c, old, "before")
		other.visit(t, func(under *mist.Context) {
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
	b.visit(t, func(ctx *mist.Context) {
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
	m, _ := spied()
	for range 300 {
		b := &browser{}
		b.login(t, m, "alice")
		tabs := []*browser{b.tab(), b.tab(), b.tab()}
		var all sync.WaitGroup
		for _, tab := range tabs {
			all.Go(func() {
				tab.visit(t, func(ctx *mist.Context) {
					if err := m.RotateSession(ctx); err != nil && !errors.Is(err, session.ErrNotFound) {
						t.Errorf("RotateSession: %v", err)
					}
				})
			})
		}
		leaves := b.tab()
		all.Go(func() {
			leaves.visit(t, func(ctx *mist.Context) {
				if err := m.RemoveSession(ctx); err != nil {
					t.Errorf("RemoveSession: %v", err)
				}
			})
		})
		all.Wait()
		for _, tab := range append(tabs, b) {
			tab.is(t, m, "")
		}
	}
}
