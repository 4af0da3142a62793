package sessionotel

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/token"
)

const scope = "github.com/mist-contrib/session/sessionotel"

const (
	keyOperation = attribute.Key("session.operation")
	keyOutcome   = attribute.Key("session.outcome")
	keyID        = attribute.Key("session.id")
)

// start makes the tracer, the histogram and the wrapper for the store's capabilities.
func (st *Store) start() {
	tp, mp := st.TracerProvider, st.MeterProvider
	if tp == nil {
		tp = otel.GetTracerProvider()
	}
	if mp == nil {
		mp = otel.GetMeterProvider()
	}
	st.tracer = tp.Tracer(scope)
	var err error
	st.duration, err = mp.Meter(scope).Float64Histogram("session.operation.duration",
		metric.WithUnit("s"),
		metric.WithDescription("Duration of calls to the session store."),
		// The boundaries reach from a map in memory to a server that times out.
		metric.WithExplicitBucketBoundaries(1e-6, 1e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, .1, .25, .5, 1, 2.5, 5, 10))
	if err != nil {
		otel.Handle(err) // the histogram works despite the error
	}
	st.able = st.Store
	if ts, ok := unwrap[session.TokenStore](st.Store); ok {
		able := &tokenStore{Store: st, inner: ts}
		st.able, st.publicID = able, true
		if us, ok := unwrap[session.UserStore](st.Store); ok {
			able := &userStore{tokenStore: able, inner: us}
			st.able = able
			if ds, ok := unwrap[session.DeviceStore](st.Store); ok {
				st.able = &deviceStore{userStore: able, inner: ds}
			}
		}
	}
}

// observe makes a call and records its span and its duration.
func (st *Store) observe(ctx context.Context, op, id string, call func(ctx context.Context) error) error {
	st.once.Do(st.start)
	operation := keyOperation.String(op)
	attrs := []attribute.KeyValue{operation}
	if st.publicID && token.ValidID(id) {
		attrs = append(attrs, keyID.String(id))
	}
	ctx, span := st.tracer.Start(ctx, "session."+op, trace.WithAttributes(attrs...))
	err, began := errPanic, time.Now()
	defer func() { // also when the store panics
		outcome := keyOutcome.String(outcomeOf(err))
		st.duration.Record(ctx, time.Since(began).Seconds(), metric.WithAttributes(operation, outcome))
		span.SetAttributes(outcome)
		if outcome.Value.AsString() == failed {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}()
	err = call(ctx)
	return err
}

var (
	errPanic   = errors.New("panic")
	errRefused = errors.New("refused by the application")
)

// rules are the errors of a working store that refuses a call.
//
//nolint:gochecknoglobals // a table that never changes
var rules = []error{
	errRefused,
	session.ErrRevoked, session.ErrUserLimit, session.ErrInvalidUser,
	session.ErrExists, session.ErrInvalidID, session.ErrValue, session.ErrTooLarge,
	session.ErrBound, session.ErrUnbound, session.ErrReplayed,
	errors.ErrUnsupported,
}

const failed = "error"

func outcomeOf(err error) string {
	if err == nil {
		return "ok"
	}
	for _, rule := range rules { // first, because ErrRevoked also matches ErrNotFound
		if errors.Is(err, rule) {
			return "refused"
		}
	}
	switch {
	case errors.Is(err, session.ErrNotFound):
		return "not_found"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return failed
}
