package memory

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/values"
)

// An object is a session as one request loaded it. It outlives the record: once the
// session has ended, the object refuses writes.
type object struct {
	shard  *shard
	record *record
	token  string

	login         *login // as loaded from the record, like the fields below
	seen, rotated int64
	device        string
	ends          int64 // of the token

	mu   sync.Mutex // locked before the shard's lock
	data string     // as loaded from the record, plus this object's writes
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

func (s *object) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Clone(s.data[:s.record.idLen]) // a copy, so that a caller who keeps the id does not keep the values in memory
}

// view returns the values as this object shows them.
func (s *object) view() values.Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	return values.Block(s.data[s.record.idLen:])
}

func (s *object) Token() string { return s.token }

func (s *object) Device() string { return s.device }

// Format prints only the id, for every verb: a session that is logged by mistake reveals
// no token.
func (s *object) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.ID()) }

func (s *object) Now(ctx context.Context) (time.Time, error) {
	st := s.shard.store
	return st.at(st.now()), ended(ctx)
}

func (s *object) Info() session.Info {
	st := s.shard.store
	at := st.at
	idle, absolute := st.deadlines(&record{created: s.record.created, seen: s.seen, login: s.login})
	info := session.Info{
		ID:               s.ID(),
		CreatedAt:        at(s.record.created),
		LastSeen:         at(s.seen),
		IdleDeadline:     at(min(idle, absolute)),
		AbsoluteDeadline: at(absolute),
		RotatedAt:        at(s.rotated),
	}
	if info.Bound = s.device != ""; s.ends != 0 {
		info.ProvedUntil = at(s.ends)
	}
	if l := s.login; l != nil {
		info.User, info.Level, info.AuthenticatedAt = l.account.user, l.level, at(l.at)
		info.Persistent, info.UserAgent, info.Address = l.persistent, l.userAgent, l.address
	}
	return info
}

func (s *object) Get(ctx context.Context, key string) (any, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	return s.view().Value(key)
}

func (s *object) All(ctx context.Context) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) { s.view().Values(ctx, yield) }
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

func (s *object) Pop(ctx context.Context, key string) (any, error) {
	return values.Pop(ctx, s, key)
}

func (s *object) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return values.Update(ctx, s, key, f)
}

// Stored returns the record's present values.
func (s *object) Stored(ctx context.Context) (values.Block, error) {
	now, err := s.shard.store.begin(ctx)
	if err != nil {
		return "", err
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if err := s.shard.alive(s.record, now); err != nil {
		return "", err
	}
	return s.record.values(), nil
}

// Write applies a change to the record and to the values that this object shows.
func (s *object) Write(ctx context.Context, c *values.Change) error {
	now, err := s.shard.store.begin(ctx)
	if err != nil {
		return err
	}
	defer s.shard.store.tidy(s.shard, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if err := s.shard.alive(s.record, now); err != nil {
		return err
	}
	if c.Only != nil && !c.Only(s.record.values()) {
		return values.ErrChanged
	}
	before, id := s.record.data, s.record.id()
	after, err := s.record.values().Changed(c, id)
	if err != nil {
		return err
	}
	s.record.data = after
	if s.data == before {
		s.data = after
	} else {
		s.data = values.Block(s.data[len(id):]).With(c, id)
	}
	return nil
}
