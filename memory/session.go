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

// A requestSession is a session as one request loaded it. It outlives the record: once the
// session has ended, it refuses writes.
type requestSession struct {
	shard  *shard
	record *record
	token  string

	login         *login // as loaded from the record, like the fields below
	seen, rotated int64
	device        string
	ends          int64 // of the token

	mu   sync.Mutex // locked before the shard's lock
	data string     // as loaded from the record, plus the writes of this request
	id   string     // a copy for callers, so that a caller who keeps it does not keep the values in memory; empty: not made yet
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

func (s *requestSession) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id == "" {
		s.id = strings.Clone(s.data[:s.record.idLen])
	}
	return s.id
}

// view returns the values as this request sees them.
func (s *requestSession) view() values.Block {
	s.mu.Lock()
	defer s.mu.Unlock()
	return values.Block(s.data[s.record.idLen:])
}

func (s *requestSession) Token() string { return s.token }

func (s *requestSession) Device() string { return s.device }

// Format prints only the id, for every verb: a session that is logged by mistake reveals
// no token.
func (s *requestSession) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.ID()) }

func (s *requestSession) Now(ctx context.Context) (time.Time, error) {
	st := s.shard.store
	return st.at(st.now()), contextErr(ctx)
}

func (s *requestSession) Info() session.Info {
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
		info.User, info.Level, info.AuthenticatedAt = l.user.name, l.level, at(l.at)
		info.Persistent, info.UserAgent, info.Address = l.persistent, l.userAgent, l.address
	}
	return info
}

func (s *requestSession) Get(ctx context.Context, key string) (any, error) {
	if err := contextErr(ctx); err != nil {
		return nil, err
	}
	return s.view().Value(key)
}

func (s *requestSession) All(ctx context.Context) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) { s.view().Values(ctx, yield) }
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

func (s *requestSession) Pop(ctx context.Context, key string) (any, error) {
	return values.Pop(ctx, s, key)
}

func (s *requestSession) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return values.Update(ctx, s, key, f)
}

// Stored returns the record's present values.
func (s *requestSession) Stored(ctx context.Context) (values.Block, error) {
	now, err := s.shard.store.begin(ctx)
	if err != nil {
		return "", err
	}
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if err := s.shard.checkAlive(s.record, now); err != nil {
		return "", err
	}
	return s.record.values(), nil
}

// Write applies a change to the record and to the values that this request sees.
func (s *requestSession) Write(ctx context.Context, c *values.Change) error {
	now, err := s.shard.store.begin(ctx)
	if err != nil {
		return err
	}
	defer s.shard.store.tidy(s.shard, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shard.mu.Lock()
	defer s.shard.mu.Unlock()
	if err := s.shard.checkAlive(s.record, now); err != nil {
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
