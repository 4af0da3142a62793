package session_test

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

// Three hundred logins at once and a hook that takes 20 ms: callers wait their 50 ms
// for a place, and what is dropped is told with its number.
func TestOnEventWaitsForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := webtest.NewManager()
		var told, missed atomic.Int32
		m.OnEvent = func(_ context.Context, e session.Event) {
			time.Sleep(20 * time.Millisecond)
			if e.Kind == session.EventDropped {
				missed.Add(int32(e.Count))
			} else {
				told.Add(1)
			}
		}
		began := time.Now()
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() { (&webtest.Browser{}).SignIn(t, m, "ada") })
		}
		all.Wait()
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("the logins took %v, want 50 ms at most", took)
		}
		time.Sleep(time.Second)
		// Three rounds of 64 begin within 50 ms.
		if told.Load() < 3*64 || told.Load()+missed.Load() != 300 {
			t.Errorf("got %d events and %d missed of 300, want 192 at least and all of them", told.Load(), missed.Load())
		}
	})
}

// However hooks return while events are dropped: every event is told or counted, and
// no count waits for another event.
func TestOnEventCountsAll(t *testing.T) {
	for range 300 {
		synctest.Test(t, func(t *testing.T) {
			m := webtest.NewManager()
			var told, missed atomic.Int32
			gate := make(chan struct{})
			m.OnEvent = func(_ context.Context, e session.Event) {
				<-gate
				if e.Kind == session.EventDropped {
					missed.Add(int32(e.Count))
				} else {
					told.Add(1)
				}
			}
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() { refusedRequest(t, m) })
			}
			time.Sleep(50*time.Millisecond - 1)
			go func() { time.Sleep(time.Nanosecond); close(gate) }() // when the first give up
			all.Wait()
			synctest.Wait()
			if told.Load()+missed.Load() != 100 {
				t.Errorf("got %d events and %d missed, want 100", told.Load(), missed.Load())
			}
		})
	}
}

// Ten thousand events reach a logger: nothing is lost while it keeps up.
func TestLogEventsLosesNothing(t *testing.T) {
	const workers, each = 60, 170
	m := webtest.NewManager()
	var out counted
	m.OnEvent = session.LogEvents(slog.New(slog.NewJSONHandler(&out, nil)))
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				refusedRequest(t, m)
			}
		})
	}
	all.Wait()
	webtest.Eventually(t, "ten thousand events", func() bool { return out.malformed.Load() == workers*each })
}

// counted counts what a logger writes.
type counted struct{ malformed atomic.Int64 }

func (l *counted) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"kind":"malformed"`)) {
		l.malformed.Add(1)
	}
	return len(p), nil
}
