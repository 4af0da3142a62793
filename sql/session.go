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

// A requestSession is a session as one request loaded it. Its writes succeed only while the record
// that it loaded still exists.
type requestSession struct {
	store *Store
	id    string
	token string
	info  session.Info

	device string

	writing chan struct{} // a write holds it; guards record
	record  record        // as this session last saw it in the database

	mu   sync.Mutex
	view values.Block // as loaded, plus this session's writes
}

var (
	_ session.Tokener     = (*requestSession)(nil)
	_ session.Deleter     = (*requestSession)(nil)
	_ session.Popper      = (*requestSession)(nil)
	_ session.Updater     = (*requestSession)(nil)
	_ session.BatchSetter = (*requestSession)(nil)
	_ session.Ranger      = (*requestSession)(nil)
	_ session.Describer   = (*requestSession)(nil)
	_ session.Clock       = (*requestSession)(nil)
	_ session.Bound       = (*requestSession)(nil)
)

// newRequestSession returns the session of a record. The token ends at ends; zero: with the session.
func (st *Store) newRequestSession(r *record, clientToken string, ends int64) *requestSession {
	return &requestSession{store: st, id: r.id, token: clientToken, device: r.secrets.Device(), info: r.info(ends), writing: make(chan struct{}, 1), record: *r, view: r.data}
}

func (s *requestSession) ID() string { return s.id }

func (s *requestSession) Token() string { return s.token }

func (s *requestSession) Device() string { return s.device }

// Format prints only the id, for every verb, so that a log of the session contains no token.
func (s *requestSession) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.ID()) }

func (s *requestSession) Info() session.Info { return s.info }

// Now returns the time of the database. The times of Info come from the same clock.
func (s *requestSession) Now(ctx context.Context) (time.Time, error) {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer cancel()
	var at number
	err = s.store.query(ctx, nil, opNow, scanRow(&at))
	return time.UnixMicro(int64(at)), err
}

// values returns the values that the session shows.
func (s *requestSession) values() values.Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

func (s *requestSession) Get(ctx context.Context, key string) (any, error) {
	if err := contextError(ctx); err != nil {
		return nil, err
	}
	return s.values().Value(key)
}

func (s *requestSession) All(ctx context.Context) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) { s.values().Values(ctx, yield) }
}

func (s *requestSession) Set(ctx context.Context, key string, value any) error {
	var buf [256]byte
	set, err := values.AppendField(buf[:0], key, value)
	if err != nil {
		return err
	}
	return s.Write(ctx, &values.Change{Set: values.Block(set), Key: &key})
}

func (s *requestSession) SetAll(ctx context.Context, all map[string]any) error {
	c, err := values.SetAll(all)
	if err != nil {
		return err
	}
	return s.Write(ctx, &c)
}

func (s *requestSession) Delete(ctx context.Context, keys ...string) error {
	c := values.Delete(keys)
	return s.Write(ctx, &c)
}

func (s *requestSession) Clear(ctx context.Context) error {
	return s.Write(ctx, &values.Change{Clear: true})
}

// Pop removes and returns the value that the database has for key.
func (s *requestSession) Pop(ctx context.Context, key string) (any, error) {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	return values.Pop(ctx, s, key)
}

// Update replaces the value that the database has for key.
func (s *requestSession) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	return values.Update(ctx, s, key, f)
}

// Stored returns the present values of the record.
func (s *requestSession) Stored(ctx context.Context) (values.Block, error) {
	done, err := s.lockWrites(ctx)
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

// Write applies a change to the record and to the values that this session shows.
func (s *requestSession) Write(ctx context.Context, c *values.Change) error {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	done, err := s.lockWrites(ctx)
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

// lockWrites waits until no other write of the session runs; the caller calls done after the write. The
// session writes one change after the other, so it always shows the last stored values.
func (s *requestSession) lockWrites(ctx context.Context) (done func(), err error) {
	select {
	case s.writing <- struct{}{}:
		return func() { <-s.writing }, nil
	case <-ctx.Done():
		return nil, s.store.wrapError(ctx, opChange, ctx.Err())
	}
}
