package values

import "context"

// A Cell stores the values of one session.
type Cell interface {
	// Stored returns the values stored now.
	Stored(ctx context.Context) (Block, error)

	// Write applies a change, or returns [ErrChanged] if the change's Only returns
	// false.
	Write(ctx context.Context, c *Change) error
}

// Delete returns the Change that removes keys.
func Delete(keys []string) Change {
	gone := make(map[string]any, len(keys))
	for _, key := range keys {
		gone[key] = nil
	}
	return Change{Keys: gone}
}

// Pop removes a value and returns it, or nil if there is none.
func Pop(ctx context.Context, cell Cell, key string) (value any, err error) {
	err = exchange(ctx, cell, key, func(old any) (*Change, error) {
		if value = old; value == nil {
			return nil, nil //nolint:nilnil // nothing to change
		}
		return &Change{Key: &key}, nil
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

// Update replaces a value by the result of f.
func Update(ctx context.Context, cell Cell, key string, f func(old any) (any, error)) error {
	return exchange(ctx, cell, key, func(old any) (*Change, error) {
		value, err := f(old)
		if err != nil {
			return nil, err
		}
		set, err := AppendField(nil, key, value)
		if err != nil {
			return nil, err
		}
		return &Change{Set: Block(set), Key: &key}, nil
	})
}

// exchange applies the change that f returns for the value stored under key. If the
// value changes in the meantime, exchange calls f again. It holds no lock while f runs.
// A nil change means: change nothing.
func exchange(ctx context.Context, cell Cell, key string, f func(old any) (*Change, error)) error {
	for {
		stored, err := cell.Stored(ctx)
		if err != nil {
			return err
		}
		encoded, present := stored.Get(key)
		var old any
		if present {
			if old, err = stored.Decode(encoded); err != nil {
				return err
			}
		}
		c, err := f(old)
		if err != nil || c == nil {
			return err
		}
		c.Only = func(b Block) bool {
			now, ok := b.Get(key)
			return now == encoded && ok == present
		}
		if err := cell.Write(ctx, c); err != ErrChanged { //nolint:errorlint // never wrapped
			return err
		}
	}
}
