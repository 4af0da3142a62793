package session

import (
	"context"
	"log/slog"
)

// LogEvents returns a hook for [Manager].OnEvent that writes every event to logger, with
// the message "session". The attributes are kind, session, previous, user, actor, count and
// cause; empty ones are left out. Refusals have level Warn, failures of the store and
// dropped events Error, all others Info. If logger is nil, each event goes to the current
// [slog.Default].
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
