package sessionotel

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/mist-contrib/session"
)

// Events returns a hook for [session.Manager].OnEvent. The hook counts events by their kind;
// each dropped event counts as one of kind "dropped". It also adds each event to the span of
// the request, named "session." and its kind, with those of the attributes session.id,
// session.previous, session.count and session.cause that the event has. A nil provider means
// the global one.
func Events(provider metric.MeterProvider) func(ctx context.Context, event session.Event) {
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	counter, err := provider.Meter(scope).Int64Counter("session.events",
		metric.WithUnit("{event}"), metric.WithDescription("Session events, such as logins and refused tokens."))
	if err != nil {
		otel.Handle(err) // the counter works despite the error
	}
	return func(ctx context.Context, event session.Event) {
		kind := string(event.Kind)
		n := 1
		if event.Kind == session.EventDropped {
			n = event.Count
		}
		counter.Add(ctx, int64(n), metric.WithAttributes(attribute.String("session.event", kind)))
		span := trace.SpanFromContext(ctx)
		if !span.IsRecording() {
			return
		}
		var attrs []attribute.KeyValue
		if event.Session != "" {
			attrs = append(attrs, keyID.String(event.Session))
		}
		if event.Previous != "" {
			attrs = append(attrs, attribute.String("session.previous", event.Previous))
		}
		if event.Kind == session.EventRevoked || event.Kind == session.EventDropped {
			attrs = append(attrs, attribute.Int("session.count", event.Count))
		}
		if event.Cause != nil {
			attrs = append(attrs, attribute.String("session.cause", event.Cause.Error()))
		}
		span.AddEvent("session."+kind, trace.WithAttributes(attrs...))
	}
}
