package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// An outage is the failure of a store.
type outage struct{ op string }

func (*outage) Error() string { return "connection refused" }

// A flow is one of the Manager's, for a browser that is logged in.
type flow struct {
	name  string
	call  func(m *session.Manager, ctx *mist.Context) error
	store []string // its calls of a token store, in order
	plain []string // and of a plain store; nil: it has none
	sets  int      // Set-Cookie lines it leaves
}

var flows = []flow{
	{"InitSession", func(m *session.Manager, ctx *mist.Context) error {
		s, err := m.InitSession(ctx)
		if (s == nil) != (err != nil) {
			return fmt.Errorf("session %t beside error %w", s != nil, err)
		}
		return err
	}, []string{"Generate"}, []string{"Generate"}, 1},
	{"GetSession", func(m *session.Manager, ctx *mist.Context) error {
		s, err := m.GetSession(ctx)
		if (s == nil) != (err != nil) {
			return fmt.Errorf("session %t beside error %w", s != nil, err)
		}
		return err
	}, []string{"Open"}, []string{"Get"}, 0},
	{"RefreshSession", (*session.Manager).RefreshSession, []string{"Open", "Refresh"}, []string{"Get", "Refresh"}, 1},
	{"RotateSession", (*session.Manager).RotateSession, []string{"Open", "Rotate"}, nil, 1},
	{"RemoveSession", (*session.Manager).RemoveSession, []string{"Open", "Remove"}, []string{"Get", "Remove"}, 1},
}

// Every call of every flow fails once, before it takes effect and after.
func TestManagerStoreFails(t *testing.T) {
	causes := []error{&outage{"dial"}, context.DeadlineExceeded, context.Canceled}
	for _, f := range flows {
		for _, kind := range []string{"token", "plain"} {
			calls := f.store
			if kind == "plain" {
				calls = f.plain
			}
			for i, op := range calls {
				for _, after := range []bool{false, true} {
					for _, cause := range causes {
						name := fmt.Sprintf("%s/%s/%s/after=%t/%T", f.name, kind, op, after, cause)
						t.Run(name, func(t *testing.T) { testStoreFails(t, f, kind, calls[:i+1], after, cause) })
					}
				}
			}
		}
	}
}

func testStoreFails(t *testing.T, f flow, kind string, calls []string, after bool, cause error) {
	m, rec := spiedPlain()
	if kind == "token" {
		m, rec = spiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
	} else {
		f.sets = map[string]int{"InitSession": 1, "RemoveSession": 1}[f.name] // no MaxAge there
	}
	b := &browser{}
	b.login(t, m, "alice")
	rec.take()
	op := calls[len(calls)-1]
	rec.fail(fault{op, after, fmt.Errorf("store: %w", cause)})
	retried := b.tab()
	header := b.visit(t, func(ctx *mist.Context) {
		err := f.call(m, ctx)
		if !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
		if o := (*outage)(nil); errors.As(cause, &o) && !errors.As(err, &o) {
			t.Errorf("got %v, want the cause by errors.As", err)
		}
		if errors.Is(err, session.ErrNotFound) {
			t.Errorf("got %v, which says that nobody is logged in", err)
		}
	})
	got := slices.DeleteFunc(rec.all(), func(op string) bool { return op == "extract" })
	if !slices.Equal(got, calls) {
		t.Errorf("got calls %q, want %q and nothing after the failure", got, calls)
	}
	rec.take()
	if got := setCookies(header); got != nil {
		t.Errorf("got Set-Cookie %q, want none", got)
	}

	dead := op == "Remove" && after
	if name, err := b.name(t, m); dead != errors.Is(err, session.ErrNotFound) || !dead && (err != nil || name != "alice") {
		t.Errorf("after the failure: got %q, %v", name, err)
	}

	// Again, in the same request, with the failure in between; where the session
	// could not be loaded, in the next one. Where Remove took effect it must yet
	// clear the cookie.
	if dead {
		retried.login(t, m, "alice")
	}
	rec.fail(fault{op, after, cause})
	again := func(ctx *mist.Context) {
		if err := f.call(m, ctx); err != nil {
			t.Errorf("the retry: %v", err)
		}
	}
	header = retried.visit(t, func(ctx *mist.Context) {
		if err := f.call(m, ctx); !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
		if op != "Open" && op != "Get" {
			again(ctx)
			return
		}
		if err := f.call(m, ctx); !errors.Is(err, cause) {
			t.Errorf("in the same request: got %v, want the cause", err)
		}
	})
	if op == "Open" || op == "Get" {
		header = retried.visit(t, again)
	}
	if got := len(header["Set-Cookie"]); got != f.sets {
		t.Errorf("the retry: got %d Set-Cookie, want %d", got, f.sets)
	}
	wantNobody := f.name == "RemoveSession"
	if name, err := retried.name(t, m); errors.Is(err, session.ErrNotFound) != wantNobody {
		t.Errorf("after the retry: got %q, %v", name, err)
	}
}

// A retry of a rotation that took effect arrives at the same successor.
func TestManagerRotateFailsAfter(t *testing.T) {
	m, rec := spied()
	b := &browser{}
	b.login(t, m, "alice")
	other := b.tab()
	rec.fail(fault{"Rotate", true, &outage{}})
	b.visit(t, func(ctx *mist.Context) {
		if err := m.RotateSession(ctx); err == nil {
			t.Error("got no error")
		}
	})
	for _, tab := range []*browser{b, other} {
		tab.visit(t, func(ctx *mist.Context) {
			if err := m.RotateSession(ctx); err != nil {
				t.Errorf("the retry: %v", err)
			}
		})
	}
	if b.cookies[cookieName] != other.cookies[cookieName] {
		t.Error("two retries gave two tokens")
	}
}

func TestManagerPropagatorFails(t *testing.T) {
	cause := &outage{"header"}

	t.Run("InitSession removes what it made", func(t *testing.T) {
		for _, cancelled := range []bool{false, true} {
			m, rec := spied()
			m.NewID = func() string { return "made" }
			rec.fail(fault{"inject", false, cause})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			rec.on(func(ctx context.Context, op string) {
				switch {
				case op == "inject" && cancelled:
					cancel() // the client leaves
				case op == "Remove":
					if _, bounded := ctx.Deadline(); ctx.Err() != nil || !bounded {
						t.Errorf("cancelled=%t: Remove got a context that is done (%v) or has no deadline", cancelled, ctx.Err())
					}
				}
			})
			resp := (&browser{}).answer(ctx, func(ctx *mist.Context) {
				s, err := m.InitSession(ctx)
				if s != nil || !errors.Is(err, cause) {
					t.Errorf("cancelled=%t: got %v, want the cause", cancelled, err)
				}
				if _, err := m.GetSession(ctx); err == nil {
					t.Errorf("cancelled=%t: the request has a session", cancelled)
				}
			})
			if got, want := rec.take(), "Generate inject Remove extract"; got != want {
				t.Errorf("cancelled=%t: got calls %q, want %q", cancelled, got, want)
			}
			if got := setCookies(resp.Header); got != nil {
				t.Errorf("cancelled=%t: got Set-Cookie %q, want none", cancelled, got)
			}
			if _, err := m.Store.Get(t.Context(), "made"); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("cancelled=%t: the session: got %v, want ErrNotFound", cancelled, err)
			}
		}
	})

	t.Run("InitSession tells of both failures", func(t *testing.T) {
		m, rec := spied()
		second := &outage{"remove"}
		rec.fail(fault{"inject", false, cause}, fault{"Remove", false, second})
		(&browser{}).visit(t, func(ctx *mist.Context) {
			if _, err := m.InitSession(ctx); !errors.Is(err, cause) || !errors.Is(err, second) {
				t.Errorf("got %v, want both causes", err)
			}
		})
	})

	t.Run("InitSession does not wait for ever to clean up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, rec := spied()
			rec.fail(fault{"inject", false, cause}, fault{"Remove", false, context.DeadlineExceeded})
			rec.on(func(ctx context.Context, op string) {
				if op == "Remove" {
					<-ctx.Done()
				}
			})
			began := time.Now()
			(&browser{}).visit(t, func(ctx *mist.Context) {
				if _, err := m.InitSession(ctx); !errors.Is(err, cause) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v, want both causes", err)
				}
			})
			if waited := time.Since(began); waited > 10*time.Second {
				t.Errorf("waited %v", waited)
			}
		})
	})

	for _, f := range []struct {
		flow  string
		op    string
		calls string
		alive bool
	}{
		{"RefreshSession", "inject", "extract Open Refresh Open inject", true},
		{"RotateSession", "inject", "extract Open Rotate inject", true},
		{"RemoveSession", "clear", "extract Open Remove clear", false},
	} {
		t.Run(f.flow, func(t *testing.T) {
			m, rec := spiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
			b := &browser{}
			b.login(t, m, "alice")
			rec.take()
			rec.fail(fault{f.op, false, cause})
			header := b.visit(t, func(ctx *mist.Context) {
				i := slices.IndexFunc(flows, func(g flow) bool { return g.name == f.flow })
				if err := flows[i].call(m, ctx); !errors.Is(err, cause) {
					t.Errorf("got %v, want the cause", err)
				}
			})
			if got := rec.take(); got != f.calls {
				t.Errorf("got calls %q, want %q", got, f.calls)
			}
			if got := setCookies(header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
			name, err := b.name(t, m)
			if alive := err == nil && name == "alice"; alive != f.alive {
				t.Errorf("the client's identifier: got %q, %v, want alive %t", name, err, f.alive)
			}
		})
	}
}

// A request that is cancelled leaves nothing half done.
func TestManagerCancelledRequest(t *testing.T) {
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			m, rec := spied()
			b := &browser{}
			b.login(t, m, "alice")
			rec.take()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			resp := b.answer(ctx, func(ctx *mist.Context) {
				if err := f.call(m, ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want context.Canceled", err)
				}
			})
			if got := setCookies(resp.Header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
			if name, err := b.name(t, m); name != "alice" || err != nil {
				t.Errorf("afterwards: got %q, %v", name, err)
			}
		})
	}
}

// A store that answers neither a session nor an error breaks its contract, and
// must not break the handler.
func TestManagerStoreAnswersNothing(t *testing.T) {
	for _, opens := range []bool{false, true} {
		for _, f := range flows {
			if opens && slices.Contains([]string{"GetSession", "RefreshSession", "RemoveSession"}, f.name) {
				continue // does no more than Open
			}
			m, _ := spied()
			b := &browser{}
			b.login(t, m, "alice")
			m = &session.Manager{Store: mute{m.Store.(*spyStore), opens}, Propagator: m.Propagator}
			header := b.visit(t, func(ctx *mist.Context) {
				if err := f.call(m, ctx); err == nil || errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: got %v, want a failure", f.name, err)
				}
			})
			if got := setCookies(header); got != nil {
				t.Errorf("%s: got Set-Cookie %q, want none", f.name, got)
			}
		}
	}
}

// A mute store says nothing, but for Open if it opens.
type mute struct {
	session.TokenStore

	opens bool
}

func (mute) Generate(context.Context, string) (session.Session, error) { return nil, nil }

func (s mute) Open(ctx context.Context, token string) (session.Session, error) {
	if s.opens {
		return s.TokenStore.Open(ctx, token)
	}
	return nil, nil
}

func (mute) Rotate(context.Context, string, time.Duration) (session.Session, error) { return nil, nil }
