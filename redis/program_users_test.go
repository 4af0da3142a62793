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
	return fmt.Sprint("of ", i.ID, i.User, i.Level, i.IdleDeadline.Sub(i.LastSeen).Round(time.Second), i.AbsoluteDeadline.Sub(began), i.LastSeen.Before(began), i.AuthenticatedAt.IsZero(),
		i.RotatedAt.Before(began), i.Persistent, i.UserAgent, i.Address, i.Current)
}

var (
	programUsers = []string{"ada", "ada", "\x00:{}*", strings.Repeat("u", 256)}
	badUsers     = []string{"", strings.Repeat("u", 257)}
)

// idOf is an id, every other time one that a login gave.
func (sd *rival) idOf(st progStep) string {
	if n := len(sd.ids); n > 0 && st.on < 224 && st.key%2 == 1 {
		return sd.ids[n-1-int(st.on)%min(n, 4)]
	}
	return pick(st.on, goodIDs, badIDs)
}

// named puts names in the place of the ids that logins gave, which differ from store to
// store.
func (sd *rival) named(text string) string {
	var pairs []string
	for i, id := range sd.ids {
		pairs = append(pairs, id, fmt.Sprintf("login %d", i))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func (o outcome) named(sd *rival) outcome {
	o.id = sd.named(o.id)
	if text, ok := o.value.(string); ok && strings.HasPrefix(text, "of ") {
		o.value = sd.named(text)
	}
	return o
}

// logsIn makes every kind of login. Where there are two reasons to refuse one, which is
// found first is left open; so there is one only.
func logsIn(ctx context.Context, sd *rival, st progStep) outcome {
	carried, name := sd.carried(st)
	if st.on >= 192 && st.on < 224 {
		carried, name = "", "nobody"
	}
	var ended []string
	l := session.Login{
		User: pick(st.value, programUsers, badUsers), Level: session.Level(st.key % 4), Persistent: st.key&4 != 0, Reauthentication: st.key&24 == 24,
		MaxSessions: []int{0, 1, 2, 1, 1}[st.key%5], EndOldest: st.key&96 == 96, Ended: func(id string) { ended = append(ended, id) },
		UserAgent: strings.Repeat("a", int(st.variant)), Address: strings.Repeat("b", int(st.variant)%65),
		IdleTimeout:     pick(st.variant, []time.Duration{0, time.Minute, time.Hour}, []time.Duration{-1, 1, 13 * time.Hour, 401 * 24 * time.Hour}),
		AbsoluteTimeout: pick(st.value, []time.Duration{0, time.Hour, 400 * 24 * time.Hour}, []time.Duration{-1, 1, time.Second, 401 * 24 * time.Hour}),
		Began:           pick(st.variant^st.key, []time.Time{{}, {}, time.Now().Add(-time.Minute)}, []time.Time{time.Now().Add(-2 * time.Hour), time.Now().Add(time.Hour)}),
	}
	if st.value >= 224 && st.value < 240 {
		l.User = programUsers[0]
	}
	switch st.ctx % 4 {
	case 0:
		l.Values = map[string]any{"a": pick(st.key, storable, nil), pick(st.value, keyPool[:18], nil): pick(st.variant, storable, nil)}
	case 1: // an id that no other user's session has
		l.ID, l.Began = fmt.Sprint("login-", slices.Index(programUsers, l.User)+1), time.Time{}
	case 2:
		if st.on < 224 && st.value < 224 && st.variant < 224 && !l.Reauthentication {
			l.Values = map[string]any{"a": pick(st.key|224, nil, unstorable)}
		}
	}
	s, err := sd.store.Login(ctx, carried, l)
	o := sd.keep(s, err, st)
	for i := range ended {
		ended[i] = sd.named(ended[i])
	}
	slices.Sort(ended)
	return o.of(fmt.Sprint("of ", name, ended))
}

func listsUser(ctx context.Context, sd *rival, st progStep) outcome {
	infos, err := sd.store.UserSessions(ctx, pick(st.on, programUsers, badUsers))
	o := failedWith(err)
	var all []string
	for _, i := range infos {
		all = append(all, sd.named(described1(i)))
	}
	slices.Sort(all) // who was seen first may be a matter of less than a millisecond
	return o.of(strings.Join(all, " "))
}

func revokesUser(ctx context.Context, sd *rival, st progStep) outcome {
	if st.value < 128 { // less often than the others
		return skipped
	}
	except := slices.Concat(sd.ids[max(0, len(sd.ids)-2):], badIDs)
	n, err := sd.store.RemoveUserSessions(ctx, pick(st.on, programUsers, badUsers), except[:st.variant%3]...)
	o := failedWith(err)
	o.value = n
	return o
}
