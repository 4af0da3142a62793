package servertest

import (
	"context"
	"time"

	"github.com/mist-contrib/session"
)

// Leaps are the leaps of servers' clocks, which the clock of this process does not make.
type Leaps struct {
	leaps []leap
	sum   time.Duration
}

type leap struct {
	at time.Time
	by time.Duration
}

// Advance makes the clocks of servers leap by d.
func (l *Leaps) Advance(d time.Duration, servers ...*Server) {
	l.sum += d
	for _, server := range servers {
		server.SetClock(l.sum)
	}
	l.leaps = append(l.leaps, leap{time.Now(), d})
}

// Store returns st for tests that tell it when a login began: it corrects that time, as if
// the clock of this process had made the leaps too.
func (l *Leaps) Store(st session.DeviceStore) session.DeviceStore { return &leapingStore{st, l} }

type leapingStore struct {
	session.DeviceStore

	leaps *Leaps
}

func (s *leapingStore) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	for _, leap := range s.leaps.leaps {
		if !l.Began.IsZero() && l.Began.Before(leap.at) {
			l.Began = l.Began.Add(-leap.by)
		}
	}
	return s.DeviceStore.Login(ctx, token, l)
}
