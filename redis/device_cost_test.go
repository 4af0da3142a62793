package redis_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// bound is the token of the session when it is bound to a device.
func (v *visit) bound(ctx context.Context) string {
	s, err := v.Bind(ctx, v.token, aProof(""))
	if err != nil {
		v.t.Fatal(err)
	}
	return session.Token(s)
}

// deviceCosts are those of sessions that are bound to a device.
var deviceCosts = []cost{
	{"Bind", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Bind(ctx, v.token, aProof(""))) }
	}},
	{"Bind, bound", "evalsha", session.ErrBound, func(ctx context.Context, v *visit) func() error {
		v.bound(ctx)
		return func() error { return errorOf(v.Bind(ctx, v.token, aProof(""))) }
	}},
	{"Bind, malformed", "", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Bind(ctx, "."+v.token, aProof(""))) }
	}},
	{"Prove", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		v.bound(ctx)
		return func() error { return errorOf(v.Prove(ctx, v.id, aProof("1"))) }
	}},
	{"Prove, not bound", "evalsha", session.ErrUnbound, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Prove(ctx, v.id, aProof("1"))) }
	}},
	{"Prove, malformed", "", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		return func() error { return errorOf(v.Prove(ctx, v.id+"*", aProof("1"))) }
	}},
	{"Open, bound, not seen", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		clientToken := v.bound(ctx)
		return func() error { return errorOf(v.Open(ctx, clientToken)) }
	}},
	{"Open, bound", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		clientToken := v.bound(ctx)
		_, err := v.Open(ctx, clientToken)
		return func() error { return errors.Join(err, errorOf(v.Open(ctx, clientToken))) }
	}},
	{"Open, bound, not the newest", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		clientToken := v.bound(ctx)
		_, err := v.Prove(ctx, v.id, aProof("1"))
		return func() error { return errors.Join(err, errorOf(v.Open(ctx, clientToken))) }
	}},
	{"Open, bound, of before", "hgetall evalsha", nil, func(ctx context.Context, v *visit) func() error {
		v.bound(ctx)
		return func() error { return errorOf(v.Open(ctx, v.token)) }
	}},
	{"Open, bound, another secret", "evalsha", session.ErrNotFound, func(ctx context.Context, v *visit) func() error {
		v.bound(ctx)
		return func() error { return errorOf(v.Open(ctx, v.id+"."+strings.Repeat("A", 26)+"DEVICE")) }
	}},
	{"Rotate, bound", "evalsha", nil, func(ctx context.Context, v *visit) func() error {
		clientToken := v.bound(ctx)
		return func() error { return errorOf(v.Rotate(ctx, clientToken, time.Hour)) }
	}},
	{"Get, bound", "hgetall", nil, func(ctx context.Context, v *visit) func() error {
		v.bound(ctx)
		return func() error { return errorOf(v.Get(ctx, v.id)) }
	}},
}
