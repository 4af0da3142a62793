package redis_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// described1 is what does not depend on when it was.
func described1(i session.Info) string {
	began := i.CreatedAt
	if i.User != "" {
		began = i.AuthenticatedAt
	}
	return fmt.Sprint(i.ID, i.User, i.Level, i.IdleDeadline.Sub(i.LastSeen).Round(time.Second), i.AbsoluteDeadline.Sub(began), i.LastSeen.Before(began), i.AuthenticatedAt.IsZero(),
		i.RotatedAt.Before(began), i.Persistent, i.UserAgent, i.Address, i.Current)
}

var (
	programUsers = []string{"ada", "ada", "\x00:{}*", strings.Repeat("u", 256)}
	badUsers     = []string{"", strings.Repeat("u", 257)}
)

// logsIn makes every kind of login. Which session ends for another is left to
// other tests: a login that was refused counts for its age in Redis, so there is one
// only, or none.
func logsIn(ctx context.Context, sd *rival, st progStep) outcome {
	carried, name := sd.carried(st)
	var ended []string
	l := session.Login{
		User: pick(st.value, programUsers, badUsers), Level: session.Level(st.key % 4), Persistent: st.key&4 != 0, Reauthentication: st.key&24 == 24,
		MaxSessions: []int{0, 1, 1, 1, 3}[st.key%5], EndOldest: st.key&96 == 96, Ended: func(id string) { ended = append(ended, id) },
		UserAgent: strings.Repeat("a", int(st.variant)), Address: strings.Repeat("b", int(st.variant)%65),
		IdleTimeout:     pick(st.variant, []time.Duration{0, time.Minute, time.Hour}, []time.Duration{-1, 1, 13 * time.Hour, 401 * 24 * time.Hour}),
		AbsoluteTimeout: pick(st.value, []time.Duration{0, time.Hour, 400 * 24 * time.Hour}, []time.Duration{-1, 1, time.Second, 401 * 24 * time.Hour}),
		Began:           pick(st.variant^st.key, []time.Time{{}, {}, time.Now().Add(-time.Minute)}, []time.Time{time.Now().Add(-2 * time.Hour), time.Now().Add(time.Hour)}),
	}
	if st.value >= 224 && st.value < 240 {
		l.User = programUsers[0] // or both are wrong, and which is found first is left open
	}
	s, err := sd.store.Login(ctx, carried, l)
	slices.Sort(ended)
	return sd.keep(s, err, st).of(fmt.Sprint(name, ended))
}
