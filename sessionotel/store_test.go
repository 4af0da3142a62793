package sessionotel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessionotel"
)

// A fakeStore knows tokens, users and devices, and answers whatever a test wants.
type fakeStore struct {
	session.DeviceStore

	answer func(ctx context.Context) (session.Session, error)
}

func (f fakeStore) Generate(ctx context.Context, _ string) (session.Session, error) {
	return f.answer(ctx)
}

func (f fakeStore) Get(ctx context.Context, _ string) (session.Session, error) { return f.answer(ctx) }

func (f fakeStore) Open(ctx context.Context, _ string) (session.Session, error) { return f.answer(ctx) }

func (f fakeStore) Refresh(ctx context.Context, _ string) error { _, err := f.answer(ctx); return err }

func (f fakeStore) Remove(ctx context.Context, _ string) error { _, err := f.answer(ctx); return err }

func (f fakeStore) Rotate(ctx context.Context, _ string, _ time.Duration) (session.Session, error) {
	return f.answer(ctx)
}

func (f fakeStore) Login(ctx context.Context, _ string, _ session.Login) (session.Session, error) {
	return f.answer(ctx)
}

func (f fakeStore) Bind(ctx context.Context, _ string, _ session.Proof) (session.Session, error) {
	return f.answer(ctx)
}

func (f fakeStore) Prove(ctx context.Context, _ string, _ session.Proof) (session.Session, error) {
	return f.answer(ctx)
}

func (f fakeStore) UserSessions(ctx context.Context, _ string) ([]session.Info, error) {
	_, err := f.answer(ctx)
	return []session.Info{{ID: "a"}}, err
}

func (f fakeStore) RemoveUserSessions(ctx context.Context, _ string, except ...string) (int, error) {
	_, err := f.answer(ctx)
	return len(except), err
}

// A fakeSession can do everything, or fails at it.
type fakeSession struct{ err error }

func (fakeSession) ID() string                                     { return "id" }
func (fakeSession) Get(context.Context, string) (any, error)       { return "value", nil }
func (s fakeSession) Set(context.Context, string, any) error       { return s.err }
func (s fakeSession) SetAll(context.Context, map[string]any) error { return s.err }
func (s fakeSession) Delete(context.Context, ...string) error      { return s.err }
func (s fakeSession) Clear(context.Context) error                  { return s.err }
func (s fakeSession) Now(context.Context) (time.Time, error)       { return time.Time{}, s.err }
func (s fakeSession) Pop(context.Context, string) (any, error)     { return "value", s.err }
func (s fakeSession) Update(_ context.Context, _ string, f func(any) (any, error)) error {
	if _, err := f("old"); err != nil {
		return err
	}
	return s.err
}

const (
	secret  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	carried = "id." + secret
)

// users finds the capability as the Manager does.
func users(t *testing.T, st session.Store) session.UserStore {
	t.Helper()
	for {
		if us, ok := st.(session.UserStore); ok {
			return us
		}
		w, ok := st.(interface{ Unwrap() session.Store })
		if !ok {
			t.Fatal("no UserStore")
		}
		st = w.Unwrap()
	}
}

// operations are all calls of a store and of its sessions, by what their spans
// are to say: the operation and the id.
func operations(t *testing.T, st *sessionotel.Store, of session.Session) map[string]func(ctx context.Context) error {
	t.Helper()
	us := users(t, st)
	ds := us.(session.DeviceStore)
	either := func(s session.Session, err error) error {
		if (s == nil) == (err == nil) {
			t.Errorf("got %v and %v", s, err)
		}
		return err
	}
	return map[string]func(ctx context.Context) error{
		"generate id=id":       func(ctx context.Context) error { return either(st.Generate(ctx, "id")) },
		"get id=id":            func(ctx context.Context) error { return either(st.Get(ctx, "id")) },
		"refresh id=id":        func(ctx context.Context) error { return st.Refresh(ctx, "id") },
		"remove id=id":         func(ctx context.Context) error { return st.Remove(ctx, "id") },
		"open id=id":           func(ctx context.Context) error { return either(us.Open(ctx, carried)) },
		"rotate id=id":         func(ctx context.Context) error { return either(us.Rotate(ctx, carried, 0)) },
		"login id=id":          func(ctx context.Context) error { return either(us.Login(ctx, carried, session.Login{})) },
		"bind id=id":           func(ctx context.Context) error { return either(ds.Bind(ctx, carried, session.Proof{})) },
		"prove id=id":          func(ctx context.Context) error { return either(ds.Prove(ctx, "id", session.Proof{})) },
		"user_sessions":        func(ctx context.Context) error { _, err := us.UserSessions(ctx, "alice"); return err },
		"remove_user_sessions": func(ctx context.Context) error { _, err := us.RemoveUserSessions(ctx, "alice"); return err },

		"now id=id":     func(ctx context.Context) error { _, err := session.Now(ctx, of); return err },
		"set id=id":     func(ctx context.Context) error { return of.Set(ctx, "key", "value") },
		"set_all id=id": func(ctx context.Context) error { return session.SetAll(ctx, of, nil) },
		"delete id=id":  func(ctx context.Context) error { return session.Delete(ctx, of, "key") },
		"clear id=id":   func(ctx context.Context) error { return session.Clear(ctx, of) },
		"pop id=id":     func(ctx context.Context) error { _, err := session.Pop(ctx, of, "key"); return err },
		"update id=id": func(ctx context.Context) error {
			return session.Update(ctx, of, "key", func(old any) (any, error) { return old, nil })
		},
	}
}

var errDown = errors.New("redis: connection refused")

// Every call is one span and one duration, with what came of it. What came of it
// is what the caller gets, unchanged.
func TestStore(t *testing.T) {
	for _, c := range []struct {
		err    error
		want   string
		status string
	}{
		{nil, "ok", ""},
		{session.ErrNotFound, "not_found", ""},
		{fmt.Errorf("memory: %w", session.ErrReused), "not_found", ""},
		{session.ErrExpiredIdle, "not_found", ""},
		{session.ErrRevoked, "refused", ""},
		{session.ErrUserLimit, "refused", ""},
		{session.ErrInvalidUser, "refused", ""},
		{session.ErrExists, "refused", ""},
		{session.ErrInvalidID, "refused", ""},
		{session.ErrValue, "refused", ""},
		{session.ErrTooLarge, "refused", ""},
		{session.ErrBound, "refused", ""},
		{session.ErrUnbound, "refused", ""},
		{session.ErrReplayed, "refused", ""},
		{session.ErrUnproved, "not_found", ""},
		{errors.ErrUnsupported, "refused", ""},
		{context.Canceled, "canceled", ""},
		{context.DeadlineExceeded, "error", " Error: context deadline exceeded"},
		{session.ErrFull, "error", " Error: session: store is full"},
		{errDown, "error", " Error: redis: connection refused"},
	} {
		tel := &telemetry{}
		answer := session.Session(fakeSession{err: nil})
		st := &sessionotel.Store{TracerProvider: tel, MeterProvider: tel.meters(), Store: fakeStore{answer: func(context.Context) (session.Session, error) {
			if c.err != nil {
				return nil, c.err
			}
			return answer, nil
		}}}
		of, err := (&sessionotel.Store{TracerProvider: tel, MeterProvider: tel.meters(), Store: fakeStore{
			answer: func(context.Context) (session.Session, error) { return fakeSession{c.err}, nil },
		}}).Get(t.Context(), "id")
		if err != nil {
			t.Fatal(err)
		}
		tel.spans()
		tel.measured()
		for name, call := range operations(t, st, of) {
			if err := call(t.Context()); !errors.Is(err, c.err) {
				t.Errorf("%s: got %v, want %v", name, err, c.err)
			}
			op, id, _ := strings.Cut(name, " ")
			want := strings.Join(strings.Fields("session."+op+" operation="+op+" "+id+" outcome="+c.want), " ") + c.status
			if got := tel.spans(); !slices.Equal(got, []string{want}) {
				t.Errorf("got spans %q, want %q", got, want)
			}
			want = "operation=" + op + " outcome=" + c.want
			if got := tel.measured(); !slices.Equal(got, []string{want}) {
				t.Errorf("got durations %q, want %q", got, want)
			}
		}
	}
}

// What a call returns beside the error passes through.
func TestStoreAnswers(t *testing.T) {
	st := &sessionotel.Store{Store: fakeStore{answer: func(context.Context) (session.Session, error) { return nil, errDown }}}
	us := users(t, st)
	if n, err := us.RemoveUserSessions(t.Context(), "alice", "a", "b"); n != 2 || !errors.Is(err, errDown) {
		t.Errorf("RemoveUserSessions: got %d, %v", n, err)
	}
	st = &sessionotel.Store{Store: fakeStore{answer: func(context.Context) (session.Session, error) { return nil, nil }}}
	us = users(t, st)
	if infos, err := us.UserSessions(t.Context(), "alice"); len(infos) != 1 || err != nil {
		t.Errorf("UserSessions: got %v, %v", infos, err)
	}
	if s, err := us.Open(t.Context(), carried); s != nil || err != nil {
		t.Errorf("a store that answers nothing: got %v, %v", s, err)
	}
	st = &sessionotel.Store{Store: fakeStore{answer: func(context.Context) (session.Session, error) { return fakeSession{errDown}, nil }}}
	s, err := st.Get(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Get(t.Context(), "key"); v != "value" || err != nil {
		t.Errorf("Get: got %v, %v", v, err)
	}
	if v, err := session.Pop(t.Context(), s, "key"); v != "value" || !errors.Is(err, errDown) {
		t.Errorf("Pop: got %v, %v", v, err)
	}
}

// The calls of a store are in the span of the request, and what the store does
// itself is in the span of the call. They take as long as they take.
func TestStoreNests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := &telemetry{}
		st := &sessionotel.Store{TracerProvider: tel, MeterProvider: tel.meters(), Store: fakeStore{answer: func(ctx context.Context) (session.Session, error) {
			_, inner := tel.Tracer("redis").Start(ctx, "HGETALL")
			time.Sleep(3 * time.Millisecond)
			inner.End()
			return fakeSession{}, nil
		}}}
		ctx, request := tel.Tracer("mist").Start(t.Context(), "GET /")
		if _, err := users(t, st).Open(ctx, carried); err != nil {
			t.Fatal(err)
		}
		request.End()
		want := []string{"HGETALL  in session.open", "session.open operation=open id=id outcome=ok in GET /", "GET / "}
		if got := tel.spans(); !slices.Equal(got, want) {
			t.Errorf("got spans %q, want %q", got, want)
		}
		if want := []float64{0.003}; !slices.Equal(tel.seconds, want) {
			t.Errorf("got durations %v, want %v", tel.seconds, want)
		}
		if want := "[session.operation.duration s true]"; fmt.Sprint(tel.made) != want {
			t.Errorf("got instruments %v, want %s", tel.made, want)
		}
	})
}

// A store that panics is a failure that is seen, and panics on.
func TestStorePanics(t *testing.T) {
	tel := &telemetry{}
	st := &sessionotel.Store{TracerProvider: tel, MeterProvider: tel.meters(), Store: fakeStore{
		answer: func(context.Context) (session.Session, error) { panic(carried) },
	}}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		_, _ = users(t, st).Open(t.Context(), carried)
	}()
	if got, want := tel.spans(), []string{"session.open operation=open id=id outcome=error Error: panic"}; !slices.Equal(got, want) {
		t.Errorf("got spans %q, want %q", got, want)
	}
	if got, want := tel.measured(), []string{"operation=open outcome=error"}; !slices.Equal(got, want) {
		t.Errorf("got durations %q, want %q", got, want)
	}
}

// An error of the function of an Update is the application's: no failure, and its
// text is in no span.
func TestStoreUpdateRefused(t *testing.T) {
	tel := &telemetry{}
	st := &sessionotel.Store{Store: &memory.Store{}, TracerProvider: tel, MeterProvider: tel.meters()}
	s, err := st.Generate(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	tel.spans()
	own := errors.New("the cart is empty")
	if err := session.Update(t.Context(), s, "cart", func(any) (any, error) { return nil, own }); !errors.Is(err, own) {
		t.Errorf("got %v, want that of f", err)
	}
	if got, want := tel.spans(), []string{"session.update operation=update id=id outcome=refused"}; !slices.Equal(got, want) {
		t.Errorf("got spans %q, want %q", got, want)
	}
}

// Without providers it is the global ones, also those that are set later; without
// any, nothing is recorded and everything works. An instrument that cannot be made
// is told to OpenTelemetry's own handler.
func TestStoreByDefault(t *testing.T) {
	st := &sessionotel.Store{Store: &memory.Store{}}
	hook := sessionotel.Events(nil)
	if _, err := st.Generate(t.Context(), "before"); err != nil {
		t.Fatal(err)
	}
	tel := &telemetry{}
	otel.SetTracerProvider(tel)
	otel.SetMeterProvider(tel.meters())
	if _, err := st.Generate(t.Context(), "after"); err != nil {
		t.Fatal(err)
	}
	hook(t.Context(), session.Event{Kind: session.EventForged})
	if got := tel.spans(); len(got) != 1 || !strings.Contains(got[0], "id=after") {
		t.Errorf("got spans %q", got)
	}
	if len(tel.measured()) != 1 || fmt.Sprint(tel.counts) != "[event=forged 1]" {
		t.Errorf("got counts %q", tel.counts)
	}

	var told []error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { told = append(told, err) }))
	broken := &telemetry{broken: true}
	st = &sessionotel.Store{Store: &memory.Store{}, TracerProvider: broken, MeterProvider: broken.meters()}
	if _, err := st.Generate(t.Context(), "id"); err != nil {
		t.Error(err)
	}
	sessionotel.Events(broken.meters())(t.Context(), session.Event{})
	if len(told) != 2 || !errors.Is(told[0], errInstrument) || !errors.Is(told[1], errInstrument) {
		t.Errorf("told %v", told)
	}
}

var _ trace.TracerProvider = (*telemetry)(nil)
