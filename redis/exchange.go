package redis

import (
	"context"

	"github.com/mist-contrib/session/internal/values"
)

// Pop removes and returns the value that is stored under key now.
func (s *object) Pop(ctx context.Context, key string) (value any, err error) {
	err = s.exchange(ctx, key, func(old any) (string, error) {
		if value = old; value == nil {
			return nothing, nil
		}
		return takeOut, nil
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Update replaces the value that is stored under key now.
func (s *object) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return s.exchange(ctx, key, func(old any) (string, error) {
		value, err := f(old)
		if err != nil {
			return nothing, err
		}
		encoded, err := encode(key, value)
		return present + encoded, err
	})
}

// These words tell scripts/exchange.lua what a field holds and how to change it.
const (
	nothing = ""
	takeOut = "-"
	present = "=" // followed by the value
)

// exchange applies the change that f chooses for the stored value of key. It first calls f
// with the value that this session shows, and again if the store holds another value. So
// most calls take one round trip. If f changes nothing or fails, exchange accepts that only
// for a value that the store has confirmed.
func (s *object) exchange(ctx context.Context, key string, f func(old any) (change string, err error)) error {
	ctx, cancel, err := s.store.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	seen, asked := nothing, false
	if encoded, ok := s.shown(key); ok {
		seen = present + encoded
	}
	for {
		change, ferr := decide(seen, f)
		if ferr != nil {
			change = nothing
		}
		if change == nothing && asked {
			return ferr
		}
		now, err := s.swap(ctx, valuePrefix+key, seen, change)
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
	if seen != nothing {
		if old, err = values.Decode(seen[len(present):]); err != nil {
			return nothing, err
		}
	}
	return f(old)
}

// swap changes a field if it still holds seen, and returns what the field held.
func (s *object) swap(ctx context.Context, field, seen, change string) (now string, err error) {
	sc := &exchangeScript
	if change == nothing {
		sc = &askScript
	}
	done, err := s.await(ctx, sc.name)
	if err != nil {
		return nothing, err
	}
	defer done()
	word, value := change, ""
	if change != nothing && change != takeOut {
		word, value = present, change[len(present):]
	}
	args := append(scriptArgs(7), s.record.incarnation, values.MaxCount, values.MaxSize, seen, word, field, value)
	reply, err := s.store.eval(ctx, sc, s.store.key(s.id), args)
	if err != nil {
		return nothing, err
	}
	if other, ok := reply.(string); ok {
		return other, nil
	}
	if reply != int64(1) {
		return seen, refusal(reply)
	}
	if change == nothing {
		return seen, nil
	}
	s.show(func(shown map[string]string) {
		if change == takeOut {
			delete(shown, field)
		} else {
			shown[field] = value
		}
	})
	return seen, nil
}
