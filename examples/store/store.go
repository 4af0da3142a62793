// Package store is an example of a third-party session store. It is a module of its own
// and uses only the public API. It keeps sessions in the memory of one machine.
package store

import (
	"context"
	"errors"
	"iter"
	"maps"
	"regexp"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// Store is a session.Store that is safe for concurrent use. Set both timeouts.
type Store struct {
	IdleTimeout     time.Duration
	AbsoluteTimeout time.Duration

	mu      sync.Mutex // guards the fields below it, also in records and handles
	records map[string]*record
}

// A record is a session in the store.
type record struct {
	id       string
	values   map[string]string // encoded values; a write replaces the map and never changes it
	created  time.Time
	lastSeen time.Time
}

var validID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Generate creates an empty session.
func (st *Store) Generate(ctx context.Context, id string) (session.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !validID.MatchString(id) {
		return nil, session.ErrInvalidID
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.alive(id) != nil {
		return nil, session.ErrExists
	}
	st.sweep()
	now := time.Now()
	r := &record{id: id, created: now, lastSeen: now}
	if st.records == nil {
		st.records = make(map[string]*record)
	}
	st.records[id] = r
	return st.load(r), nil
}

// Get loads a session.
func (st *Store) Get(ctx context.Context, id string) (session.Session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.alive(id)
	if r == nil {
		return nil, session.ErrNotFound
	}
	return st.load(r), nil
}

// Refresh restarts the idle timeout.
func (st *Store) Refresh(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.alive(id)
	if r == nil {
		return session.ErrNotFound
	}
	r.lastSeen = time.Now()
	return nil
}

// Remove ends a session.
func (st *Store) Remove(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.records, id)
	return nil
}

// alive returns the live record of an id, or nil.
func (st *Store) alive(id string) *record {
	r := st.records[id]
	if r != nil && !time.Now().Before(st.deadline(r)) {
		delete(st.records, id)
		return nil
	}
	return r
}

func (st *Store) deadline(r *record) time.Time {
	idle, absolute := r.lastSeen.Add(st.IdleTimeout), r.created.Add(st.AbsoluteTimeout)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

// sweep removes a few expired sessions. Every new session calls it.
func (st *Store) sweep() {
	visits := 0
	for id := range st.records {
		if st.alive(id); visits == 2 {
			return
		}
		visits++
	}
}

func (st *Store) load(r *record) session.Session {
	return &handle{store: st, record: r, shown: r.values, info: session.Info{
		ID:               r.id,
		CreatedAt:        r.created,
		LastSeen:         r.lastSeen,
		IdleDeadline:     st.deadline(r),
		AbsoluteDeadline: r.created.Add(st.AbsoluteTimeout),
		RotatedAt:        r.created,
	}}
}

// A handle is a session as one request loaded it, plus the writes of that request.
type handle struct {
	store  *Store
	record *record
	shown  map[string]string // like record.values
	info   session.Info
}

func (h *handle) ID() string { return h.record.id }

func (h *handle) Info() session.Info { return h.info }

func (h *handle) Now(ctx context.Context) (time.Time, error) { return time.Now(), ctx.Err() }

func (h *handle) Get(ctx context.Context, key string) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return decode(h.values(), key)
}

func (h *handle) All(ctx context.Context) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for key, encoded := range h.values() {
			if ctx.Err() != nil {
				return
			}
			if value, err := session.DecodeValue([]byte(encoded)); err == nil && !yield(key, value) {
				return
			}
		}
	}
}

func (h *handle) Set(ctx context.Context, key string, value any) error {
	return h.SetAll(ctx, map[string]any{key: value})
}

func (h *handle) SetAll(ctx context.Context, values map[string]any) error {
	encoded := make(map[string]string, len(values))
	for key, value := range values {
		if len(key) > session.MaxKeySize {
			return session.ErrTooLarge
		}
		bytes, err := session.EncodeValue(value)
		if err != nil {
			return err
		}
		encoded[key] = string(bytes)
	}
	return h.write(ctx, always, func(m map[string]string) { maps.Copy(m, encoded) })
}

func (h *handle) Delete(ctx context.Context, keys ...string) error {
	return h.write(ctx, always, func(m map[string]string) {
		for _, key := range keys {
			delete(m, key)
		}
	})
}

func (h *handle) Clear(ctx context.Context) error {
	return h.write(ctx, always, func(m map[string]string) { clear(m) })
}

// Pop decodes inside write, so exactly one caller gets the value.
func (h *handle) Pop(ctx context.Context, key string) (value any, err error) {
	err = h.write(ctx, func(stored map[string]string) error {
		value, err = decode(stored, key)
		return err
	}, func(m map[string]string) { delete(m, key) })
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Update calls f without the lock, because f may use the session. If the value changes
// in the meantime, it starts again.
func (h *handle) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	if len(key) > session.MaxKeySize {
		return session.ErrTooLarge
	}
	errChanged := errors.New("changed")
	for {
		var before map[string]string
		if err := h.write(ctx, func(stored map[string]string) error { before = stored; return nil }, nil); err != nil {
			return err
		}
		old, err := decode(before, key)
		if err != nil {
			return err
		}
		value, err := f(old)
		if err != nil {
			return err
		}
		encoded, err := session.EncodeValue(value)
		if err != nil {
			return err
		}
		err = h.write(ctx, func(stored map[string]string) error {
			if stored[key] != before[key] {
				return errChanged
			}
			return nil
		}, func(m map[string]string) { m[key] = string(encoded) })
		if !errors.Is(err, errChanged) {
			return err
		}
	}
}

// write changes the stored values and the values that h shows. It does so only if the
// record is alive and check allows it. If change is nil, write only checks.
func (h *handle) write(ctx context.Context, check func(stored map[string]string) error, change func(m map[string]string)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	if h.store.alive(h.record.id) != h.record { // the session has ended, or its id belongs to a new session
		return session.ErrNotFound
	}
	if err := check(h.record.values); err != nil || change == nil {
		return err
	}
	stored := changed(h.record.values, change)
	if len(stored) > session.MaxValues || size(stored) > session.MaxSize {
		return session.ErrTooLarge
	}
	h.record.values, h.shown = stored, changed(h.shown, change)
	return nil
}

func changed(m map[string]string, change func(map[string]string)) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = make(map[string]string)
	}
	change(m)
	return m
}

func size(m map[string]string) (bytes int) {
	for key, encoded := range m {
		bytes += len(key) + len(encoded)
	}
	return bytes
}

func always(map[string]string) error { return nil }

func (h *handle) values() map[string]string {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	return h.shown
}

// decode returns the value of a key, or nil.
func decode(values map[string]string, key string) (any, error) {
	encoded, ok := values[key]
	if !ok {
		return nil, nil //nolint:nilnil // the contract of an absent key
	}
	return session.DecodeValue([]byte(encoded))
}
