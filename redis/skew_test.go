package redis_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// offsets are how much the clock of a server is off: the application's machine
// is off by the opposite.
func offsets() []time.Duration {
	return []time.Duration{-24 * time.Hour, -5 * time.Minute, 5 * time.Minute, 24 * time.Hour}
}

// A sundial reads the clock of a server, in whole milliseconds as the store
// does.
type sundial struct {
	t      *testing.T
	server *redistest.Server
}

func (s sundial) now() time.Time {
	s.t.Helper()
	reply := s.server.MustDo(s.t, "TIME").([]any)
	sec, err1 := strconv.ParseInt(fmt.Sprint(reply[0]), 10, 64)
	usec, err2 := strconv.ParseInt(fmt.Sprint(reply[1]), 10, 64)
	if err1 != nil || err2 != nil {
		s.t.Fatalf("TIME gives %v", reply)
	}
	return time.UnixMicro(sec*1e6 + usec).Truncate(time.Millisecond)
}

// during returns between which times of the server f ran.
func (s sundial) during(f func() error) (before, after time.Time) {
	s.t.Helper()
	before = s.now()
	if err := f(); err != nil {
		s.t.Fatal(err)
	}
	return before, s.now()
}

// ends checks that what look finds is there until the server's clock shows the
// deadline, and then no more. The deadline itself lies between two times.
func (s sundial) ends(what string, first, last time.Time, look func() error) {
	s.t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		before := s.now()
		err := look()
		after := s.now()
		switch {
		case err != nil && !errors.Is(err, session.ErrNotFound):
			s.t.Fatalf("%s: %v", what, err)
		case err == nil && before.After(last):
			s.t.Fatalf("%s: still there %v after its end", what, before.Sub(last))
		case err != nil && after.Before(first):
			s.t.Fatalf("%s: gone %v before its end", what, first.Sub(after))
		case err != nil:
			return
		case time.Now().After(limit):
			s.t.Fatalf("%s: the server's clock stands still", what)
		}
	}
}

// within checks that a time is one of the server.
func (s sundial) within(what string, got, first, last time.Time) {
	s.t.Helper()
	if got.Before(first) || got.After(last) {
		s.t.Errorf("%s is %v, not between %v and %v", what, got, first, last)
	}
}

func described(t *testing.T, s session.Session) session.Info {
	t.Helper()
	info, err := session.Describe(s)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// Only the server's clock counts.
func TestSkew(t *testing.T) {
	t.Parallel()
	for _, offset := range offsets() {
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			const idle, absolute = 800 * time.Millisecond, 2 * time.Second
			server := redistest.StartSkewed(t, offset)
			clock := sundial{t, server}
			st := &redis.Store{
				Client:      newClient(t, "redis://"+server.Addr+patient),
				IdleTimeout: idle, AbsoluteTimeout: absolute, OpTimeout: patience,
			}
			var s session.Session
			born, made := clock.during(func() (err error) {
				s = generate(t, st)
				return s.Set(t.Context(), "key", 1) // prolongs nothing
			})
			for what, s := range map[string]session.Session{"Generate": s, "Open": open(t, st, session.Token(s))} {
				info := described(t, s)
				clock.within(what+": CreatedAt", info.CreatedAt, born, made)
				clock.within(what+": LastSeen", info.LastSeen, info.CreatedAt, info.CreatedAt)
				clock.within(what+": IdleDeadline", info.IdleDeadline, info.CreatedAt.Add(idle), info.CreatedAt.Add(idle))
				clock.within(what+": AbsoluteDeadline", info.AbsoluteDeadline, info.CreatedAt.Add(absolute), info.CreatedAt.Add(absolute))
			}
			deadline := described(t, s).IdleDeadline
			clock.ends("idle", deadline, deadline, func() error {
				_, err := st.Open(t.Context(), session.Token(s))
				return err
			})

			skewedRefresh(t, clock, st)
			skewedGrace(t, clock)
		})
	}
}

// skewedRefresh checks that Refresh counts from the server's time, and not past
// the end.
func skewedRefresh(t *testing.T, clock sundial, st *redis.Store) {
	t.Helper()
	s := generate(t, st)
	end := described(t, s).AbsoluteDeadline
	deadline := described(t, s).IdleDeadline
	for {
		var err error
		before, after := clock.during(func() error {
			err = st.Refresh(t.Context(), s.ID())
			return nil
		})
		if err != nil {
			if !errors.Is(err, session.ErrNotFound) || after.Before(deadline) {
				t.Errorf("Refresh: %v, %v before the end", err, deadline.Sub(after))
			}
			break
		}
		if before.After(end) {
			t.Fatal("the session outlives its absolute timeout")
		}
		loaded, err := st.Open(t.Context(), session.Token(s))
		if err != nil {
			continue // Refresh will say whether it is right
		}
		info := described(t, loaded)
		clock.within("LastSeen", info.LastSeen, before, after)
		if deadline = info.LastSeen.Add(st.IdleTimeout); deadline.After(end) {
			deadline = end
		}
		clock.within("IdleDeadline", info.IdleDeadline, deadline, deadline)
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := st.Open(t.Context(), session.Token(s)); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Open past the end: %v", err)
	}
}

// skewedGrace checks that a replaced token is good for its grace, from when the
// new one was seen.
func skewedGrace(t *testing.T, clock sundial) {
	t.Helper()
	const grace = 400 * time.Millisecond
	st := &redis.Store{Client: newClient(t, "redis://"+clock.server.Addr+patient), OpTimeout: patience}
	old := session.Token(generate(t, st))
	rotated, err := st.Rotate(t.Context(), old, grace)
	if err != nil {
		t.Fatalf("Rotate: %v", err)
	}
	time.Sleep(grace) // nothing begins yet
	seen, shown := clock.during(func() error {
		_, err := st.Open(t.Context(), session.Token(rotated))
		return err
	})
	clock.ends("grace", seen.Add(grace), shown.Add(grace), func() error {
		_, err := st.Open(t.Context(), old)
		return err
	})
	if _, err := st.Open(t.Context(), session.Token(rotated)); err != nil {
		t.Errorf("the new token: %v", err)
	}
}
