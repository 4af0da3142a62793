package session

import (
	"context"
	"testing"
	"time"

	"github.com/dormoron/mist"
)

// A describedSession fails the test if anything asks for its Info.
type describedSession struct{ tb testing.TB }

func (s describedSession) Get(context.Context, string) (any, error) { return nil, nil }
func (s describedSession) Set(context.Context, string, any) error   { return nil }
func (s describedSession) ID() string                               { s.tb.Error("ID was asked"); return "" }

func (s describedSession) Info() Info { s.tb.Error("Info was asked"); return Info{} }

// eventsOff are the calls by which the Manager reports events.
func eventsOff(tb testing.TB) map[string]func() {
	tb.Helper()
	m, ctx, s := &Manager{}, tb.Context(), Session(describedSession{tb})
	st := m.state(&mist.Context{})
	return map[string]func(){
		"emit":       func() { m.emit(ctx, Event{Kind: EventRevoked, User: "user", Count: 1}) },
		"about":      func() { m.emit(ctx, m.eventOf(EventCreated, s)) },
		"extraction": func() { st.emitRefusal(ctx, extractKind, "", ErrMultiple) },
		"opening":    func() { st.emitRefusal(ctx, openKind, "id.secret", ErrReused) },
		"failed":     func() { _ = m.failed(ctx, ErrFull) },
	}
}

// Without a hook an event costs nothing: the Manager asks no session for its Info and
// classifies no error.
func TestEventsOff(t *testing.T) {
	for name, tell := range eventsOff(t) {
		if n := testing.AllocsPerRun(100, tell); n != 0 {
			t.Errorf("%s: got %v allocations, want 0", name, n)
		}
	}
}

// BenchmarkEventsOff measures the cost of an event without a hook: under 5 ns.
func BenchmarkEventsOff(b *testing.B) {
	for name, tell := range eventsOff(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tell()
			}
		})
	}
}

// An event contains the id that the client claims, unless that may be a secret.
func TestEventClaims(t *testing.T) {
	const identifier = "id.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for name, c := range map[string]struct {
		store      Store
		identifier string
		want       string
	}{
		"a token":                        {claimsTokens{}, identifier, "id"},
		"no token":                       {claimsTokens{}, "id.secret", ""},
		"nothing":                        {claimsTokens{}, "", ""},
		"a plain id that looks like one": {claimsNothing{}, identifier, ""},
	} {
		m := &Manager{Store: c.store}
		if got := m.claimedID(c.identifier); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

type claimsNothing struct{ Store }

type claimsTokens struct{ claimsNothing }

func (claimsTokens) Open(context.Context, string) (Session, error) { return nil, nil }

func (claimsTokens) Rotate(context.Context, string, time.Duration) (Session, error) { return nil, nil }
