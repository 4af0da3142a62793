package program_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/program"
	"github.com/mist-contrib/session/memory"
)

// A mistaken store is a memory.Store but for its refreshes.
type mistaken struct {
	*memory.Store
	refresh func(st *memory.Store, ctx context.Context, id string) error
}

func (st mistaken) Refresh(ctx context.Context, id string) error {
	return st.refresh(st.Store, ctx, id)
}

// compare runs some programs in a bubble, and reports the first difference, from the
// shortest program that has it.
func compare(t *testing.T, absolute time.Duration, refresh func(st *memory.Store, ctx context.Context, id string) error) (report string, steps int) {
	t.Helper()
	program.Register()
	run := func(p []byte) (report string) {
		synctest.Test(t, func(t *testing.T) {
			d := &program.Comparison{Pass: time.Sleep, Ended: make(map[string]int), New: func(context.Context) session.DeviceStore {
				return mistaken{&memory.Store{IdleTimeout: program.Idle, AbsoluteTimeout: absolute}, refresh}
			}}
			report = d.Run(t.Context(), p)
		})
		return report
	}
	for seed := range uint64(20) {
		if p := program.Random(seed, 150); run(p) != "" {
			p = program.Shrink(p, func(p []byte) bool { return run(p) != "" })
			return run(p), len(program.Steps(p))
		}
	}
	return "", 0
}

// TestDuel: equal stores are not told apart, and others are, with a short program and
// without a token.
func TestDuel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		absolute time.Duration
		refresh  func(st *memory.Store, ctx context.Context, id string) error
		differs  bool
	}{
		"equal":                 {program.Absolute, (*memory.Store).Refresh, false},
		"a microsecond longer":  {program.Absolute + time.Microsecond, (*memory.Store).Refresh, true},
		"a microsecond shorter": {program.Absolute - time.Microsecond, (*memory.Store).Refresh, true},
		"refresh of what is not there": {program.Absolute, func(st *memory.Store, ctx context.Context, id string) error {
			_ = st.Refresh(ctx, id)
			return ctx.Err()
		}, true},
		"refresh does nothing": {program.Absolute, func(st *memory.Store, ctx context.Context, id string) error {
			_, err := st.Get(ctx, id)
			return err
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, steps := compare(t, test.absolute, test.refresh)
			if differs := report != ""; differs != test.differs {
				t.Fatalf("differs: got %t, want %t\n%s", differs, test.differs, report)
			}
			if steps > 12 {
				t.Errorf("the program has %d steps still", steps)
			}
			if regexp.MustCompile(`[A-Z2-7]{26}`).MatchString(report) {
				t.Error("the report holds a token")
			}
			if test.differs && (!strings.Contains(report, "memory: ") || !strings.Contains(report, "other: ")) {
				t.Errorf("the report does not say what the stores answer:\n%s", report)
			}
		})
	}
}
