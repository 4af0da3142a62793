package sealed_test

import (
	"context"
	"flag"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
	"github.com/mist-contrib/session/sessiontest"
)

var limit = flag.Int("limit", 30, "how many orders of two requests TestInterleavings explores, at most; 0 for all, and twenty times as many of more")

// TestInterleavings explores what requests do to each other. What is lost is what the
// package says, and it is lost: see [sessiontest.Losses].
func TestInterleavings(t *testing.T) {
	t.Parallel()
	var pairs, more []string // of requests
	for _, burst := range sessiontest.Bursts() {
		if len(strings.Fields(strings.TrimPrefix(burst, "in:"))) <= 2 {
			pairs = append(pairs, burst)
		} else {
			more = append(more, burst)
		}
	}
	random := 200
	if *limit == 0 {
		random = 4000
	}
	for _, c := range []struct {
		name                string
		middleware, revokes bool
	}{
		{"with the Middleware", true, false},
		{"without", false, false},
		{"with the Middleware and Revoke", true, true},
		{"without, with Revoke", false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var lost sessiontest.Losses
			e := sessiontest.Explorer{
				New: func(*testing.T) session.Store { return explored(c.revokes) }, Idle: 30 * time.Minute,
				Middleware: c.middleware, ByDesign: &lost, Limit: *limit, Bursts: possible(pairs, c.revokes),
			}
			sessiontest.Explore(t, e)
			e.Bursts, e.Random = possible(more, c.revokes), random
			sessiontest.Explore(t, e)
			for what, n := range map[string]int{
				"Writes": lost.Writes, "Replays": lost.Replays, "Undone": lost.Undone, "Ended": lost.Ended,
			} {
				if n == 0 {
					t.Errorf("%s: got 0, but the package says that they are lost", what)
				}
			}
		})
	}
}

// possible leaves out what needs Revoke, and devices.
func possible(bursts []string, revokes bool) (all []string) {
	device := regexp.MustCompile(`\b(bind|prove|replay|lapse|bound)\b`)
	for _, burst := range bursts {
		if (revokes || !strings.Contains(burst, "revoke")) && !device.MatchString(burst) {
			all = append(all, burst)
		}
	}
	return all
}

// explored returns a store whose revocations are kept far away: others come between a
// question and its answer.
func explored(revokes bool) *sealed.Store {
	st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
	if revokes {
		var ended sealed.Revocations
		st.Revoked = func(ctx context.Context, info session.Info) (bool, error) {
			sessiontest.Step(ctx)
			return ended.Revoked(ctx, info)
		}
		st.Revoke = func(ctx context.Context, r sealed.Revocation) error {
			sessiontest.Step(ctx) // the first step of a call is its beginning
			sessiontest.Step(ctx)
			return ended.Revoke(ctx, r)
		}
	}
	return st
}
