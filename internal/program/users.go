package program

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// logsIn makes every kind of login. A login has at most one reason to be refused,
// because stores may find two reasons in any order.
func logsIn(ctx context.Context, r *Subject, st Step) outcome {
	carried, name := r.carried(st)
	if st.On < 80 || st.On >= 192 && st.On < 224 {
		carried, name = "", "nobody"
	}
	var ended []string
	l := session.Login{
		User: pick(st.Value, Users, badUsers), Level: session.Level(st.Key % 4), Persistent: st.Key&4 != 0, Reauthentication: st.Key&24 == 24,
		MaxSessions: []int{0, 1, 2, 1, 3}[st.Key%5], EndOldest: st.Key&32 == 32, Ended: func(id string) { ended = append(ended, id) },
		UserAgent: strings.Repeat("a", int(st.Variant)), Address: strings.Repeat("b", int(st.Variant)%65),
		IdleTimeout:     pick(st.Variant, idles, []time.Duration{-1, 1, 13 * time.Hour, 401 * 24 * time.Hour}),
		AbsoluteTimeout: pick(st.Value, absolutes, []time.Duration{-1, 1, time.Millisecond - 1, 401 * 24 * time.Hour}),
		Began:           pick(st.Variant^st.Key, []time.Time{{}, {}, time.Now().Add(-time.Minute)}, []time.Time{time.Now().Add(-2 * time.Hour), time.Now().Add(time.Hour)}),
	}
	if !r.Epoch.IsZero() && !r.revoked.IsZero() && st.Variant^st.Key < 64 { // just before, exactly at or just after the revocation of another login
		edge := []time.Time{r.revoked, r.revoked, r.revoked, time.Now().Add(-session.BeganLimit)}[st.On%4]
		l.Began = edge.Add(around(time.Microsecond, r.late)[st.Value%3])
	}
	if st.Value >= 224 && st.Value < 240 {
		l.User = Users[0]
	}
	switch st.Ctx % 4 {
	case 0:
		l.Values = map[string]any{"a": pick(st.Key, storable, nil), pick(st.Value, keyPool[:18], nil): pick(st.Variant, storable, nil)}
	case 1: // an id that no session of another user has
		l.ID, l.Began = fmt.Sprint("login-", slices.Index(Users, l.User)+1), time.Time{}
	case 2:
		if st.On < 224 && st.Value < 224 && st.Variant < 224 && !l.Reauthentication {
			l.Values = map[string]any{"a": pick(st.Key|224, nil, unstorable)}
		}
	}
	s, err := r.Store.Login(ctx, carried, l)
	o := r.keep(s, err, st)
	for i := range ended {
		ended[i] = r.named(ended[i])
	}
	if r.Epoch.IsZero() {
		slices.Sort(ended) // as in describe
	}
	return o.of(fmt.Sprint(name, ended))
}

func listsUser(ctx context.Context, r *Subject, st Step) outcome {
	infos, err := r.Store.UserSessions(ctx, pick(st.On, Users, badUsers))
	o := failedWith(err)
	o.value, o.times = r.describe(infos...)
	return o
}

func revokesUser(ctx context.Context, r *Subject, st Step) outcome {
	if st.Value < 128 { // rarer than the other operations
		return skipped
	}
	except := slices.Concat(r.IDs[max(0, len(r.IDs)-2):], badIDs)
	r.revoked = time.Now()
	n, err := r.Store.RemoveUserSessions(ctx, pick(st.On, Users, badUsers), except[:st.Variant%3]...)
	o := failedWith(err)
	o.value = n
	return o
}
