package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// users are what a rule about users needs of a store.
const users = UserStore | TokenStore | Describer

func usersYours() []rule {
	return []rule{
		{"a login from no session begins one, with an id that no other has", users, loginBegins},
		{"a login of an anonymous session begins one of the user with its values", users, loginBinds},
		{"a login of the same user goes on with the session", users, loginGoesOn},
		{"a login takes no id that a live session has", users, loginTakesNoID},
		{"a login ends every token from before, with no grace", users, loginEndsTokens(anonymous)},
		{"a login of the same user ends every token from before", users, loginEndsTokens(adas)},
		{"a login takes nobody's session away", users, loginRefusesOthers},
		{"no value makes anybody a user", users, valuesAreNoUsers},
		{"of many logins with one token one wins", users, loginsCompete},
		{"names of users that would leave their place stay in it", users, strangeUsers},
	}
}

func usersSame() []rule {
	return []rule{
		{"a login that cannot be is refused and changes nothing", users, badLogins},
		{"a login that is refused gives the anonymous session back as it was", users, loginGivesBack},
		{"a login stores its values over those that are kept, all or none", users, loginValues},
		{"a login stores as many values as a session can have", users, loginOfManyValues},
		{"a login keeps to the size", users, loginKeepsSize},
		{"no session is seen without the values of its login", users | UserLister, loginValuesAtOnce},
		{"Reauthentication is of the same user, and keeps the rest", users, reauthenticates},
		{"Reauthentication of a session that is not the user's is refused", users, reauthenticatesNobody},
		{"UserSessions lists what lives, the last seen first", users | UserLister, listsLiving},
		{"Describe tells the login", users, describesLogin},
		{"Describe tells the device of the login", users, describesDevice},
		{"an old token after its grace is reported as reused", TokenStore, reportsReuse},
	}
}

func ada() session.Login { return session.Login{User: "ada"} }

// belongs reports an error unless the session of s, loaded anew, is of that user.
func (e *env) belongs(ctx context.Context, s session.Session, user string) error {
	l, err := e.load(ctx, s)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	for _, s := range []session.Session{s, l} {
		info, err := session.Describe(s)
		if err != nil {
			return err
		}
		if info.User != user {
			return errors.New("the session is of another user")
		}
		if at := info.AuthenticatedAt; at.IsZero() != (user == "") || (info.Level == session.Anonymous) != (user == "") {
			return fmt.Errorf("AuthenticatedAt %v with level %d do not fit the user", at, info.Level)
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
			return fmt.Errorf("Set: %w", err)
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
			return fmt.Errorf("user %d: %w", i, err)
		}
	}
	for i, user := range names {
		if !e.lists() {
			break
		}
		list, err := e.users.UserSessions(ctx, user)
		if err != nil {
			return err
		}
		if len(list) != 1 || list[0].ID != made[i].ID() || list[0].User != user {
			return fmt.Errorf("user %d: got %d sessions, want the one", i, len(list))
		}
	}
	for i := 0; i < len(names); i += 4 { // not all: in a Cluster each takes its time
		if err := e.revoke(ctx, names[i], 1); err != nil {
			return fmt.Errorf("user %d: %w", i, err)
		}
		if err := e.gone(ctx, made[i]); err != nil {
			return err
		}
		if i+1 < len(made) {
			if err := e.alive(ctx, made[i+1]); err != nil {
				return fmt.Errorf("another user: %w", err)
			}
		}
	}
	return nil
}

func badLogins(ctx context.Context, e *env) error {
	s, err := e.with(ctx, "kept", 1)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		what string
		want error // nil: one of its own
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
		for _, carried := range []string{session.Token(s), ""} {
			_, err := e.users.Login(ctx, carried, c.l)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || c.want == nil && errors.Is(err, session.ErrNotFound) {
				return fmt.Errorf("Login with %s: got %v, want an error of its own", c.what, err)
			}
		}
	}
	for _, user := range []string{"", strings.Repeat("x", 257)} {
		if _, err := e.users.UserSessions(ctx, user); !errors.Is(err, session.ErrInvalidUser) {
			return fmt.Errorf("UserSessions: got %v, want ErrInvalidUser", err)
		}
		if _, err := e.users.RemoveUserSessions(ctx, user); !errors.Is(err, session.ErrInvalidUser) {
			return fmt.Errorf("RemoveUserSessions: got %v, want ErrInvalidUser", err)
		}
	}
	for _, carried := range []string{"x", s.ID(), s.ID() + ".", s.ID() + "." + strings.Repeat("B", 26), "nobody." + strings.Repeat("B", 26)} {
		if _, err := e.users.Login(ctx, carried, ada()); !errors.Is(err, session.ErrNotFound) {
			return fmt.Errorf("Login with a token that opens nothing: got %v, want ErrNotFound", err)
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
		return err
	}
	e.Advance(e.Idle / 10)
	second, err := e.login(ctx, first, session.Login{User: "ada", Reauthentication: true, IdleTimeout: e.Idle, UserAgent: "other"})
	if err != nil {
		return err
	}
	after, err := session.Describe(second)
	if err != nil {
		return err
	}
	if !after.AuthenticatedAt.After(before.AuthenticatedAt) || !after.AbsoluteDeadline.After(before.AbsoluteDeadline) {
		return errors.New("AuthenticatedAt or AbsoluteDeadline has not moved")
	}
	moved := after.AuthenticatedAt.Sub(before.AuthenticatedAt)
	want := before
	for _, at := range []*time.Time{&want.AuthenticatedAt, &want.LastSeen, &want.RotatedAt, &want.IdleDeadline, &want.AbsoluteDeadline} {
		*at = at.Add(moved)
	}
	if after != want {
		return fmt.Errorf("describe: got %+v, want %+v", after, want)
	}
	third, err := e.login(ctx, second, session.Login{User: "ada", Reauthentication: true, Level: 1})
	if err != nil {
		return err
	}
	if info, err := session.Describe(third); err != nil || info.Level != 1 {
		return fmt.Errorf("level: got %d, %v, want the one that was proved", info.Level, err)
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
		if err := e.alive(ctx, r); err != nil { // seen, which ends the old one
			return err
		}
		e.Advance(e.after(0))
		if _, err := e.tokens.Open(ctx, session.Token(s)); !errors.Is(err, session.ErrReused) {
			return fmt.Errorf("Open with an old token: got %v, want ErrReused", err)
		}
		if err := e.alive(ctx, r); err != nil {
			return err
		}
		s = r
	}
	return nil
}
