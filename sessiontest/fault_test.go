package sessiontest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// always gives every call the same fault.
func always(f sessiontest.Fault) func(sessiontest.Call) sessiontest.Fault {
	return func(sessiontest.Call) sessiontest.Fault { return f }
}

func TestFaultStore(t *testing.T) {
	ctx := t.Context()
	mine := errors.New("mine")
	store := &sessiontest.FaultStore{Store: &memory.Store{}, Err: mine}

	s, err := store.Generate(ctx, "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set(ctx, "key", "old"); err != nil {
		t.Fatal(err)
	}

	t.Run("fail before", func(t *testing.T) {
		store.Reset(always(sessiontest.FailBefore))
		if err := s.Set(ctx, "key", "new"); !errors.Is(err, mine) {
			t.Errorf("Set: got %v, want its Err", err)
		}
		if got, err := s.Get(ctx, "key"); got != nil || !errors.Is(err, mine) {
			t.Errorf("Get: got %v, %v, want nil and its Err", got, err)
		}
		store.Reset(nil)
		if got, err := s.Get(ctx, "key"); got != "old" || err != nil {
			t.Errorf("afterwards: got %v, %v, want the old value", got, err)
		}
	})
	t.Run("fail after", func(t *testing.T) {
		store.Reset(always(sessiontest.FailAfter))
		if err := s.Set(ctx, "key", "new"); !errors.Is(err, mine) {
			t.Errorf("Set: got %v, want its Err", err)
		}
		if made, err := store.Generate(ctx, "two"); made != nil || !errors.Is(err, mine) {
			t.Errorf("Generate: got a session and %v, want none and its Err", err)
		}
		store.Reset(nil)
		if got, err := s.Get(ctx, "key"); got != "new" || err != nil {
			t.Errorf("afterwards: got %v, %v, want the new value", got, err)
		}
		if _, err := store.Get(ctx, "two"); err != nil {
			t.Errorf("the session that was made: %v", err)
		}
	})
	t.Run("an error of the store is returned as it is", func(t *testing.T) {
		store.Reset(always(sessiontest.FailAfter))
		if _, err := store.Get(ctx, "nobody"); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
		}
	})
	t.Run("the n-th call of an operation", func(t *testing.T) {
		store.Reset(func(c sessiontest.Call) sessiontest.Fault {
			if c.Op == "Refresh" && c.N == 3 {
				return sessiontest.FailBefore
			}
			return sessiontest.None
		})
		for n := 1; n <= 4; n++ {
			if err := store.Refresh(ctx, "one"); (err != nil) != (n == 3) {
				t.Errorf("Refresh %d: got %v", n, err)
			}
		}
		if calls := store.Calls(); len(calls) != 4 || calls[3] != (sessiontest.Call{Op: "Refresh", N: 4}) {
			t.Errorf("Calls: got %v, want four of Refresh", calls)
		}
	})
}

func TestFaultStoreHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &sessiontest.FaultStore{Store: &memory.Store{}, Plan: always(sessiontest.Hang)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := store.Remove(ctx, "one"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want context.DeadlineExceeded", err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("hung for %v, want until the context ended", took)
		}
	})
}
