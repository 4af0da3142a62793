package redis

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/values"
)

// A requestSession is a session as one request loaded it. Its writes succeed only while the record
// that it loaded still exists.
type requestSession struct {
	store  *Store
	id     string
	token  string
	record record
	ends   int64 // when the token ends; zero: with the session

	mu      sync.Mutex
	fields  map[string]string // the loaded fields, plus own writes
	writing chan struct{}     // a write holds it; the first write makes it
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

func (s *requestSession) ID() string { return s.id }

func (s *requestSession) Token() string { return s.token }

func (s *requestSession) Device() string { return s.record.device }

// Format prints only the id, for every verb, so that a log of the session contains no token.
func (s *requestSession) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.ID()) }

// Now returns the clock of the session's server. The times of Info come from the same clock.
func (s *requestSession) Now(ctx context.Context) (time.Time, error) {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer cancel()
	reply, err := s.store.eval(ctx, &clockScript, s.store.key(s.id), scriptArgs(0))
	if err != nil {
		return time.Time{}, err
	}
	now, ok := reply.(int64)
	if !ok {
		return time.Time{}, errRecord
	}
	return time.UnixMilli(now), nil
}

func (s *requestSession) Info() session.Info { return s.record.info(s.id, s.ends) }

// encodedValue returns the encoded value that this session shows for key.
func (s *requestSession) encodedValue(key string) (encoded string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	encoded, ok = s.fields[valuePrefix+key]
	return encoded, ok
}

func (s *requestSession) Get(ctx context.Context, key string) (any, error) {
	if err := contextError(ctx); err != nil {
		return nil, err
	}
	encoded, ok := s.encodedValue(key)
	if !ok {
		return nil, nil //nolint:nilnil // the contract of an absent key
	}
	return values.Decode(encoded)
}

func (s *requestSession) All(ctx context.Context) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		s.mu.Lock()
		fields := maps.Clone(s.fields)
		s.mu.Unlock()
		for field, encoded := range fields {
			key, ok := strings.CutPrefix(field, valuePrefix)
			if !ok {
				continue
			}
			if contextError(ctx) != nil {
				return
			}
			if v, err := values.Decode(encoded); err == nil && !yield(key, v) {
				return
			}
		}
	}
}

func (s *requestSession) Set(ctx context.Context, key string, value any) error {
	encoded, err := encode(key, value)
	if err != nil {
		return err
	}
	field := valuePrefix + key
	args := append(scriptArgs(5), s.record.incarnation, values.MaxCount, values.MaxSize, field, encoded)
	return s.write(ctx, &setScript, args, func(shown map[string]string) { shown[field] = encoded })
}

func (s *requestSession) SetAll(ctx context.Context, all map[string]any) error {
	set, err := encodeAll(all)
	if err != nil {
		return err
	}
	args := append(scriptArgs(3+2*len(set)), s.record.incarnation, values.MaxCount, values.MaxSize)
	return s.write(ctx, &setScript, appendFields(args, set), func(shown map[string]string) { maps.Copy(shown, set) })
}

func (s *requestSession) Delete(ctx context.Context, keys ...string) error {
	args := append(scriptArgs(1+len(keys)), s.record.incarnation)
	for _, key := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		if values.CheckKey(key) == nil { // no value is stored under an invalid key
			args = append(args, valuePrefix+key)
		}
	}
	return s.write(ctx, &deleteScript, args, func(shown map[string]string) {
		for _, key := range keys {
			delete(shown, valuePrefix+key)
		}
	})
}

func (s *requestSession) Clear(ctx context.Context) error {
	return s.write(ctx, &clearScript, append(scriptArgs(1), s.record.incarnation), func(shown map[string]string) {
		maps.DeleteFunc(shown, func(field, _ string) bool { return strings.HasPrefix(field, valuePrefix) })
	})
}

// write runs a script that changes the record, and then applies the change to the values that
// this session shows.
func (s *requestSession) write(ctx context.Context, sc *script, args []any, change func(shown map[string]string)) error {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	unlock, err := s.lockWrites(ctx, sc.name)
	if err != nil {
		return err
	}
	defer unlock()
	reply, err := s.store.eval(ctx, sc, s.store.key(s.id), args)
	if err != nil {
		return err
	}
	if reply != int64(1) {
		return replyError(reply)
	}
	s.apply(change)
	return nil
}

// lockWrites waits until no other write of this session is in progress, or until ctx ends. A
// session writes one change after the other, so it always shows the last stored values.
func (s *requestSession) lockWrites(ctx context.Context, op string) (unlock func(), err error) {
	s.mu.Lock()
	if s.writing == nil {
		s.writing = make(chan struct{}, 1)
	}
	s.mu.Unlock()
	select {
	case s.writing <- struct{}{}:
		return func() { <-s.writing }, nil
	case <-ctx.Done():
		return nil, &opError{op: op, cause: ctx.Err()}
	}
}

func (s *requestSession) apply(change func(shown map[string]string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fields == nil {
		s.fields = make(map[string]string)
	}
	change(s.fields)
}

func encode(key string, value any) (string, error) {
	if err := values.CheckKey(key); err != nil {
		return "", err
	}
	var buf [128]byte
	encoded, err := values.Append(buf[:0], value)
	return string(encoded), err
}

// encodeAll encodes values as fields.
func encodeAll(all map[string]any) (fields map[string]string, err error) {
	if err := values.CheckCount(len(all)); err != nil {
		return nil, err
	}
	fields = make(map[string]string, len(all))
	for key, value := range all {
		if fields[valuePrefix+key], err = encode(key, value); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

func appendFields(args []any, fields map[string]string) []any {
	for field, encoded := range fields {
		args = append(args, field, encoded)
	}
	return args
}
