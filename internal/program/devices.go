package program

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// The lifetimes of device tokens, and how long stores remember challenges.
//
//nolint:gochecknoglobals // never changes
var (
	lifetimes  = []time.Duration{time.Minute, time.Hour, time.Minute, 24 * time.Hour}
	remembered = []time.Duration{0, time.Minute, time.Hour, 24 * time.Hour}
	deviceList = []string{"a device", "a device", "a device", "another\x00\xff device"}

	badTimes   = []time.Duration{-1, math.MinInt64, math.MaxInt64, 24*time.Hour + 1}
	badDevices = []string{"", strings.Repeat("d", 1025)}
)

// proof returns the proof for a step. At most one thing is wrong with it.
func (st Step) proof() session.Proof {
	p := session.Proof{
		Device: pick(st.Value%224, deviceList, nil), Challenge: fmt.Sprint(st.Key % 16), Remember: pick(st.Variant%224, remembered, nil),
		Lifetime: pick(st.Key/16, lifetimes, nil), Grace: pick(st.Variant/4, []time.Duration{0, time.Minute, time.Hour, 24 * time.Hour}, nil),
	}
	switch bad := badTimes[st.Variant%4]; {
	case st.Value < 240:
	case st.Value < 244:
		p.Device = badDevices[st.Variant%2]
	case st.Value < 248:
		p.Remember = bad
	case st.Value < 252:
		p.Grace = bad
	default:
		p.Lifetime = []time.Duration{0, time.Millisecond - 1, bad}[st.Key%3]
	}
	return p
}

// binds binds the session of an issued token.
func binds(ctx context.Context, r *Subject, st Step) outcome {
	carried, name := r.carried(st)
	s, err := r.Store.Bind(ctx, carried, st.proof())
	o := r.opened(s, err, st)
	if err == nil {
		r.bound = append(r.bound, s.ID())
	}
	return o.of(name)
}

// proves proves once, or until too many tokens are valid. It mostly picks sessions that
// are bound.
func proves(ctx context.Context, r *Subject, st Step) outcome {
	id := r.idOf(st)
	if n := len(r.bound); n > 0 && st.On < 192 {
		id = r.bound[n-1-int(st.On)%min(n, 3)]
	}
	p := st.proof()
	s, err := r.Store.Prove(ctx, id, p)
	o := r.keep(s, err, st)
	for i := range 70 {
		if st.Variant < 250 || err != nil {
			break
		}
		p.Challenge = fmt.Sprint("one more ", i)
		s, err = r.Store.Prove(ctx, id, p)
		o = r.keep(s, err, st)
	}
	return o.of(r.named(id))
}

// device returns what an object reports about its device.
func device(_ context.Context, s session.Session, _ Step) (any, error) { return session.DeviceOf(s) }

// ends returns when the device tokens end that a session reports.
func ends(info session.Info) []time.Time {
	return slices.DeleteFunc([]time.Time{info.IdleDeadline, info.AbsoluteDeadline, info.ProvedUntil}, time.Time.IsZero)
}
