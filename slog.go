package session

import (
	"context"
	"log/slog"
)

// LogEvents returns a hook for [Manager].OnEvent that writes every event to a
// logger, as "session" with the attributes kind, session, previous, user, actor, count and cause,
// those that there are: what lives at level Info, what was refused at Warn, a
// store that failed and events that were dropped at Error. Nil: [slog.Default], as it is at each event.
func LogEvents(logger *slog.Logger) func(ctx context.Context, event Event) {
	return func(ctx context.Context, event Event) {
		l := logger
		if l == nil {
			l = slog.Default()
		}
		attrs := make([]slog.Attr, 1, 7)
		attrs[0] = slog.String("kind", string(event.Kind))
		if event.Session != "" {
			attrs = append(attrs, slog.String("session", event.Session))
		}
		if event.Previous != "" {
			attrs = append(attrs, slog.String("previous", event.Previous))
		}
		if event.User != "" {
			attrs = append(attrs, slog.String("user", event.User))
		}
		if event.Actor != "" {
			attrs = append(attrs, slog.String("actor", event.Actor))
		}
		if event.Kind == EventRevoked || event.Kind == EventDropped {
			attrs = append(attrs, slog.Int("count", event.Count))
		}
		if event.Cause != nil {
			attrs = append(attrs, slog.String("cause", event.Cause.Error()))
		}
		l.LogAttrs(ctx, severity(event.Kind), "session", attrs...)
	}
}

func severity(kind EventKind) slog.Level {
	switch kind {
	case EventCreated, EventLogin, EventReauthenticated, EventRotated, EventRemoved, EventRevoked, EventBound, EventProved:
		return slog.LevelInfo
	case EventFailed, EventDropped:
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
}
