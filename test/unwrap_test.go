package session_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// hidingStore gives sessions that hide what they can do.
type hidingStore struct{ session.TokenStore }

func (s hidingStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return hide(s.TokenStore.Generate(ctx, id))
}

func (s hidingStore) Open(ctx context.Context, token string) (session.Session, error) {
	return hide(s.TokenStore.Open(ctx, token))
}

func (s hidingStore) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	return hide(s.TokenStore.Rotate(ctx, token, grace))
}

func hide(s session.Session, err error) (session.Session, error) {
	if err != nil {
		return nil, err
	}
	return webtest.Opaque{Session: s}, nil
}

// capabilities are the helpers of a session's optional interfaces.
var capabilities = []struct {
	name string
	call func(ctx context.Context, s session.Session) error
}{
	{"Delete", func(ctx context.Context, s session.Session) error { return session.Delete(ctx, s, "key") }},
	{"Clear", session.Clear},
	{"Pop", func(ctx context.Context, s session.Session) error { _, err := session.Pop(ctx, s, "key"); return err }},
	{"Update", func(ctx context.Context, s session.Session) error {
		return session.Update(ctx, s, "key", func(any) (any, error) { return "value", nil })
	}},
	{"SetAll", func(ctx context.Context, s session.Session) error {
		return session.SetAll(ctx, s, map[string]any{"key": "value"})
	}},
	{"All", func(ctx context.Context, s session.Session) error {
		all, err := session.All(ctx, s)
		if (all == nil) != (err != nil) {
			return errors.New("a sequence beside an error, or neither")
		}
		return err
	}},
	{"Now", func(ctx context.Context, s session.Session) error {
		now, err := session.Now(ctx, s)
		if now.IsZero() != (err != nil) {
			return errors.New("a time beside an error, or neither")
		}
		return err
	}},
	{"Describe", func(_ context.Context, s session.Session) error {
		info, err := session.Describe(s)
		if (info.ID == s.ID()) != (err == nil) {
			return errors.New("an Info beside an error, or of another session")
		}
		return err
	}},
}

func TestCapabilities(t *testing.T) {
	s, err := (&memory.Store{}).Generate(t.Context(), "id")
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	for _, test := range []struct {
		name string
		s    session.Session
		want error
	}{
		{"its own", s, nil},
		{"wrapped", webtest.Wrapped{Session: s}, nil},
		{"wrapped three times", webtest.Wrapped{Session: webtest.Wrapped{Session: webtest.Wrapped{Session: s}}}, nil},
		{"hidden", webtest.Opaque{Session: s}, errors.ErrUnsupported},
		{"hidden below a wrapper", webtest.Wrapped{Session: webtest.Opaque{Session: s}}, errors.ErrUnsupported},
		{"hidden above a wrapper", webtest.Opaque{Session: webtest.Wrapped{Session: s}}, errors.ErrUnsupported},
		{"plain", &webtest.PlainSession{Handle: "id"}, errors.ErrUnsupported},
	} {
		for _, c := range capabilities {
			if err := c.call(t.Context(), test.s); !errors.Is(err, test.want) {
				t.Errorf("%s/%s: got %v, want %v", test.name, c.name, err, test.want)
			}
		}
		if got, want := session.Token(test.s) != test.s.ID(), test.want == nil; got != want {
			t.Errorf("%s/Token: got a token %t, want %t", test.name, got, want)
		}
	}
}

// The helpers do what the methods do.
func TestCapabilitiesWork(t *testing.T) {
	ctx := t.Context()
	stored, err := (&memory.Store{}).Generate(ctx, "id")
	if err != nil {
		t.Fatalf("Generate: %v", err)
	}
	s := webtest.Wrapped{Session: stored}
	get := func(key string) any {
		v, err := s.Get(ctx, key)
		if err != nil {
			t.Errorf("Get: %v", err)
		}
		return v
	}
	if err := session.SetAll(ctx, s, map[string]any{"a": 1, "b": "two", "c": true}); err != nil {
		t.Errorf("SetAll: %v", err)
	}
	all, err := session.All(ctx, s)
	if err != nil {
		t.Fatalf("All: %v", err)
	}
	var keys []string
	for key := range all {
		keys = append(keys, key)
	}
	if slices.Sort(keys); !slices.Equal(keys, []string{"a", "b", "c"}) {
		t.Errorf("All: got keys %q", keys)
	}
	if v, err := session.Pop(ctx, s, "b"); v != "two" || err != nil || get("b") != nil {
		t.Errorf("Pop: got %v, %v, and left %v", v, err, get("b"))
	}
	increment := func(old any) (any, error) {
		n, _ := old.(int)
		return n + 1, nil
	}
	if err := session.Update(ctx, s, "a", increment); err != nil || get("a") != 2 {
		t.Errorf("Update: %v, got %v, want 2", err, get("a"))
	}
	if err := session.Delete(ctx, s, "a", "absent"); err != nil || get("a") != nil || get("c") != true {
		t.Errorf("Delete: %v, left %v and %v", err, get("a"), get("c"))
	}
	if err := session.Clear(ctx, s); err != nil || get("c") != nil {
		t.Errorf("Clear: %v, left %v", err, get("c"))
	}
	if info, err := session.Describe(s); err != nil || info.AbsoluteDeadline.Sub(info.CreatedAt) != 12*time.Hour {
		t.Errorf("Describe: %+v, %v", info, err)
	}
}

func TestWrappedStore(t *testing.T) {
	t.Run("with Unwrap it issues tokens", func(t *testing.T) {
		m := &session.Manager{Store: webtest.WrappedStore{Store: webtest.WrappedStore{Store: &memory.Store{}}}, Propagator: &cookie.Propagator{}}
		b := &webtest.Browser{}
		b.BeginNamed(t, m, "alice")
		if name, err := b.Name(t, m); name != "alice" || err != nil {
			t.Errorf("got %q, %v", name, err)
		}
		b.Visit(t, func(ctx *mist.Context) {
			if err := m.RotateSession(ctx); err != nil {
				t.Errorf("RotateSession: %v", err)
			}
		})
	})

	t.Run("without it cannot rotate", func(t *testing.T) {
		m, rec := webtest.Spied()
		m.Store = webtest.OpaqueStore{Store: m.Store}
		b := &webtest.Browser{Cookies: map[string]string{webtest.CookieName: "some-id"}}
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
	})

	// Whoever hides the capability of a store must notice: a login without an
	// error has to work.
	t.Run("without it a login works or fails", func(t *testing.T) {
		m := &session.Manager{Store: webtest.OpaqueStore{Store: &memory.Store{}}, Propagator: &cookie.Propagator{}}
		b := &webtest.Browser{}
		var err error
		b.Visit(t, func(ctx *mist.Context) { _, err = m.InitSession(ctx) })
		if err != nil {
			return
		}
		if _, err := b.Name(t, m); err != nil {
			t.Errorf("InitSession gave no error, and the next request has no session: %v", err)
		}
	})

	// Its sessions must be Tokeners. Where a decorator hides that, the id must
	// not take the token's place in the cookie.
	t.Run("sessions without their token never cost the client its cookie", func(t *testing.T) {
		inner := &memory.Store{}
		p := &cookie.Propagator{MaxAge: time.Hour}
		m := &session.Manager{Store: inner, Propagator: p}
		hidden := &session.Manager{Store: hidingStore{inner}, Propagator: p}
		for _, f := range webtest.Flows {
			if f.Name == "RemoveSession" {
				continue
			}
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			var err error
			b.Visit(t, func(ctx *mist.Context) { err = f.Call(hidden, ctx) })
			if _, lost := b.Name(t, m); lost != nil {
				t.Errorf("%s: got %v, and the next request has no session: %v", f.Name, err, lost)
			}
		}
	})

	t.Run("its Check is asked", func(t *testing.T) {
		bad := &memory.Store{IdleTimeout: -1}
		for _, st := range []session.Store{bad, webtest.WrappedStore{Store: bad}} {
			m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
			if err := m.Check(); err == nil {
				t.Error("got no error")
			}
		}
	})
}

func TestWrappedPropagator(t *testing.T) {
	for _, test := range []struct {
		name string
		wrap func(p session.Propagator) session.Propagator
		want int
	}{
		{"with Unwrap keeps its lifetime", func(p session.Propagator) session.Propagator {
			return webtest.WrappedPropagator{Propagator: webtest.WrappedPropagator{Propagator: p}}
		}, 1},
		{"without has none", func(p session.Propagator) session.Propagator { return webtest.OpaquePropagator{Propagator: p} }, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := test.wrap(&cookie.Propagator{MaxAge: time.Hour})
			m := &session.Manager{Store: &memory.Store{}, Propagator: p}
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			header := b.Visit(t, func(ctx *mist.Context) {
				if err := m.RefreshSession(ctx); err != nil {
					t.Errorf("RefreshSession: %v", err)
				}
			})
			if got := len(header["Set-Cookie"]); got != test.want {
				t.Errorf("got %d Set-Cookie, want %d", got, test.want)
			}
		})
	}

	t.Run("its Check is asked", func(t *testing.T) {
		p := webtest.WrappedPropagator{Propagator: &cookie.Propagator{MaxAge: -1}}
		if err := (&session.Manager{Store: &memory.Store{}, Propagator: p}).Check(); err == nil {
			t.Error("got no error")
		}
	})
}

// A wrapper around nothing has no capability, and does not panic.
func TestWrappedNothing(t *testing.T) {
	for _, c := range capabilities {
		if c.name == "Describe" {
			continue // asks for the id
		}
		if err := c.call(t.Context(), webtest.Wrapped{}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v, want ErrUnsupported", c.name, err)
		}
	}
}
