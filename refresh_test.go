package session_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// A refreshes counts the refreshes of a store whose clock differs. The store may refuse
// to tell the time.
type refreshes struct {
	skewedStore
	refreshed, asked atomic.Int64
	mute             atomic.Bool
	hold             chan struct{} // not nil: it takes until this is closed to tell the time
}

type countedSession struct {
	skewedSession
	st *refreshes
}

func (s countedSession) Now(ctx context.Context) (time.Time, error) {
	s.st.asked.Add(1)
	if s.st.hold != nil {
		<-s.st.hold
	}
	if s.st.mute.Load() {
		return time.Time{}, &webtest.OutageError{}
	}
	return s.skewedSession.Now(ctx)
}

func (st *refreshes) Open(ctx context.Context, token string) (session.Session, error) {
	s, err := st.skewedStore.Open(ctx, token)
	if err != nil {
		return nil, err
	}
	return countedSession{s.(skewedSession), st}, nil
}

func (st *refreshes) Refresh(ctx context.Context, id string) error {
	st.refreshed.Add(1)
	return st.skewedStore.Refresh(ctx, id)
}

// TestRefreshInterval refreshes every ten seconds for an hour. The store is asked once
// in an interval, and the session ends early by at most one interval.
func TestRefreshInterval(t *testing.T) {
	for name, c := range map[string]struct {
		interval, idle time.Duration
		ahead          time.Duration
		want           int64 // refreshes in an hour
		early          time.Duration
	}{
		"off":                           {0, 30 * time.Minute, 0, 360, 0},
		"a minute":                      {time.Minute, 30 * time.Minute, 0, 60, time.Minute},
		"half a minute":                 {30 * time.Second, 30 * time.Minute, 0, 120, 30 * time.Second},
		"behind":                        {time.Minute, 30 * time.Minute, -20 * time.Minute, 60, time.Minute},
		"ahead":                         {time.Minute, 30 * time.Minute, 20 * time.Minute, 60, time.Minute},
		"far behind":                    {time.Minute, 30 * time.Minute, -400 * 24 * time.Hour, 60, time.Minute},
		"over half of the idle timeout": {time.Hour, 2 * time.Minute, 0, 60, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &refreshes{skewedStore: skewedStore{Store: &memory.Store{IdleTimeout: c.idle}, ahead: c.ahead}}
				m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, RefreshInterval: c.interval}
				b := &webtest.Browser{}
				b.BeginNamed(t, m, "ada")
				refresh := func() {
					t.Helper()
					b.Visit(t, func(ctx *mist.Context) {
						if err := m.RefreshSession(ctx); err != nil {
							t.Fatal(err)
						}
					})
				}
				for range 360 {
					time.Sleep(10 * time.Second)
					refresh()
				}
				// A request just before the end of an interval does not refresh, and
				// the next one comes ten seconds later. So there may be fewer refreshes
				// than intervals.
				if got := st.refreshed.Load(); got > c.want || got < c.want*5/6 {
					t.Errorf("got %d refreshes in an hour, want %d", got, c.want)
				}
				if got := st.asked.Load(); got > 61 || c.interval == 0 && got > 0 {
					t.Errorf("the store was asked for the time %d times in an hour", got)
				}
				time.Sleep(c.idle - c.early - time.Second)
				b.Is(t, m, "ada")
				time.Sleep(c.early + 2*time.Second)
				b.Is(t, m, "")
			})
		})
	}
}

// If the age of the last refresh is unknown, RefreshSession asks the store.
func TestRefreshIntervalInDoubt(t *testing.T) {
	for name, doubt := range map[string]func(st *refreshes){
		"nothing": func(*refreshes) {},
		"the store does not tell the time": func(st *refreshes) {
			time.Sleep(2 * time.Minute) // what it told is too old
			st.mute.Store(true)
		},
		"the clock of another server": func(st *refreshes) { st.ahead = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &refreshes{skewedStore: skewedStore{Store: &memory.Store{}}}
				m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, RefreshInterval: 10 * time.Minute}
				b := &webtest.Browser{}
				b.BeginNamed(t, m, "ada")
				refresh := func(when string, want int64) {
					t.Helper()
					before := st.refreshed.Load()
					b.Visit(t, func(ctx *mist.Context) {
						if err := m.RefreshSession(ctx); err != nil {
							t.Fatal(err)
						}
					})
					if got := st.refreshed.Load() - before; got != want {
						t.Errorf("%s: got %d refreshes, want %d", when, got, want)
					}
				}
				refresh("at once", 0)
				doubt(st)
				if name == "nothing" {
					refresh("later", 0)
				} else {
					refresh("in doubt", 1)
				}
			})
		})
	}
}

// Many concurrent requests ask for the time once. A request that does not refresh does
// not renew its cookie either.
func TestRefreshIntervalAtOnce(t *testing.T) {
	st := &refreshes{skewedStore: skewedStore{Store: &memory.Store{}}, hold: make(chan struct{})}
	m := &session.Manager{Store: st, Propagator: &cookie.Propagator{MaxAge: time.Hour}, RefreshInterval: 10 * time.Minute}
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "ada")
	var first, all sync.WaitGroup
	var done atomic.Int64
	for range 8 {
		first.Go(func() {
			b.Answer(t.Context(), func(ctx *mist.Context) {
				if err := m.RefreshSession(ctx); err != nil {
					t.Error(err)
				}
				if done.Add(1) == 7 { // all but the one that asks
					close(st.hold)
				}
			})
		})
	}
	first.Wait()
	st.refreshed.Store(0)
	for range 64 {
		all.Go(func() {
			resp := b.Answer(t.Context(), func(ctx *mist.Context) {
				if err := m.RefreshSession(ctx); err != nil {
					t.Error(err)
				}
			})
			if len(resp.Cookies()) > 0 {
				t.Error("a cookie was set")
			}
		})
	}
	all.Wait()
	if asked, refreshed := st.asked.Load(), st.refreshed.Load(); asked != 1 || refreshed != 0 {
		t.Errorf("the time was asked for %d times, want 1, and there were %d refreshes, want 0", asked, refreshed)
	}
	b.Visit(t, func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Remove(ctx.Request.Context(), s.ID()); err != nil {
			t.Fatal(err)
		}
	})
	b.Visit(t, func(ctx *mist.Context) {
		if err := m.RefreshSession(ctx); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("a session that has ended: got %v, want ErrNotFound", err)
		}
	})
	m = &session.Manager{Store: st, Propagator: &cookie.Propagator{}, RefreshInterval: -1}
	if err := m.Check(); err == nil {
		t.Error("Check: got nil for a negative RefreshInterval")
	}
}

func TestRenewAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, rec := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{})
		m.RenewAfter = 15 * time.Minute
		b := &webtest.Browser{}
		b.Begin(t, m)
		refresh := func(b *webtest.Browser) string {
			rec.Take()
			b.Visit(t, func(ctx *mist.Context) {
				if err := m.RefreshSession(ctx); err != nil {
					t.Errorf("RefreshSession: %v", err)
				}
			})
			return rec.Take()
		}
		const (
			kept    = "extract Open Refresh"
			asked   = kept + " Open" // what the time is for the store
			renewed = asked + " Rotate inject"
		)
		time.Sleep(20 * time.Minute)
		if got := refresh(b); got != kept {
			t.Errorf("anonymous: got calls %q, want %q", got, kept)
		}
		login := b.Enter(t, m, session.Login{User: "ada"})
		time.Sleep(15*time.Minute - 1)
		if got := refresh(b); got != asked {
			t.Errorf("a moment before: got calls %q, want %q", got, asked)
		}
		time.Sleep(time.Nanosecond)
		lost, late := b.Tab(), b.Tab()
		if got := refresh(lost); got != renewed {
			t.Errorf("then: got calls %q, want %q", got, renewed)
		}
		if got := refresh(b); got != asked { // the response was lost; the old token goes on
			t.Errorf("with the old token: got calls %q, want %q", got, asked)
		}
		if got := b.Describe(t, m); got.AuthenticatedAt != login.AuthenticatedAt || got.AbsoluteDeadline != login.AbsoluteDeadline {
			t.Errorf("got %+v, want what only a login moves as it was", got)
		}
		lost.Describe(t, m) // seen: the grace begins
		time.Sleep(30 * time.Second)
		late.IsNobody(t, m)
		// It is too late for a header, so the next request renews the token.
		time.Sleep(15 * time.Minute)
		rec.Take()
		lost.Visit(t, m.Middleware()(func(ctx *mist.Context) {
			ctx.ResponseWriter.WriteHeader(http.StatusOK)
			if err := m.RefreshSession(ctx); err != nil {
				t.Errorf("after the header: %v", err)
			}
		}))
		if got := rec.Take(); got != kept {
			t.Errorf("after the header: got calls %q, want %q", got, kept)
		}
		if got := refresh(lost); got != renewed {
			t.Errorf("the next request: got calls %q, want %q", got, renewed)
		}
	})
}

// A skewedStore has a clock that differs from the machine's.
type skewedStore struct {
	*memory.Store
	ahead time.Duration
}

type skewedSession struct {
	session.Session
	ahead time.Duration
}

func (s skewedSession) Unwrap() session.Session { return s.Session }

func (s skewedSession) Now(ctx context.Context) (time.Time, error) {
	now, err := session.Now(ctx, s.Session)
	return now.Add(s.ahead), err
}

func (s skewedSession) Info() session.Info {
	info, _ := session.Describe(s.Session)
	for _, at := range []*time.Time{&info.CreatedAt, &info.LastSeen, &info.IdleDeadline, &info.AbsoluteDeadline, &info.AuthenticatedAt, &info.RotatedAt} {
		if !at.IsZero() {
			*at = at.Add(s.ahead)
		}
	}
	return info
}

func (st *skewedStore) skew(s session.Session, err error) (session.Session, error) {
	if err != nil {
		return nil, err
	}
	return skewedSession{s, st.ahead}, nil
}

func (st *skewedStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return st.skew(st.Store.Generate(ctx, id))
}

func (st *skewedStore) Open(ctx context.Context, token string) (session.Session, error) {
	return st.skew(st.Store.Open(ctx, token))
}

func (st *skewedStore) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	return st.skew(st.Store.Rotate(ctx, token, grace))
}

func (st *skewedStore) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	return st.skew(st.Store.Login(ctx, token, l))
}

// Ages and remaining lifetimes are differences between times of the store. So a store
// with a wrong clock behaves like one with a right clock.
func TestOtherClock(t *testing.T) {
	for _, ahead := range []time.Duration{0, -20 * time.Minute, 20 * time.Minute, -400 * 24 * time.Hour, 400 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			m := &session.Manager{
				Store: &skewedStore{&memory.Store{}, ahead}, Propagator: &cookie.Propagator{}, RenewAfter: 15 * time.Minute,
			}
			b := &webtest.Browser{}
			cookies := func(handler func(ctx *mist.Context) error) []*http.Cookie {
				return (&http.Response{Header: b.Visit(t, func(ctx *mist.Context) {
					if err := handler(ctx); err != nil {
						t.Errorf("%v: %v", ahead, err)
					}
				})}).Cookies()
			}
			maxAge := func(what string, set []*http.Cookie, want time.Duration) {
				t.Helper()
				if len(set) != 1 || set[0].MaxAge != int(want/time.Second) {
					t.Errorf("%v: %s: got cookies %d, want one of %v", ahead, what, len(set), want)
				}
			}
			const day = 24 * time.Hour
			maxAge("login", cookies(func(ctx *mist.Context) error {
				_, err := m.LoginWith(ctx, session.Login{User: "ada", IdleTimeout: 30 * day, AbsoluteTimeout: 90 * day, Persistent: true})
				return err
			}), 90*day)
			for range 14 {
				time.Sleep(time.Minute)
				if got := cookies(m.RefreshSession); len(got) > 0 {
					t.Errorf("%v: a refresh sets a cookie before RenewAfter", ahead)
				}
			}
			time.Sleep(time.Minute)
			maxAge("renewal", cookies(m.RefreshSession), 90*day-15*time.Minute)
			time.Sleep(10 * day)
			maxAge("rotation", cookies(m.RotateSession), 80*day-15*time.Minute)

			status := func() int { return guarded(t, b, nil, m.RequireFresh(5*time.Minute)) }
			if got := status(); got != http.StatusForbidden {
				t.Errorf("%v: a proof of ten days ago: got status %d, want 403", ahead, got)
			}
			cookies(func(ctx *mist.Context) error { _, err := m.Reauthenticate(ctx, 0); return err })
			time.Sleep(5*time.Minute - 1)
			if got := status(); got != http.StatusOK {
				t.Errorf("%v: a proof of almost five minutes ago: got status %d, want 200", ahead, got)
			}
			time.Sleep(time.Nanosecond)
			if got := status(); got != http.StatusForbidden {
				t.Errorf("%v: a proof of five minutes ago: got status %d, want 403", ahead, got)
			}
		})
	}
}
