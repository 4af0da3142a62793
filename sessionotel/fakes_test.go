package sessionotel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// A telemetry records what an SDK would export, as lines that a test can compare.
// The SDK itself would be a dependency of all users.
type telemetry struct {
	tracenoop.TracerProvider

	mu        sync.Mutex
	ended     []*span
	durations []string
	seconds   []float64
	counts    []string
	made      []string // instruments
	broken    bool     // making them fails
}

func (t *telemetry) Tracer(name string, _ ...trace.TracerOption) trace.Tracer {
	return &tracer{in: t, name: name}
}

// meters is the other provider: an interface of its own with the same kind of
// marker method.
func (t *telemetry) meters() metric.MeterProvider { return meterProvider{in: t} }

// spans returns what ended since the last call.
func (t *telemetry) spans() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for _, s := range t.ended {
		lines = append(lines, s.String())
	}
	t.ended = nil
	return lines
}

// measured returns the attributes of what was measured since the last call.
func (t *telemetry) measured() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := t.durations
	t.durations, t.seconds = nil, nil
	return lines
}

// all is everything that was ever recorded.
func (t *telemetry) all() string {
	lines := slices.Concat(t.spans(), t.measured())
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(append(lines, t.counts...), "\n")
}

type tracer struct {
	tracenoop.Tracer

	in   *telemetry
	name string
}

func (t *tracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	config := trace.NewSpanStartConfig(options...)
	s := &span{in: t.in, name: name, attrs: config.Attributes()}
	if parent, ok := trace.SpanFromContext(ctx).(*span); ok {
		s.parent = parent.name
	}
	return trace.ContextWithSpan(ctx, s), s
}

type span struct {
	tracenoop.Span

	in           *telemetry
	name, parent string

	mu     sync.Mutex
	attrs  []attribute.KeyValue
	status string
	events []string
	over   bool
}

func (s *span) IsRecording() bool { return true }

func (s *span) SetAttributes(attrs ...attribute.KeyValue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attrs = append(s.attrs, attrs...)
}

func (s *span) SetStatus(code codes.Code, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = fmt.Sprint(code, ": ", text)
}

func (s *span) AddEvent(name string, options ...trace.EventOption) {
	s.mu.Lock()
	defer s.mu.Unlock()
	config := trace.NewEventConfig(options...)
	s.events = append(s.events, strings.TrimSpace(name+" "+attributes(config.Attributes())))
}

func (s *span) End(...trace.SpanEndOption) {
	s.mu.Lock()
	again := s.over
	s.over = true
	s.mu.Unlock()
	if again {
		panic("a span ended twice")
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.in.ended = append(s.in.ended, s)
}

// String is name, attributes, events and status.
func (s *span) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.name + " " + attributes(s.attrs)
	if s.parent != "" {
		line += " in " + s.parent
	}
	if s.status != "" {
		line += " " + s.status
	}
	return strings.Join(append([]string{line}, s.events...), "\n\t")
}

func attributes(attrs []attribute.KeyValue) string {
	var parts []string
	for _, a := range attrs {
		parts = append(parts, strings.TrimPrefix(string(a.Key), "session.")+"="+a.Value.String())
	}
	return strings.Join(parts, " ")
}

type meterProvider struct {
	metricnoop.MeterProvider

	in *telemetry
}

func (p meterProvider) Meter(string, ...metric.MeterOption) metric.Meter { return meter{in: p.in} }

type meter struct {
	metricnoop.Meter

	in *telemetry
}

var errInstrument = errors.New("no such instrument")

func (m meter) instrument(name string) (err error) {
	m.in.mu.Lock()
	defer m.in.mu.Unlock()
	m.in.made = append(m.in.made, name)
	if m.in.broken {
		err = errInstrument
	}
	return err
}

func (m meter) Float64Histogram(name string, options ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	config := metric.NewFloat64HistogramConfig(options...)
	return histogram{in: m.in}, m.instrument(fmt.Sprint(name, " ", config.Unit(), " ", slices.IsSorted(config.ExplicitBucketBoundaries())))
}

func (m meter) Int64Counter(name string, options ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	config := metric.NewInt64CounterConfig(options...)
	return counter{in: m.in}, m.instrument(name + " " + config.Unit())
}

type histogram struct {
	metricnoop.Float64Histogram

	in *telemetry
}

func (h histogram) Record(_ context.Context, seconds float64, options ...metric.RecordOption) {
	config := metric.NewRecordConfig(options)
	set := config.Attributes()
	h.in.mu.Lock()
	defer h.in.mu.Unlock()
	h.in.durations = append(h.in.durations, attributes(set.ToSlice()))
	h.in.seconds = append(h.in.seconds, seconds)
}

type counter struct {
	metricnoop.Int64Counter

	in *telemetry
}

func (c counter) Add(_ context.Context, n int64, options ...metric.AddOption) {
	config := metric.NewAddConfig(options)
	set := config.Attributes()
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.counts = append(c.in.counts, fmt.Sprint(attributes(set.ToSlice()), " ", n))
}
