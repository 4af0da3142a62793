package redis_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/redis"
)

// A victim is a session that ends while some write to it.
type victim struct {
	session.Session

	born    time.Time // not after its creation
	acked   atomic.Int64
	written chan struct{} // closed with the fourth write
	removed atomic.Bool   // or about to be
	dead    atomic.Bool   // known to be: removed, or found to be gone
}

// slack is what Redis may be early: it counts whole milliseconds.
const slack = 2 * time.Millisecond

// A deed is something that one does to a session, some n-th time.
type deed struct {
	name string
	do   func(ctx context.Context, st *redis.Store, s session.Session, n int) error
}

func deeds() []deed {
	return []deed{
		{"Set", func(ctx context.Context, _ *redis.Store, s session.Session, n int) error {
			return s.Set(ctx, "set", n)
		}},
		{"SetAll", func(ctx context.Context, _ *redis.Store, s session.Session, n int) error {
			return session.SetAll(ctx, s, map[string]any{"some": n, "more": n})
		}},
		{"Update", func(ctx context.Context, _ *redis.Store, s session.Session, n int) error {
			return session.Update(ctx, s, "some", func(any) (any, error) { return -n, nil })
		}},
		{"Delete", func(ctx context.Context, _ *redis.Store, s session.Session, _ int) error {
			return session.Delete(ctx, s, "set", "more")
		}},
		{"Pop", func(ctx context.Context, _ *redis.Store, s session.Session, _ int) error {
			_, err := session.Pop(ctx, s, "some")
			return err
		}},
		{"Clear", func(ctx context.Context, _ *redis.Store, s session.Session, _ int) error {
			return session.Clear(ctx, s)
		}},
		{"Rotate", func(ctx context.Context, st *redis.Store, s session.Session, _ int) error {
			_, err := st.Rotate(ctx, session.Token(s), time.Minute)
			return err
		}},
		// The last one prolongs life.
		{"Refresh", func(ctx context.Context, st *redis.Store, s session.Session, _ int) error {
			return st.Refresh(ctx, s.ID())
		}},
	}
}

func raceRemove(t *testing.T, a *arena) {
	raceDeath(t, a.store(time.Minute), a, deeds(), func(st *redis.Store, v *victim) {
		select {
		case <-v.written:
		case <-time.After(patience):
			t.Error("nobody writes")
		}
		v.removed.Store(true)
		if err := st.Remove(t.Context(), v.ID()); err != nil {
			t.Errorf("Remove: %v", err)
		}
		v.dead.Store(true)
	})
}

func raceExpiry(t *testing.T, a *arena) {
	all := deeds()
	raceDeath(t, a.store(60*time.Millisecond), a, all[:len(all)-1], func(*redis.Store, *victim) {})
}

// raceDeath lets many sessions die, 16 at once with four writers each.
func raceDeath(t *testing.T, st *redis.Store, a *arena, deeds []deed, kill func(st *redis.Store, v *victim)) {
	const together, writers = 16, 4
	sessions := 160 * *times
	var (
		victims = make([]*victim, sessions)
		acked   int64
	)
	stop := lookout(t, a, st)
	for first := 0; first < sessions && !t.Failed(); first += together {
		var all sync.WaitGroup
		for i := first; i < first+together; i++ {
			all.Go(func() {
				v := &victim{born: time.Now(), written: make(chan struct{})}
				var err error
				if v.Session, err = st.Generate(t.Context(), uuid.NewString()); err != nil {
					t.Errorf("Generate: %v", err)
					return
				}
				victims[i] = v
				all.Go(func() { kill(st, v) })
				for w := range writers {
					all.Go(func() { v.beset(t, st, deeds[(first/together+i+w)%len(deeds)]) })
				}
			})
		}
		all.Wait()
	}
	stop()
	if t.Failed() {
		return
	}
	for _, v := range victims {
		v.staysDead(t, a, st)
		acked += v.acked.Load()
	}
	if acked < int64(sessions) {
		t.Errorf("there were only %d writes before the deaths of %d", acked, sessions)
	}
	if n, _, err := a.keys(st); n != 0 || err != nil {
		t.Errorf("%d keys, %v are left", n, err)
	}
}

// beset does something to a session until it is dead, and a little longer. Its
// object was loaded while the session lived.
func (v *victim) beset(t *testing.T, st *redis.Store, d deed) {
	s, err := st.Open(t.Context(), session.Token(v.Session))
	loaded := err == nil
	for n, after := 1, 0; after < 3; n++ {
		if time.Since(v.born) > patience {
			t.Errorf("%s: it does not die", d.name)
			return
		}
		dead := v.dead.Load()
		if err == nil {
			err = d.do(t.Context(), st, s, n)
		}
		switch {
		case err == nil && dead:
			t.Errorf("%s: acknowledged after death", d.name)
			return
		case err == nil:
			if v.acked.Add(1) == 4 {
				close(v.written)
			}
			continue
		case !errors.Is(err, session.ErrNotFound):
			t.Errorf("%s: %v", d.name, err)
			return
		case !v.removed.Load() && time.Since(v.born) < st.IdleTimeout-slack:
			t.Errorf("%s: died after %v", d.name, time.Since(v.born))
			return
		case !loaded: // it came too late
			return
		}
		v.dead.Store(true)
		after++
		err = nil
	}
}

func (v *victim) staysDead(t *testing.T, a *arena, st *redis.Store) {
	t.Helper()
	exists := func() int64 {
		n, err := a.client.Exists(t.Context(), st.Prefix+v.ID()).Result()
		if err != nil {
			t.Error(err)
		}
		return n
	}
	if exists() != 0 {
		t.Error("its key is back")
	}
	opened, err1 := st.Open(t.Context(), session.Token(v.Session))
	rotated, err2 := st.Rotate(t.Context(), session.Token(v.Session), time.Minute)
	got, err5 := st.Get(t.Context(), v.ID())
	if opened != nil || rotated != nil || got != nil {
		t.Error("there is a session beside an error")
	}
	err3 := st.Refresh(t.Context(), v.ID())
	err4 := v.Set(t.Context(), "late", true)
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("a dead session: %v", err)
		}
	}
	if exists() != 0 {
		t.Error("its key is back after all")
	}
}

// lookout watches for keys without expiry until it is stopped.
func lookout(t *testing.T, a *arena, st *redis.Store) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var (
		all  sync.WaitGroup
		seen int
	)
	all.Go(func() {
		for ctx.Err() == nil {
			n, forever, err := a.keys(st)
			seen += n
			if len(forever) > 0 || err != nil {
				t.Errorf("%d keys without expiry, %v", len(forever), err)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	return func() {
		cancel()
		all.Wait()
		if seen == 0 {
			t.Error("the lookout has seen no key")
		}
	}
}
