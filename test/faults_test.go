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
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// Every call of every flow fails once, before it takes effect and after.
func TestManagerStoreFails(t *testing.T) {
	causes := []error{&webtest.OutageError{Op: "dial"}, context.DeadlineExceeded, context.Canceled}
	for _, f := range webtest.Flows {
		for _, kind := range []string{"token", "plain"} {
			calls := f.Store
			if kind == "plain" {
				calls = f.Plain
			}
			for i, op := range calls {
				for _, after := range []bool{false, true} {
					for _, cause := range causes {
						name := fmt.Sprintf("%s/%s/%s/after=%t/%T", f.Name, kind, op, after, cause)
						t.Run(name, func(t *testing.T) { testStoreFails(t, f, kind, calls[:i+1], after, cause) })
					}
				}
			}
		}
	}
}

func testStoreFails(t *testing.T, f webtest.Flow, kind string, calls []string, after bool, cause error) {
	m, rec := webtest.SpiedPlain()
	if kind == "token" {
		m, rec = webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
	} else {
		f.Sets = map[string]int{"InitSession": 1, "RemoveSession": 1}[f.Name] // no MaxAge there
	}
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	rec.Take()
	op := calls[len(calls)-1]
	rec.Fail(webtest.Fault{Op: op, After: after, Err: fmt.Errorf("store: %w", cause)})
	retried := b.Tab()
	header := b.Visit(t, func(ctx *mist.Context) {
		err := f.Call(m, ctx)
		if !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
		if o := (*webtest.OutageError)(nil); errors.As(cause, &o) && !errors.As(err, &o) {
			t.Errorf("got %v, want the cause by errors.As", err)
		}
		if errors.Is(err, session.ErrNotFound) {
			t.Errorf("got %v, which says that nobody is logged in", err)
		}
	})
	got := slices.DeleteFunc(rec.All(), func(op string) bool { return op == "extract" })
	if !slices.Equal(got, calls) {
		t.Errorf("got calls %q, want %q and nothing after the failure", got, calls)
	}
	rec.Take()
	if got := webtest.SetCookies(header); got != nil {
		t.Errorf("got Set-Cookie %q, want none", got)
	}

	dead := op == "Remove" && after
	if name, err := b.Name(t, m); dead != errors.Is(err, session.ErrNotFound) || !dead && (err != nil || name != "alice") {
		t.Errorf("after the failure: got %q, %v", name, err)
	}

	// Again, in the same request, with the failure in between; where the session
	// could not be loaded, in the next one. Where Remove took effect it must yet
	// clear the cookie.
	if dead {
		retried.BeginNamed(t, m, "alice")
	}
	rec.Fail(webtest.Fault{Op: op, After: after, Err: cause})
	again := func(ctx *mist.Context) {
		if err := f.Call(m, ctx); err != nil {
			t.Errorf("the retry: %v", err)
		}
	}
	header = retried.Visit(t, func(ctx *mist.Context) {
		if err := f.Call(m, ctx); !errors.Is(err, cause) {
			t.Errorf("got %v, want the cause", err)
		}
		if op != "Open" && op != "Get" {
			again(ctx)
			return
		}
		if err := f.Call(m, ctx); !errors.Is(err, cause) {
			t.Errorf("in the same request: got %v, want the cause", err)
		}
	})
	if op == "Open" || op == "Get" {
		header = retried.Visit(t, again)
	}
	if got := len(header["Set-Cookie"]); got != f.Sets {
		t.Errorf("the retry: got %d Set-Cookie, want %d", got, f.Sets)
	}
	wantNobody := f.Name == "RemoveSession"
	if name, err := retried.Name(t, m); errors.Is(err, session.ErrNotFound) != wantNobody {
		t.Errorf("after the retry: got %q, %v", name, err)
	}
}

// A retry of a rotation that took effect arrives at the same successor.
func TestManagerRotateFailsAfter(t *testing.T) {
	m, rec := webtest.Spied()
	b := &webtest.Browser{}
	b.BeginNamed(t, m, "alice")
	other := b.Tab()
	rec.Fail(webtest.Fault{Op: "Rotate", After: true, Err: &webtest.OutageError{}})
	b.Visit(t, func(ctx *mist.Context) {
		if err := m.RotateSession(ctx); err == nil {
			t.Error("got no error")
		}
	})
	for _, tab := range []*webtest.Browser{b, other} {
		tab.Visit(t, func(ctx *mist.Context) {
			if err := m.RotateSession(ctx); err != nil {
				t.Errorf("the retry: %v", err)
			}
		})
	}
	if b.Cookies[webtest.CookieName] != other.Cookies[webtest.CookieName] {
		t.Error("two retries gave two tokens")
	}
}

func TestManagerPropagatorFails(t *testing.T) {
	cause := &webtest.OutageError{Op: "header"}

	t.Run("InitSession removes what it made", func(t *testing.T) {
		for _, cancelled := range []bool{false, true} {
			m, rec := webtest.Spied()
			m.NewID = func() string { return "made" }
			rec.Fail(webtest.Fault{Op: "inject", After: false, Err: cause})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			rec.On(func(ctx context.Context, op string) {
				switch {
				case op == "inject" && cancelled:
					cancel() // the client leaves
				case op == "Remove":
					if _, bounded := ctx.Deadline(); ctx.Err() != nil || !bounded {
						t.Errorf("cancelled=%t: Remove got a context that is done (%v) or has no deadline", cancelled, ctx.Err())
					}
				}
			})
			resp := (&webtest.Browser{}).Answer(ctx, func(ctx *mist.Context) {
				s, err := m.InitSession(ctx)
				if s != nil || !errors.Is(err, cause) {
					t.Errorf("cancelled=%t: got %v, want the cause", cancelled, err)
				}
				if _, err := m.GetSession(ctx); err == nil {
					t.Errorf("cancelled=%t: the request has a session", cancelled)
				}
			})
			if got, want := rec.Take(), "Generate inject Remove extract"; got != want {
				t.Errorf("cancelled=%t: got calls %q, want %q", cancelled, got, want)
			}
			if got := webtest.SetCookies(resp.Header); got != nil {
				t.Errorf("cancelled=%t: got Set-Cookie %q, want none", cancelled, got)
			}
			if _, err := m.Store.Get(t.Context(), "made"); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("cancelled=%t: the session: got %v, want ErrNotFound", cancelled, err)
			}
		}
	})

	t.Run("InitSession tells of both failures", func(t *testing.T) {
		m, rec := webtest.Spied()
		second := &webtest.OutageError{Op: "remove"}
		rec.Fail(webtest.Fault{Op: "inject", After: false, Err: cause}, webtest.Fault{Op: "Remove", After: false, Err: second})
		(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
			if _, err := m.InitSession(ctx); !errors.Is(err, cause) || !errors.Is(err, second) {
				t.Errorf("got %v, want both causes", err)
			}
		})
	})

	t.Run("InitSession does not wait for ever to clean up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m, rec := webtest.Spied()
			rec.Fail(webtest.Fault{Op: "inject", After: false, Err: cause}, webtest.Fault{Op: "Remove", After: false, Err: context.DeadlineExceeded})
			rec.On(func(ctx context.Context, op string) {
				if op == "Remove" {
					<-ctx.Done()
				}
			})
			began := time.Now()
			(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
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
			m, rec := webtest.SpiedWith(&memory.Store{}, &cookie.Propagator{MaxAge: time.Hour})
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			rec.Take()
			rec.Fail(webtest.Fault{Op: f.op, After: false, Err: cause})
			header := b.Visit(t, func(ctx *mist.Context) {
				i := slices.IndexFunc(webtest.Flows, func(g webtest.Flow) bool { return g.Name == f.flow })
				if err := webtest.Flows[i].Call(m, ctx); !errors.Is(err, cause) {
					t.Errorf("got %v, want the cause", err)
				}
			})
			if got := rec.Take(); got != f.calls {
				t.Errorf("got calls %q, want %q", got, f.calls)
			}
			if got := webtest.SetCookies(header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
			name, err := b.Name(t, m)
			if alive := err == nil && name == "alice"; alive != f.alive {
				t.Errorf("the client's identifier: got %q, %v, want alive %t", name, err, f.alive)
			}
		})
	}
}

// A request that is cancelled leaves nothing half done.
func TestManagerCancelledRequest(t *testing.T) {
	for _, f := range webtest.Flows {
		t.Run(f.Name, func(t *testing.T) {
			m, rec := webtest.Spied()
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			rec.Take()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			resp := b.Answer(ctx, func(ctx *mist.Context) {
				if err := f.Call(m, ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v, want context.Canceled", err)
				}
			})
			if got := webtest.SetCookies(resp.Header); got != nil {
				t.Errorf("got Set-Cookie %q, want none", got)
			}
			if name, err := b.Name(t, m); name != "alice" || err != nil {
				t.Errorf("afterwards: got %q, %v", name, err)
			}
		})
	}
}

// A store that answers neither a session nor an error breaks its contract, and
// must not break the handler.
func TestManagerStoreAnswersNothing(t *testing.T) {
	for _, opens := range []bool{false, true} {
		for _, f := range webtest.Flows {
			if opens && slices.Contains([]string{"GetSession", "RefreshSession", "RemoveSession"}, f.Name) {
				continue // does no more than Open
			}
			m, _ := webtest.Spied()
			b := &webtest.Browser{}
			b.BeginNamed(t, m, "alice")
			m = &session.Manager{Store: mute{m.Store.(*webtest.SpyStore), opens}, Propagator: m.Propagator}
			header := b.Visit(t, func(ctx *mist.Context) {
				if err := f.Call(m, ctx); err == nil || errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: got %v, want a failure", f.Name, err)
				}
			})
			if got := webtest.SetCookies(header); got != nil {
				t.Errorf("%s: got Set-Cookie %q, want none", f.Name, got)
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
