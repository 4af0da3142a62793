package sessiontest

import (
	"context"
	"errors"
	"fmt"

	"github.com/mist-contrib/session"
)

func listsLiving(ctx context.Context, e *env) error {
	if err := errors.Join(e.has(ctx, "nobody"), e.revoke(ctx, "nobody", 0)); err != nil {
		return err
	}
	mine, err := e.members(ctx, 4, session.Login{User: "ada", UserAgent: "browser", Address: "192.0.2.0/24"})
	if err != nil {
		return err
	}
	if _, err := e.member(ctx, session.Login{User: "bob"}); err != nil {
		return err
	}
	if err := removed(ctx, e, mine[3]); err != nil {
		return err
	}
	if err := e.store.Refresh(ctx, mine[1].ID()); err != nil {
		return wrong(err, nil, "Refresh")
	}
	if err := mine[0].Set(ctx, "k", "v"); err != nil {
		return wrong(err, nil, "Set")
	}
	list, err := e.users.UserSessions(ctx, "ada")
	if err != nil {
		return wrong(err, nil, "UserSessions")
	}
	for range 2 { // the first call may remove ended entries, which changes nothing
		if list, err = e.users.UserSessions(ctx, "ada"); err != nil {
			return wrong(err, nil, "UserSessions")
		}
	}
	want := []session.Session{mine[1], mine[2], mine[0]}
	if len(list) != len(want) {
		return fmt.Errorf("UserSessions: got %d sessions, want %d", len(list), len(want))
	}
	for i, s := range want {
		l, err := e.load(ctx, s)
		if err != nil {
			return err
		}
		info, err := session.Describe(l)
		if err != nil {
			return wrong(err, nil, "Describe")
		}
		if err := sameInfo(fmt.Sprintf("UserSessions, entry %d beside Describe", i), list[i], info); err != nil {
			return err
		}
	}
	return nil
}

func describesLogin(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	made, err := session.Describe(s)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	e.Advance(e.Idle / 10)
	l := session.Login{User: "ada", Level: 3, Persistent: true}
	in, err := e.login(ctx, s, l)
	if err != nil {
		return err
	}
	loaded, err := e.load(ctx, in)
	if err != nil {
		return err
	}
	for _, s := range []session.Session{in, loaded} {
		info, err := session.Describe(s)
		if err != nil {
			return wrong(err, nil, "Describe")
		}
		at := info.AuthenticatedAt
		if !at.After(made.CreatedAt) {
			return described(" after a login: got AuthenticatedAt %v, want a time after %v, when the anonymous session began", at, made.CreatedAt)
		}
		want := session.Info{
			ID: in.ID(), User: l.User, Level: l.Level, CreatedAt: at, LastSeen: at, AuthenticatedAt: at, RotatedAt: at,
			IdleDeadline: at.Add(e.Idle), AbsoluteDeadline: at.Add(e.Absolute), Persistent: true,
		}
		if late := info.IdleDeadline.Sub(want.IdleDeadline); late >= 0 && late <= e.Slack { // then the absolute deadline is late as well
			want.IdleDeadline, want.AbsoluteDeadline = info.IdleDeadline, want.AbsoluteDeadline.Add(late)
		}
		if err := sameInfo("Describe after a login", info, want); err != nil {
			return err
		}
	}
	return nil
}

func describesDevice(ctx context.Context, e *env) error {
	l := session.Login{User: "ada", UserAgent: "browser\n of a kind", Address: "192.0.2.0/24"}
	in, err := e.visitor(ctx, l)
	if err != nil {
		return err
	}
	loaded, err := e.load(ctx, in)
	if err != nil {
		return err
	}
	for _, s := range []session.Session{in, loaded} {
		info, err := session.Describe(s)
		if err != nil {
			return wrong(err, nil, "Describe")
		}
		if info.UserAgent != l.UserAgent || info.Address != l.Address {
			return described(" after a login: got the device %q at %q, want %q at %q", info.UserAgent, info.Address, l.UserAgent, l.Address)
		}
	}
	return nil
}
