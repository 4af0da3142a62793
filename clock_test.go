package session_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// A skewedStore has another clock than this machine.
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

// Ages and remaining lifetimes are differences of the store's own times: a store
// whose clock is off, by whatever, behaves as one whose clock is right.
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

// A store that does not tell the time lets nobody through, and logs nobody out.
func TestClockFails(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	var kinds []session.EventKind
	m.OnEvent = func(_ context.Context, e session.Event) { kinds = append(kinds, e.Kind) }
	down := &timeless{describedSession{info: session.Info{User: "ada", AuthenticatedAt: time.Now()}}, &webtest.OutageError{}}
	if got := guarded(t, &webtest.Browser{}, down, m.RequireFresh(time.Hour)); got != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", got)
	}
	if len(kinds) != 1 || kinds[0] != session.EventFailed {
		t.Errorf("got events %v, want one of the failure", kinds)
	}
	if _, err := session.Now(t.Context(), down); !errors.Is(err, down.err) {
		t.Errorf("Now: got %v, want the outage", err)
	}
}

type timeless struct {
	describedSession
	err error
}

func (s *timeless) Now(context.Context) (time.Time, error) { return time.Time{}, s.err }
