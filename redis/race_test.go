package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

// TestRace runs every race on every topology.
func TestRace(t *testing.T) {
	t.Parallel()
	races := []struct {
		name string
		run  func(t *testing.T, a *arena)
	}{
		{"rotations lose no write", raceRotations},
		{"nobody writes to a removed session", raceRemove},
		{"nobody writes to an expired session", raceExpiry},
		{"Update counts exactly", raceUpdate},
		{"Update asks again until it fits", raceUpdateAsksAgain},
		{"Pop gives to one", racePop},
		{"Rotate gives all the same token", raceRotate},
		{"Generate makes one", raceGenerate},
		{"a shared session shows what is stored", raceShared},
	}
	everywhere(t, func(t *testing.T, a *arena) {
		for _, race := range races {
			t.Run(race.name, func(t *testing.T) { race.run(t, a) })
		}
	})
}

// Each writer has a session object of its own, as requests have, and loads it
// again now and then.
func raceRotations(t *testing.T, a *arena) {
	const (
		writers = 64
		between = 8                     // writes, so that they spread over all rotations
		grace   = 10 * time.Millisecond // or too many tokens would be good at once
	)
	var (
		rotations = 100 * *times
		st        = a.store(time.Minute)
		first     = generate(t, st)
		newest    atomic.Value
		written   atomic.Int64
		stop      atomic.Bool
		acked     [writers]int
		all       sync.WaitGroup
	)
	newest.Store(session.Token(first))
	key := func(i int) string { return fmt.Sprintf("writer %d", i) }
	for i := range writers {
		all.Go(func() {
			var s session.Session
			for n := 1; !stop.Load(); n++ {
				for n%5 == 1 {
					token := newest.Load().(string)
					var err error
					if s, err = st.Open(t.Context(), token); err == nil {
						break
					}
					// It may have been replaced, and its grace be over.
					if !errors.Is(err, session.ErrNotFound) || token == newest.Load() {
						t.Errorf("Open: %v", err)
						return
					}
				}
				if err := s.Set(t.Context(), key(i), n); err != nil {
					t.Errorf("Set: %v", err)
					return
				}
				acked[i] = n
				written.Add(1)
			}
		})
	}
	for i := range rotations {
		for written.Load() < int64(i*between) && !t.Failed() {
			time.Sleep(50 * time.Microsecond)
		}
		old := newest.Load().(string)
		s, err := st.Rotate(t.Context(), old, grace)
		if err != nil || session.Token(s) == old {
			t.Errorf("rotation %d: %v, and another token: %v", i, err, err == nil && session.Token(s) != old)
			break
		}
		newest.Store(session.Token(s))
	}
	stop.Store(true)
	all.Wait()

	s := open(t, st, newest.Load().(string))
	for i := range writers {
		if v, err := s.Get(t.Context(), key(i)); v != acked[i] || err != nil || acked[i] == 0 {
			t.Errorf("%s has %v, %v; acknowledged was %d", key(i), v, err, acked[i])
		}
	}
	if s.ID() != first.ID() {
		t.Error("it is another session")
	}
}

func raceUpdate(t *testing.T, a *arena) {
	const goroutines, each = 32, 8
	st := a.store(time.Minute)
	token := session.Token(generate(t, st))
	calls := 0
	var mu sync.Mutex
	atOnce(goroutines, func(i int) {
		s, err := st.Open(t.Context(), token)
		for n := 0; n < each && err == nil; n++ {
			err = session.Update(t.Context(), s, "count", func(old any) (any, error) {
				mu.Lock()
				calls++
				mu.Unlock()
				if i%4 == 0 {
					time.Sleep(100 * time.Microsecond) // some are slow, and succeed, too
				}
				count, _ := old.(int)
				return count + 1, nil
			})
		}
		if err != nil {
			t.Error(err)
		}
	})
	if v, err := open(t, st, token).Get(t.Context(), "count"); v != goroutines*each || err != nil {
		t.Errorf("counted %v, %v, want %d", v, err, goroutines*each)
	}
	if calls == goroutines*each {
		t.Error("no two of them met")
	}
}

// A function that takes its time loses to every write in between. It is asked
// again, and not for longer than the call may take.
func raceUpdateAsksAgain(t *testing.T, a *arena) {
	st := a.store(time.Minute)
	token := session.Token(generate(t, st))
	s, other := open(t, st, token), open(t, st, token)
	calls := 0
	lose := func(times int) func(old any) (any, error) {
		calls = 0
		return func(old any) (any, error) {
			if calls++; calls <= times {
				if err := other.Set(t.Context(), "key", calls); err != nil {
					return nil, err
				}
			}
			n, _ := old.(int)
			return -n, nil
		}
	}
	const losses = 20
	if err := session.Update(t.Context(), s, "key", lose(losses)); err != nil {
		t.Fatalf("Update: %v", err)
	}
	if v, err := open(t, st, token).Get(t.Context(), "key"); v != -losses || err != nil || calls != losses+1 {
		t.Errorf("got %v, %v after %d calls, want %d after %d", v, err, calls, -losses, losses+1)
	}

	// Writes to other keys are none of its business.
	calls = 0
	err := session.Update(t.Context(), s, "key", func(any) (any, error) {
		calls++
		return "done", errors.Join(other.Set(t.Context(), "other", calls), session.Delete(t.Context(), other, "third"))
	})
	if err != nil || calls != 1 {
		t.Errorf("beside writes to other keys: %v after %d calls", err, calls)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	err = session.Update(ctx, s, "key", lose(1<<30))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, session.ErrNotFound) {
		t.Errorf("against endless writes: %v", err)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("it took %v", took)
	}
	if v, err := open(t, st, token).Get(t.Context(), "key"); v != calls || err != nil {
		t.Errorf("got %v, %v, want what was written last, %d", v, err, calls)
	}
}

func racePop(t *testing.T, a *arena) {
	st := a.store(time.Minute)
	s := generate(t, st)
	for round := range 10 {
		if err := s.Set(t.Context(), "flash", round); err != nil {
			t.Fatal(err)
		}
		var got atomic.Int64
		atOnce(64, func(i int) {
			o, err := s, error(nil)
			if i%2 == 0 { // some know the value, some have to look
				o, err = st.Open(t.Context(), session.Token(s))
			}
			var v any
			if err == nil {
				v, err = session.Pop(t.Context(), o, "flash")
			}
			switch {
			case err != nil || v != nil && v != round:
				t.Errorf("round %d: Pop gives %v, %v", round, v, err)
			case v != nil:
				got.Add(1)
			}
		})
		if n := got.Load(); n != 1 {
			t.Errorf("round %d: %d have got it", round, n)
		}
	}
}

func raceRotate(t *testing.T, a *arena) {
	st := a.store(time.Minute)
	token := session.Token(generate(t, st))
	for range 10 {
		var tokens [64]string
		atOnce(len(tokens), func(i int) {
			s, err := st.Rotate(t.Context(), token, time.Minute)
			if err != nil {
				t.Errorf("Rotate: %v", err)
				return
			}
			tokens[i] = session.Token(s)
		})
		for _, got := range tokens {
			if got != tokens[0] || got == token || got == "" {
				t.Fatal("not all have the same new token")
			}
		}
		if session.Token(open(t, st, token)) != tokens[0] {
			t.Error("the old token leads to another one")
		}
		token = tokens[0]
		if session.Token(open(t, st, token)) != token {
			t.Error("the new token is not the newest")
		}
	}
}

func raceGenerate(t *testing.T, a *arena) {
	st := a.store(time.Minute)
	for range 10 {
		id := uuid.NewString()
		var winners atomic.Int64
		var token atomic.Value
		atOnce(64, func(int) {
			switch s, err := st.Generate(t.Context(), id); {
			case err == nil:
				winners.Add(1)
				token.Store(session.Token(s))
			case !errors.Is(err, session.ErrExists) || s != nil:
				t.Errorf("Generate: %v, %v", s, err)
			}
		})
		if n := winners.Load(); n != 1 {
			t.Fatalf("%d have made it", n)
		}
		if s := open(t, st, token.Load().(string)); s.ID() != id {
			t.Error("the winner's token opens another session")
		}
	}
}

// raceShared gives all goroutines of a request the one session of the request.
func raceShared(t *testing.T, a *arena) {
	st := a.store(time.Minute)
	s := generate(t, st)
	for round := range 10 {
		atOnce(64, func(i int) {
			var err error
			switch i % 5 {
			case 0:
				err = s.Set(t.Context(), "key", i)
			case 1:
				err = session.SetAll(t.Context(), s, map[string]any{"key": i, "second": i})
			case 2:
				err = session.Update(t.Context(), s, "key", func(any) (any, error) { return i, nil })
			case 3:
				_, err = session.Pop(t.Context(), s, "key")
			case 4:
				err = session.Delete(t.Context(), s, "key", "second")
			}
			if err != nil {
				t.Errorf("%d: %v", i%5, err)
			}
		})
		stored := open(t, st, session.Token(s))
		for _, key := range []string{"key", "second"} {
			shown, err1 := s.Get(t.Context(), key)
			want, err2 := stored.Get(t.Context(), key)
			if shown != want || err1 != nil || err2 != nil {
				t.Errorf("round %d: shows %v, %v; %v, %v is stored", round, shown, err1, want, err2)
			}
		}
	}
}
