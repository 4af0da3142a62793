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

func (o *requestSession) ID() string { return o.loaded.id }

// Format prints only the id, for every verb.
func (o *requestSession) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.loaded.id) }

func (o *requestSession) Info() session.Info { return o.loaded.info() }

func (o *requestSession) Now(ctx context.Context) (time.Time, error) {
	return time.Now().Round(0), contextError(ctx)
}

// Token returns the current seal of the session. It includes all writes of this request, also
// those through other objects.
func (o *requestSession) Token() string {
	o.request.mu.Lock()
	s := o.record.state
	o.request.mu.Unlock()
	s.once.Do(func() { s.seal = o.request.store.seal(s.plain, o.request.name()) })
	return s.seal
}

func (o *requestSession) values() values.Block {
	o.request.mu.Lock()
	defer o.request.mu.Unlock()
	return o.view
}

func (o *requestSession) Get(ctx context.Context, key string) (any, error) {
	if err := contextError(ctx); err != nil {
		return nil, err
	}
	return o.values().Value(key)
}

func (o *requestSession) All(ctx context.Context) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) { o.values().Values(ctx, yield) }
}

func (o *requestSession) Set(ctx context.Context, key string, value any) error {
	var buf [128]byte // enough for most values, so that it need not grow
	set, err := values.AppendField(buf[:0], key, value)
	if err != nil {
		return err
	}
	return o.Write(ctx, &values.Change{Set: values.Block(set), Key: &key})
}

func (o *requestSession) SetAll(ctx context.Context, all map[string]any) error {
	c, err := values.SetAll(all)
	if err != nil {
		return err
	}
	return o.Write(ctx, &c)
}

func (o *requestSession) Delete(ctx context.Context, keys ...string) error {
	c := values.Delete(keys)
	return o.Write(ctx, &c)
}

func (o *requestSession) Clear(ctx context.Context) error {
	return o.Write(ctx, &values.Change{Clear: true})
}

func (o *requestSession) Pop(ctx context.Context, key string) (any, error) {
	return values.Pop(ctx, o, key)
}

func (o *requestSession) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return values.Update(ctx, o, key, f)
}

// Stored returns the present values of the session, for [values.Update].
func (o *requestSession) Stored(ctx context.Context) (values.Block, error) {
	if err := o.lock(ctx); err != nil {
		return "", err
	}
	defer o.request.unlock()
	if err := o.alive(ctx); err != nil {
		return "", err
	}
	return o.record.state.values, nil
}

// Write applies a change to the session and to the values that this session shows.
func (o *requestSession) Write(ctx context.Context, c *values.Change) error {
	if err := o.lock(ctx); err != nil {
		return err
	}
	defer o.request.unlock()
	if err := o.alive(ctx); err != nil {
		return err
	}
	before := o.record.state.values
	if c.Only != nil && !c.Only(before) {
		return values.ErrChanged
	}
	changed, err := before.Changed(c, "")
	if err != nil {
		return err
	}
	after := values.Block(changed)
	if after != before { // otherwise the client has it already
		next := o.record.state.facts
		next.values = after
		spare := 0
		if len(after) > len(before) {
			spare = next.spare()
		}
		if err := o.request.commit(o.record, newState(next), spare); err != nil {
			return err
		}
	}
	o.request.mu.Lock()
	defer o.request.mu.Unlock()
	if o.view == before {
		o.view = after
	} else {
		o.view = values.Block(o.view.With(c, ""))
	}
	return nil
}

func (o *requestSession) lock(ctx context.Context) error {
	if err := contextError(ctx); err != nil {
		return err
	}
	return o.request.lock(ctx)
}

// alive returns nil while writes to the session are possible.
func (o *requestSession) alive(ctx context.Context) error {
	return withoutReason(o.request.alive(ctx, o.record))
}
