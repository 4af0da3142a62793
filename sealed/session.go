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

// An object is a session as it was loaded. It may outlive its record: once the record no longer
// belongs to the request, writes fail.
type object struct {
	visit  *visit
	record *record
	loaded *state
	view   values.Block // as loaded, plus this object's writes
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
)

func (o *object) ID() string { return o.loaded.id }

// Format prints only the id, for every verb.
func (o *object) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, o.loaded.id) }

func (o *object) Info() session.Info { return o.loaded.info() }

func (o *object) Now(ctx context.Context) (time.Time, error) {
	return time.Now().Round(0), ended(ctx)
}

// Token returns the current seal of the session. It includes all writes of this request, also
// those through other objects.
func (o *object) Token() string {
	o.visit.mu.Lock()
	s := o.record.state
	o.visit.mu.Unlock()
	s.once.Do(func() { s.seal = o.visit.store.seal(s.plain, o.visit.name()) })
	return s.seal
}

func (o *object) shown() values.Block {
	o.visit.mu.Lock()
	defer o.visit.mu.Unlock()
	return o.view
}

func (o *object) Get(ctx context.Context, key string) (any, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	return o.shown().Value(key)
}

func (o *object) All(ctx context.Context) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) { o.shown().Values(ctx, yield) }
}

func (o *object) Set(ctx context.Context, key string, value any) error {
	var buf [128]byte // enough for most values, so that it need not grow
	set, err := values.AppendField(buf[:0], key, value)
	if err != nil {
		return err
	}
	return o.Write(ctx, &values.Change{Set: values.Block(set), Key: &key})
}

func (o *object) SetAll(ctx context.Context, all map[string]any) error {
	c, err := values.SetAll(all)
	if err != nil {
		return err
	}
	return o.Write(ctx, &c)
}

func (o *object) Delete(ctx context.Context, keys ...string) error {
	c := values.Delete(keys)
	return o.Write(ctx, &c)
}

func (o *object) Clear(ctx context.Context) error {
	return o.Write(ctx, &values.Change{Clear: true})
}

func (o *object) Pop(ctx context.Context, key string) (any, error) {
	return values.Pop(ctx, o, key)
}

func (o *object) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return values.Update(ctx, o, key, f)
}

// Stored returns the present values of the session, for [values.Update].
func (o *object) Stored(ctx context.Context) (values.Block, error) {
	if err := o.begin(ctx); err != nil {
		return "", err
	}
	defer o.visit.end()
	if err := o.alive(ctx); err != nil {
		return "", err
	}
	return o.record.state.values, nil
}

// Write applies a change to the session and to the values that this object shows.
func (o *object) Write(ctx context.Context, c *values.Change) error {
	if err := o.begin(ctx); err != nil {
		return err
	}
	defer o.visit.end()
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
		if err := o.visit.commit(o.record, stated(next), spare); err != nil {
			return err
		}
	}
	o.visit.mu.Lock()
	defer o.visit.mu.Unlock()
	if o.view == before {
		o.view = after
	} else {
		o.view = values.Block(o.view.With(c, ""))
	}
	return nil
}

func (o *object) begin(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		return err
	}
	return o.visit.begin(ctx)
}

// alive returns nil while writes to the session are possible.
func (o *object) alive(ctx context.Context) error {
	return plain(o.visit.alive(ctx, o.record))
}
