package sql

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/values"
)

// An object is a session as one request loaded it. Its writes succeed only while the record
// that it loaded still exists.
type object struct {
	store *Store
	id    string
	token string
	info  session.Info

	device string

	turn   chan struct{} // a write holds it; guards record
	record record        // as this object last saw it in the database

	mu   sync.Mutex
	view values.Block // as loaded, plus this object's writes
}

var (
	_ session.Tokener     = (*object)(nil)
	_ session.Deleter     = (*object)(nil)
	_ session.Popper      = (*object)(nil)
	_ session.Updater     = (*object)(nil)
	_ session.BatchSetter = (*object)(nil)
	_ session.Ranger      = (*object)(nil)
	_ session.Describer   = (*object)(nil)
	_ session.Clock       = (*object)(nil)
	_ session.Bound       = (*object)(nil)
)

// object returns the session of a record. The token ends at ends; zero: with the session.
func (st *Store) object(r *record, carried string, ends int64) *object {
	return &object{store: st, id: r.id, token: carried, device: r.secrets.Device(), info: r.info(ends), turn: make(chan struct{}, 1), record: *r, view: r.data}
}

func (s *object) ID() string { return s.id }

func (s *object) Token() string { return s.token }

func (s *object) Device() string { return s.device }

// Format prints only the id, for every verb, so that a log of the session contains no token.
func (s *object) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.ID()) }

func (s *object) Info() session.Info { return s.info }

// Now returns the time of the database. The times of Info come from the same clock.
func (s *object) Now(ctx context.Context) (time.Time, error) {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer cancel()
	var at number
	err = s.store.query(ctx, nil, opNow, one(&at))
	return time.UnixMicro(int64(at)), err
}

// shown returns the values that the session shows.
func (s *object) shown() values.Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

func (s *object) Get(ctx context.Context, key string) (any, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	return s.shown().Value(key)
}

func (s *object) All(ctx context.Context) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) { s.shown().Values(ctx, yield) }
}

func (s *object) Set(ctx context.Context, key string, value any) error {
	var buf [256]byte
	set, err := values.AppendField(buf[:0], key, value)
	if err != nil {
		return err
	}
	return s.Write(ctx, &values.Change{Set: values.Block(set), Key: &key})
}

func (s *object) SetAll(ctx context.Context, all map[string]any) error {
	c, err := values.SetAll(all)
	if err != nil {
		return err
	}
	return s.Write(ctx, &c)
}

func (s *object) Delete(ctx context.Context, keys ...string) error {
	c := values.Delete(keys)
	return s.Write(ctx, &c)
}

func (s *object) Clear(ctx context.Context) error {
	return s.Write(ctx, &values.Change{Clear: true})
}

// Pop removes and returns the value that the database has for key.
func (s *object) Pop(ctx context.Context, key string) (any, error) {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return values.Pop(ctx, s, key)
}

// Update replaces the value that the database has for key.
func (s *object) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return values.Update(ctx, s, key, f)
}

// Stored returns the present values of the record.
func (s *object) Stored(ctx context.Context) (values.Block, error) {
	done, err := s.await(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	r, now, err := s.store.load(ctx, nil, opLoad, s.id)
	switch {
	case err != nil:
		return "", err
	case r.incarnation != s.record.incarnation || r.expired(now) != nil:
		return "", session.ErrNotFound
	}
	s.record = *r
	return r.data, nil
}

// Write applies a change to the record and to the values that this object shows.
func (s *object) Write(ctx context.Context, c *values.Change) error {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	done, err := s.await(ctx)
	if err != nil {
		return err
	}
	defer done()
	has := s.record
	var before values.Block
	r, err := s.store.change(ctx, opChange, s.id, &has, func(r *record, now int64) (bool, error) {
		switch {
		case now != 0 && r.expired(now) != nil:
			return false, session.ErrNotFound
		case c.Only != nil && !c.Only(r.data):
			return false, values.ErrChanged
		}
		before = r.data
		after, err := r.data.Changed(c, "")
		r.data = values.Block(after)
		return true, err
	})
	if err != nil {
		return err
	}
	s.record = *r
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == before {
		s.view = r.data
	} else {
		s.view = values.Block(s.view.With(c, ""))
	}
	return nil
}

// await waits for the session's turn to write; the caller calls done after the write. The
// session writes one change after the other, so it always shows the last stored values.
func (s *object) await(ctx context.Context) (done func(), err error) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, nil
	case <-ctx.Done():
		return nil, s.store.failed(ctx, opChange, ctx.Err())
	}
}
