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
)

// An object is a session as one request loaded it. It is not the record, and it
// outlives it: a write to a record that has ended is refused.
type object struct {
	shard  *shard
	record *record
	token  string

	login         *login // the record's as loaded, and so are these
	seen, rotated int64

	mu   sync.Mutex // taken before the shard's
	data string     // the record's as loaded, plus own writes
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

func (s *object) ID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Clone(s.data[:s.record.idLen]) // whoever keeps it keeps no values
}

// view returns the values that the session shows.
func (s *object) view() block {
	s.mu.Lock()
	defer s.mu.Unlock()
	return block(s.data[s.record.idLen:])
}

func (s *object) Token() string { return s.token }

// Format prints the id and nothing else, whatever the verb: a session that is
// logged by mistake shows no token.
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
	view := s.view()
	encoded, ok := view.get(key)
	if !ok {
		return nil, nil //nolint:nilnil // the contract of an absent key
	}
	return view.decode(encoded)
}

func (s *object) All(ctx context.Context) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		view := s.view()
		for key, encoded := range view.all() {
			if ended(ctx) != nil {
				return
			}
			if v, err := view.decode(encoded); err == nil && !yield(strings.Clone(key), v) {
				return
			}
		}
	}
}

func (s *object) Set(ctx context.Context, key string, value any) error {
	var buf [256]byte
	set, err := appendField(buf[:0], key, value)
	if err != nil {
		return err
	}
	return s.write(ctx, &change{set: block(set), key: &key})
}

func (s *object) SetAll(ctx context.Context, all map[string]any) error {
	c, err := setAll(all)
	if err != nil {
		return err
	}
	return s.write(ctx, &c)
}

func (s *object) Delete(ctx context.Context, keys ...string) error {
	gone := make(map[string]bool, len(keys))
	for _, key := range keys {
		gone[key] = true
	}
	return s.write(ctx, &change{keys: gone})
}

func (s *object) Clear(ctx context.Context) error {
	return s.write(ctx, &change{clear: true})
}

func (s *object) Pop(ctx context.Context, key string) (value any, err error) {
	err = s.exchange(ctx, key, func(old any) (*change, error) {
		if value = old; value == nil {
			return nil, nil //nolint:nilnil // nothing to change
		}
		return &change{key: &key}, nil
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

func (s *object) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return s.exchange(ctx, key, func(old any) (*change, error) {
		value, err := f(old)
		if err != nil {
			return nil, err
		}
		set, err := appendField(nil, key, value)
		if err != nil {
			return nil, err
		}
		return &change{set: block(set), key: &key}, nil
	})
}

// exchange makes the change that f says for the value that is stored under key
// now, and asks f again when it is another by then. f runs without a lock; nil
// changes nothing.
func (s *object) exchange(ctx context.Context, key string, f func(old any) (*change, error)) error {
	for {
		stored, err := s.stored(ctx)
		if err != nil {
			return err
		}
		encoded, present := stored.get(key)
		var old any
		if present {
			if old, err = stored.decode(encoded); err != nil {
				return err
			}
		}
		c, err := f(old)
		if err != nil || c == nil {
			return err
		}
		c.only = func(b block) bool {
			now, ok := b.get(key)
			return now == encoded && ok == present
		}
		if err := s.write(ctx, c); err != errChanged { //nolint:errorlint // never leaves this file
			return err
		}
	}
}

// stored returns the values that the record has now.
func (s *object) stored(ctx context.Context) (block, error) {
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

// write applies a change to the record, and to what this object shows.
func (s *object) write(ctx context.Context, c *change) error {
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
	if c.only != nil && !c.only(s.record.values()) {
		return errChanged
	}
	before, id := s.record.data, s.record.id()
	after, err := s.record.values().changed(c, id)
	if err != nil {
		return err
	}
	s.record.data = after
	if s.data == before {
		s.data = after
	} else {
		s.data = block(s.data[len(id):]).with(c, id)
	}
	return nil
}
