package sessionotel

import (
	"context"
	"time"

	"github.com/mist-contrib/session"
)

// A recorded session records the calls that reach the store. Its token, values and times are
// read through Unwrap. A capability that the inner session lacks fails as it does there.
type recorded struct {
	session.Session

	store *Store
}

func (s *recorded) Unwrap() session.Session { return s.Session }

func (s *recorded) observe(ctx context.Context, op string, call func(ctx context.Context) error) error {
	return s.store.observe(ctx, op, s.ID(), call)
}

func (s *recorded) Now(ctx context.Context) (now time.Time, err error) {
	err = s.observe(ctx, "now", func(ctx context.Context) error {
		now, err = session.Now(ctx, s.Session)
		return err
	})
	return now, err
}

func (s *recorded) Set(ctx context.Context, key string, value any) error {
	return s.observe(ctx, "set", func(ctx context.Context) error { return s.Session.Set(ctx, key, value) })
}

func (s *recorded) SetAll(ctx context.Context, values map[string]any) error {
	return s.observe(ctx, "set_all", func(ctx context.Context) error { return session.SetAll(ctx, s.Session, values) })
}

func (s *recorded) Delete(ctx context.Context, keys ...string) error {
	return s.observe(ctx, "delete", func(ctx context.Context) error { return session.Delete(ctx, s.Session, keys...) })
}

func (s *recorded) Clear(ctx context.Context) error {
	return s.observe(ctx, "clear", func(ctx context.Context) error { return session.Clear(ctx, s.Session) })
}

func (s *recorded) Pop(ctx context.Context, key string) (value any, err error) {
	err = s.observe(ctx, "pop", func(ctx context.Context) error {
		value, err = session.Pop(ctx, s.Session, key)
		return err
	})
	return value, err
}

// Update records an error of f as refused, and without its text: the store has not failed,
// and the text is the application's.
func (s *recorded) Update(ctx context.Context, key string, f func(old any) (any, error)) (err error) {
	_ = s.observe(ctx, "update", func(ctx context.Context) error {
		var own error
		err = session.Update(ctx, s.Session, key, func(old any) (value any, err error) {
			value, err = f(old)
			own = err
			return value, err
		})
		if own != nil {
			return errRefused
		}
		return err
	})
	return err
}
