package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

// lines returns a logger whose output a test can compare.
func lines(buf *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(buf, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func TestLogEvents(t *testing.T) {
	for _, c := range []struct {
		event session.Event
		want  string
	}{
		{session.Event{Kind: session.EventCreated, Session: "id"}, `level=INFO msg=session kind=created session=id`},
		{session.Event{Kind: session.EventLogin, Session: "id", User: "alice"}, `level=INFO msg=session kind=login session=id user=alice`},
		{session.Event{Kind: session.EventLogin, Session: "id", Previous: "before", User: "alice"}, `level=INFO msg=session kind=login session=id previous=before user=alice`},
		{session.Event{Kind: session.EventReauthenticated, Session: "id", User: "alice"}, `level=INFO msg=session kind=reauthenticated session=id user=alice`},
		{session.Event{Kind: session.EventRotated, Session: "id"}, `level=INFO msg=session kind=rotated session=id`},
		{session.Event{Kind: session.EventRemoved, Session: "id", Cause: session.ErrUserLimit}, `level=INFO msg=session kind=removed session=id cause="session: user has too many sessions"`},
		{session.Event{Kind: session.EventRevoked, User: "alice", Count: 3}, `level=INFO msg=session kind=revoked user=alice count=3`},
		{session.Event{Kind: session.EventRevoked, User: "alice"}, `level=INFO msg=session kind=revoked user=alice count=0`},
		{session.Event{Kind: session.EventBound, Session: "id", User: "alice"}, `level=INFO msg=session kind=bound session=id user=alice`},
		{session.Event{Kind: session.EventProved, Session: "id", User: "alice"}, `level=INFO msg=session kind=proved session=id user=alice`},
		{session.Event{Kind: session.EventUnproved, Session: "id"}, `level=WARN msg=session kind=unproved session=id`},
		{session.Event{Kind: session.EventProofRefused, Session: "id", Cause: session.ErrReplayed}, `level=WARN msg=session kind=proof_refused session=id cause="session: challenge was answered before"`},
		{session.Event{Kind: session.EventUnknown, Session: "id"}, `level=WARN msg=session kind=unknown session=id`},
		{session.Event{Kind: session.EventMalformed}, `level=WARN msg=session kind=malformed`},
		{session.Event{Kind: session.EventDuplicate}, `level=WARN msg=session kind=duplicate`},
		{session.Event{Kind: session.EventExpiredIdle, Session: "id"}, `level=WARN msg=session kind=expired_idle session=id`},
		{session.Event{Kind: session.EventExpiredAbsolute, Session: "id"}, `level=WARN msg=session kind=expired_absolute session=id`},
		{session.Event{Kind: session.EventReused, Session: "id"}, `level=WARN msg=session kind=reused session=id`},
		{session.Event{Kind: session.EventLoginRefused, User: "a\nb"}, `level=WARN msg=session kind=login_refused user="a\nb"`},
		{session.Event{Kind: session.EventForged}, `level=WARN msg=session kind=forged`},
		{session.Event{Kind: session.EventDropped, Count: 3}, `level=ERROR msg=session kind=dropped count=3`},
		{session.Event{Kind: session.EventFailed, Cause: errors.New("down")}, `level=ERROR msg=session kind=failed cause=down`},
	} {
		var buf bytes.Buffer
		session.LogEvents(lines(&buf))(t.Context(), c.event)
		if got, want := buf.String(), c.want+"\n"; got != want {
			t.Errorf("got  %swant %s", got, want)
		}
	}
}

// Without a logger, LogEvents uses the default logger at the time of the event.
func TestLogEventsByDefault(t *testing.T) {
	hook := session.LogEvents(nil)
	before := slog.Default()
	defer slog.SetDefault(before)
	for i := range 2 {
		var buf bytes.Buffer
		slog.SetDefault(lines(&buf))
		hook(t.Context(), session.Event{Kind: session.EventForged})
		if buf.Len() == 0 {
			t.Errorf("logger %d was not used", i)
		}
	}
}

// The handler gets the context of the request, which tracing needs.
func TestLogEventsContext(t *testing.T) {
	type key struct{}
	h := &contextHandler{Handler: slog.DiscardHandler, key: key{}}
	session.LogEvents(slog.New(h))(context.WithValue(t.Context(), key{}, "trace"), session.Event{})
	if got := fmt.Sprint(h.got); got != "[trace]" {
		t.Errorf("got %s", got)
	}
}

type contextHandler struct {
	slog.Handler

	key any
	got []any
}

func (*contextHandler) Enabled(context.Context, slog.Level) bool { return true }

func (h *contextHandler) Handle(ctx context.Context, _ slog.Record) error {
	h.got = append(h.got, ctx.Value(h.key))
	return nil
}

// Ten thousand events all reach a logger that keeps up.
func TestLogEventsLosesNothing(t *testing.T) {
	const workers, each = 60, 170
	m := webtest.NewManager()
	var out counted
	m.OnEvent = session.LogEvents(slog.New(slog.NewJSONHandler(&out, nil)))
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range each {
				refusedRequest(t, m)
			}
		})
	}
	all.Wait()
	webtest.Eventually(t, "ten thousand events", func() bool { return out.malformed.Load() == workers*each })
}

// counted counts the lines of a logger.
type counted struct{ malformed atomic.Int64 }

func (l *counted) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(`"kind":"malformed"`)) {
		l.malformed.Add(1)
	}
	return len(p), nil
}
