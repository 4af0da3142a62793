package redis

import (
	"context"

	"github.com/mist-contrib/session/internal/values"
)

// Pop removes and returns the value that is stored under key now.
func (s *requestSession) Pop(ctx context.Context, key string) (value any, err error) {
	err = s.replaceValue(ctx, key, func(old any) (string, error) {
		if value = old; value == nil {
			return noValue, nil
		}
		return removal, nil
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Update replaces the value that is stored under key now.
func (s *requestSession) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return s.replaceValue(ctx, key, func(old any) (string, error) {
		value, err := f(old)
		if err != nil {
			return noValue, err
		}
		encoded, err := encode(key, value)
		return valueMark + encoded, err
	})
}

// These words tell scripts/compare_and_swap.lua what a field holds and how to change it.
const (
	noValue   = ""
	removal   = "-"
	valueMark = "=" // followed by the value
)

// replaceValue applies the change that f chooses for the stored value of key. It first calls f
// with the value that this session shows, and again if the store holds another value. So
// most calls take one round trip. If f changes nothing or fails, replaceValue accepts that only
// for a value that the store has confirmed.
func (s *requestSession) replaceValue(ctx context.Context, key string, f func(old any) (change string, err error)) error {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	seen, asked := noValue, false
	if encoded, ok := s.encodedValue(key); ok {
		seen = valueMark + encoded
	}
	for {
		change, ferr := decide(seen, f)
		if ferr != nil {
			change = noValue
		}
		if change == noValue && asked {
			return ferr
		}
		now, err := s.compareAndSwap(ctx, valuePrefix+key, seen, change)
		if err != nil {
			return err
		}
		if now == seen {
			return ferr
		}
		seen, asked = now, true
	}
}

// decide calls f with the decoded value of a field.
func decide(seen string, f func(old any) (change string, err error)) (change string, err error) {
	var old any
	if seen != noValue {
		if old, err = values.Decode(seen[len(valueMark):]); err != nil {
			return noValue, err
		}
	}
	return f(old)
}

// compareAndSwap changes a field if it still holds seen, and returns what the field held.
func (s *requestSession) compareAndSwap(ctx context.Context, field, seen, change string) (now string, err error) {
	sc := &compareAndSwapScript
	if change == noValue {
		sc = &compareScript
	}
	unlock, err := s.lockWrites(ctx, sc.name)
	if err != nil {
		return noValue, err
	}
	defer unlock()
	word, value := change, ""
	if change != noValue && change != removal {
		word, value = valueMark, change[len(valueMark):]
	}
	args := append(scriptArgs(7), s.record.incarnation, values.MaxCount, values.MaxSize, seen, word, field, value)
	reply, err := s.store.eval(ctx, sc, s.store.key(s.id), args)
	if err != nil {
		return noValue, err
	}
	if other, ok := reply.(string); ok {
		return other, nil
	}
	if reply != int64(1) {
		return seen, replyError(reply)
	}
	if change == noValue {
		return seen, nil
	}
	s.apply(func(shown map[string]string) {
		if change == removal {
			delete(shown, field)
		} else {
			shown[field] = value
		}
	})
	return seen, nil
}
