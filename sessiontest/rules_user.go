package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// users is the capability that a rule about users needs.
const users = UserStore | TokenStore | Describer

func usersYours() []rule {
	return []rule{
		{"a login without a session begins one with a new id", users, loginBegins},
		{"a login of an anonymous session begins the user's session with its values", users, loginBinds},
		{"a login of the same user keeps the session", users, loginGoesOn},
		{"a login cannot take the id of a live session", users, loginTakesNoID},
		{"a login ends every older token, without grace", users, loginEndsTokens(anonymous)},
		{"a login of the same user ends every older token", users, loginEndsTokens(adasSession)},
		{"a login cannot take another user's session", users, loginRefusesOthers},
		{"no stored value sets the user", users, valuesAreNoUsers},
		{"of many logins with one token exactly one succeeds", users, loginsCompete},
		{"a user name with special characters reaches no other user", users, strangeUsers},
	}
}

func usersSame() []rule {
	return []rule{
		{"an invalid login is refused and changes nothing", users, badLogins},
		{"a refused login leaves the anonymous session as it was", users, loginGivesBack},
		{"a login stores its values over the old ones, all or none", users, loginValues},
		{"a login stores as many values as a session can hold", users, loginOfManyValues},
		{"a login cannot exceed the size", users, loginKeepsSize},
		{"no request sees a session without the values of its login", users | UserLister, loginValuesAtOnce},
		{"Reauthentication keeps the session and its settings", users, reauthenticates},
		{"Reauthentication with another user's session is refused", users, reauthenticatesNobody},
		{"UserSessions lists the live sessions, the last seen first", users | UserLister, listsLiving},
		{"Describe reports the login", users, describesLogin},
		{"Describe reports the device of the login", users, describesDevice},
		{"an old token after its grace is reported as reused", TokenStore, reportsReuse},
	}
}

func ada() session.Login { return session.Login{User: "ada"} }

// belongs reports an error unless s, and its session loaded again, is of that user.
func (e *env) belongs(ctx context.Context, s session.Session, user string) error {
	l, err := e.load(ctx, s)
	if err != nil {
		return err
	}
	for _, s := range []session.Session{s, l} {
		info, err := session.Describe(s)
		if err != nil {
			return wrong(err, nil, "Describe")
		}
		if info.User != user {
			return differs("Describe: User", info.User, user)
		}
		if at := info.AuthenticatedAt; at.IsZero() != (user == "") || (info.Level == session.Anonymous) != (user == "") {
			return described(" of a session of the user %q: got AuthenticatedAt %v and Level %d, want both set exactly if there is a user", user, at, info.Level)
		}
	}
	return nil
}

func valuesAreNoUsers(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for _, key := range []string{"user", "User", "u", ":u", "l", "level", "v", "", "AuthenticatedAt"} {
		if err := s.Set(ctx, key, "ada"); err != nil {
			return wrong(err, nil, "Set of the key %q", key)
		}
	}
	if err := e.belongs(ctx, s, ""); err != nil {
		return err
	}
	return e.has(ctx, "ada")
}

func strangeUsers(ctx context.Context, e *env) error {
	names := []string{"*", "?", "[a-z]", "{tag}", "a b", "a\r\nDEL x", "\x00", "a\x00", "\xff", "é", "a:b", "a.b", "!", "-", "A", "a", strings.Repeat("x", 256), strings.Repeat("x", 255)}
	made := make([]session.Session, len(names))
	for i, user := range names {
		var err error
		if made[i], err = e.member(ctx, session.Login{User: user}); err != nil {
			return fmt.Errorf("user %q: %w", short(user), err)
		}
	}
	for i, user := range names {
		if !e.lists() {
			break
		}
		list, err := e.users.UserSessions(ctx, user)
		if err != nil {
			return wrong(err, nil, "UserSessions")
		}
		if len(list) != 1 || list[0].ID != made[i].ID() || list[0].User != user {
			return fmt.Errorf("UserSessions of %q: got %d sessions, want exactly the one that logged in", short(user), len(list))
		}
	}
	for i := 0; i < len(names); i += 4 { // not all of them, because each is slow on a Cluster
		if err := e.revoke(ctx, names[i], 1); err != nil {
			return fmt.Errorf("user %q: %w", short(names[i]), err)
		}
		if err := e.gone(ctx, made[i]); err != nil {
			return err
		}
		if i+1 < len(made) {
			if err := e.alive(ctx, made[i+1]); err != nil {
				return fmt.Errorf("the session of another user: %w", err)
			}
		}
	}
	return nil
}

func badLogins(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what string
		want error // nil: any but ErrNotFound
		l    session.Login
	}{
		{"no user", session.ErrInvalidUser, session.Login{}},
		{"a user of 257 bytes", session.ErrInvalidUser, session.Login{User: strings.Repeat("x", 257)}},
		{"a negative idle timeout", nil, session.Login{User: "ada", IdleTimeout: -1}},
		{"a negative absolute timeout", nil, session.Login{User: "ada", AbsoluteTimeout: -1}},
		{"an idle timeout under a millisecond", nil, session.Login{User: "ada", IdleTimeout: time.Microsecond}},
		{"an idle timeout above the absolute one", nil, session.Login{User: "ada", IdleTimeout: 2 * time.Hour, AbsoluteTimeout: time.Hour}},
		{"an absolute timeout over 400 days", nil, session.Login{User: "ada", AbsoluteTimeout: 401 * 24 * time.Hour}},
		{"a negative limit", nil, session.Login{User: "ada", MaxSessions: -1}},
		{"an id with a space", session.ErrInvalidID, session.Login{User: "ada", ID: "a b"}},
		{"an id with a dot", session.ErrInvalidID, session.Login{User: "ada", ID: "a.b"}},
		{"an id of 97 characters", session.ErrInvalidID, session.Login{User: "ada", ID: strings.Repeat("x", 97)}},
	} {
		for _, token := range []string{session.Token(s), ""} {
			_, err := e.users.Login(ctx, token, c.l)
			switch {
			case c.want != nil && !errors.Is(err, c.want):
				return wrong(err, c.want, "Login with %s", c.what)
			case err == nil || c.want == nil && errors.Is(err, session.ErrNotFound):
				return unexpected(err, ownError, "Login with %s", c.what)
			}
		}
	}
	for _, user := range []string{"", strings.Repeat("x", 257)} {
		if _, err := e.users.UserSessions(ctx, user); !errors.Is(err, session.ErrInvalidUser) {
			return wrong(err, session.ErrInvalidUser, "UserSessions of a user of %d bytes", len(user))
		}
		if _, err := e.users.RemoveUserSessions(ctx, user); !errors.Is(err, session.ErrInvalidUser) {
			return wrong(err, session.ErrInvalidUser, "RemoveUserSessions of a user of %d bytes", len(user))
		}
	}
	for _, token := range []string{"x", s.ID(), s.ID() + ".", s.ID() + "." + strings.Repeat("B", 26), "nobody." + strings.Repeat("B", 26)} {
		if _, err := e.users.Login(ctx, token, ada()); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Login with a token that opens nothing")
		}
	}
	for _, user := range []string{"ada", "bob"} {
		if err := e.has(ctx, user); err != nil {
			return err
		}
	}
	return errors.Join(e.alive(ctx, s), e.belongs(ctx, s, ""), e.holds(ctx, s, "kept", 1))
}

func reauthenticates(ctx context.Context, e *env) error {
	first, err := e.member(ctx, session.Login{
		User: "ada", Level: 2, IdleTimeout: e.Idle * 2, AbsoluteTimeout: e.Absolute * 2, Persistent: true, UserAgent: "browser", Address: "192.0.2.0/24",
	})
	if err != nil {
		return err
	}
	before, err := session.Describe(first)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	e.Advance(e.Idle / 10)
	second, err := e.login(ctx, first, session.Login{User: "ada", Reauthentication: true, IdleTimeout: e.Idle, UserAgent: "other"})
	if err != nil {
		return err
	}
	after, err := session.Describe(second)
	if err != nil {
		return wrong(err, nil, "Describe")
	}
	if !after.AuthenticatedAt.After(before.AuthenticatedAt) || !after.AbsoluteDeadline.After(before.AbsoluteDeadline) {
		return described(" after a reauthentication: got AuthenticatedAt %v and AbsoluteDeadline %v, want both later than %v and %v",
			after.AuthenticatedAt, after.AbsoluteDeadline, before.AuthenticatedAt, before.AbsoluteDeadline)
	}
	moved := after.AuthenticatedAt.Sub(before.AuthenticatedAt)
	want := before
	for _, at := range []*time.Time{&want.AuthenticatedAt, &want.LastSeen, &want.RotatedAt, &want.IdleDeadline, &want.AbsoluteDeadline} {
		*at = at.Add(moved)
	}
	if err := sameInfo("Describe after a reauthentication", after, want); err != nil {
		return err
	}
	third, err := e.login(ctx, second, session.Login{User: "ada", Reauthentication: true, Level: 1})
	if err != nil {
		return err
	}
	info, err := session.Describe(third)
	switch {
	case err != nil:
		return wrong(err, nil, "Describe")
	case info.Level != 1:
		return differs("Describe after a reauthentication of level 1: Level", info.Level, session.Level(1))
	}
	return errors.Join(e.dead(ctx, first), e.dead(ctx, second), e.alive(ctx, third))
}

func reportsReuse(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	for range 3 {
		r, err := e.rotate(ctx, s, 0)
		if err != nil {
			return err
		}
		if err := e.alive(ctx, r); err != nil { // the first use, which ends the old one
			return err
		}
		e.Advance(e.after(0))
		if _, err := e.tokens.Open(ctx, session.Token(s)); !errors.Is(err, session.ErrReused) {
			return wrong(err, session.ErrReused, "Open of an old token after its grace")
		}
		if err := e.alive(ctx, r); err != nil {
			return err
		}
		s = r
	}
	return nil
}
