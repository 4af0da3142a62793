package sealed

import (
	"context"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/values"
)

// A requestSession is a session as it was loaded. It may outlive its record: once the record no longer
// belongs to the request, writes fail.
type requestSession struct {
	request *request
	record  *record
	loaded  *state
	view    values.Block // as loaded, plus this session's writes
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
)

func (s *requestSession) ID() string { return s.loaded.id }

// Format prints only the id, for every verb.
func (s *requestSession) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.loaded.id) }

func (s *requestSession) Info() session.Info { return s.loaded.info() }

func (s *requestSession) Now(ctx context.Context) (time.Time, error) {
	return time.Now().Round(0), contextError(ctx)
}

// Token returns the current seal of the session. It includes all writes of this request, also
// those through other objects.
func (s *requestSession) Token() string {
	s.request.mu.Lock()
	st := s.record.state
	s.request.mu.Unlock()
	st.once.Do(func() { st.seal = s.request.store.seal(st.plain, s.request.name()) })
	return st.seal
}

func (s *requestSession) values() values.Block {
	s.request.mu.Lock()
	defer s.request.mu.Unlock()
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
	var buf [128]byte // enough for most values, so that it need not grow
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

func (s *requestSession) Pop(ctx context.Context, key string) (any, error) {
	return values.Pop(ctx, s, key)
}

func (s *requestSession) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return values.Update(ctx, s, key, f)
}

// Stored returns the present values of the session, for [values.Update].
func (s *requestSession) Stored(ctx context.Context) (values.Block, error) {
	if err := s.lock(ctx); err != nil {
		return "", err
	}
	defer s.request.unlock()
	if err := s.alive(ctx); err != nil {
		return "", err
	}
	return s.record.state.values, nil
}

// Write applies a change to the session and to the values that this session shows.
func (s *requestSession) Write(ctx context.Context, c *values.Change) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.request.unlock()
	if err := s.alive(ctx); err != nil {
		return err
	}
	before := s.record.state.values
	if c.Only != nil && !c.Only(before) {
		return values.ErrChanged
	}
	changed, err := before.Changed(c, "")
	if err != nil {
		return err
	}
	after := values.Block(changed)
	if after != before { // otherwise the client has it already
		next := s.record.state.facts
		next.values = after
		spare := 0
		if len(after) > len(before) {
			spare = next.spare()
		}
		if err := s.request.commit(s.record, newState(next), spare); err != nil {
			return err
		}
	}
	s.request.mu.Lock()
	defer s.request.mu.Unlock()
	if s.view == before {
		s.view = after
	} else {
		s.view = values.Block(s.view.With(c, ""))
	}
	return nil
}

func (s *requestSession) lock(ctx context.Context) error {
	if err := contextError(ctx); err != nil {
		return err
	}
	return s.request.lock(ctx)
}

// alive returns nil while writes to the session are possible.
func (s *requestSession) alive(ctx context.Context) error {
	return withoutReason(s.request.alive(ctx, s.record))
}
