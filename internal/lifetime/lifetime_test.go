package lifetime_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/lifetime"
)

func TestOf(t *testing.T) {
	const (
		usualIdle     = 30 * time.Minute
		usualAbsolute = 12 * time.Hour
		ms            = time.Millisecond
	)
	for _, c := range []struct {
		name           string
		idle, absolute time.Duration
		wantIdle       time.Duration
		wantAbsolute   time.Duration
		wrong          string // the fields that the error names
	}{
		{"defaults", 0, 0, usualIdle, usualAbsolute, ""},
		{"idle alone", time.Hour, 0, time.Hour, usualAbsolute, ""},
		{"absolute alone", 0, time.Hour, usualIdle, time.Hour, ""},
		{"absolute under the default of idle", 0, time.Minute, time.Minute, time.Minute, ""},
		{"both", time.Minute, time.Hour, time.Minute, time.Hour, ""},
		{"the same", time.Hour, time.Hour, time.Hour, time.Hour, ""},
		{"shortest", ms, ms, ms, ms, ""},
		{"shortest absolute", 0, ms, ms, ms, ""},
		{"longest", lifetime.Max, lifetime.Max, lifetime.Max, lifetime.Max, ""},
		{"longest absolute", 0, lifetime.Max, usualIdle, lifetime.Max, ""},
		{"idle over the default of absolute", usualAbsolute + 1, 0, 0, 0, "IdleTimeout AbsoluteTimeout"},
		{"idle over absolute", time.Minute + 1, time.Minute, 0, 0, "IdleTimeout AbsoluteTimeout"},
		{"negative idle", -1, time.Hour, 0, 0, "IdleTimeout"},
		{"negative absolute", time.Minute, -1, 0, 0, "AbsoluteTimeout"},
		{"both negative", -time.Hour, -time.Hour, 0, 0, "AbsoluteTimeout"},
		{"idle under a millisecond", ms - 1, 0, 0, 0, "IdleTimeout"},
		{"absolute under a millisecond", 0, ms - 1, 0, 0, "AbsoluteTimeout"},
		{"absolute over the longest", 0, lifetime.Max + 1, 0, 0, "AbsoluteTimeout"},
		{"3600 meant as seconds", 3600, 0, 0, 0, "IdleTimeout"},
	} {
		t.Run(c.name, func(t *testing.T) {
			idle, absolute, err := lifetime.Of(c.idle, c.absolute)
			if c.wrong == "" {
				if err != nil || idle != c.wantIdle || absolute != c.wantAbsolute {
					t.Errorf("got %v, %v, %v, want %v, %v, nil", idle, absolute, err, c.wantIdle, c.wantAbsolute)
				}
				return
			}
			if err == nil {
				t.Fatalf("got %v, %v, want an error", idle, absolute)
			}
			for _, field := range []string{"IdleTimeout", "AbsoluteTimeout"} {
				if got, want := strings.Contains(err.Error(), field), strings.Contains(c.wrong, field); got != want {
					t.Errorf("%v: names %s: got %t, want %t", err, field, got, want)
				}
			}
		})
	}
}
