package sessiontest

import (
	"context"
	"errors"
	"testing"

	"github.com/mist-contrib/session"
)

func brokenAccounts() map[string]wreck {
	return map[string]wreck{
		"a login keeps the old token":         {burst: "login", finds: "Open after a session had ended by a login", store: keepsOldToken},
		"a login looks, and then takes":       {burst: "login login", finds: "a token logged in for the second time", store: copiesAndDrops(Step)},
		"a login looks at rotated tokens":     {burst: "login login rotate", finds: "an anonymous session logged in for the second time", store: copiesAndDrops(Step)},
		"a login takes another user's":        {burst: "login login-other", finds: "was logged in as one user and is another's", store: followsAtLogin},
		"a login of another shows its values": {burst: "write login login-other", finds: "a session shows data of another user", store: followsAtLogin},
		"a login copies the record":           {burst: "write login", finds: "an acknowledged write is lost", store: copiesAtLogin(Step)},
		"a login drops the session later":     {burst: "write login", finds: "an acknowledged write is lost", store: copiesAndDrops(Step)},
		"a login leaves the session":          {burst: "login", finds: "a session lives that had ended by a login", store: keepsAnonymous},
		"a login keeps the id":                {burst: "login", finds: "a login of an anonymous session returned an existing session", store: keepsID},
		"a login forgets its values":          {burst: "login", finds: "an acknowledged write is lost", store: logs(func(l session.Login) session.Login { l.Values = nil; return l })},
		"a login of the same user is another": {burst: "in: login", finds: "a session of a user did not go on as theirs", store: copiesAndDrops(func(context.Context) {})},
		"a login from none finds one":         {burst: "login login", finds: "a login from no session returned an existing session", store: findsAtLogin},
		"a login that came late is let in":    {burst: "late", finds: "a login succeeded whose check began too long ago", store: revokesOnly},
		"writes go on after a login":          {burst: "write login", finds: "Set worked on a session that had ended by a login", store: writesOn},
		"a refused login ends the session": {burst: "late", finds: "a session is gone, but nothing had ended it", store: ifRefused(func(ctx context.Context, b *brokenStore, old session.Session) error {
			return b.Store.Remove(ctx, old.ID())
		})},
		"a refused login leaves its values": {burst: "late", finds: "a refused write is there", store: entersBy(
			func(ctx context.Context, b *brokenStore, old session.Session, token string, l session.Login) (session.Session, error) {
				if err := session.SetAll(ctx, old, l.Values); err != nil {
					return nil, err
				}
				return b.Store.Login(ctx, token, l)
			})},
		"a refused login gives back a copy":   {burst: "late write", finds: "an acknowledged write is lost", store: givesBackCopy(Step)},
		"a login brings back what is gone":    {burst: "login logout", finds: "Login worked on a session that had ended by Remove", store: remembersValues},
		"a revocation lets in who began":      {burst: "login revoke", finds: "a session lives that had ended by a revocation", store: revokesOnly},
		"a login is noted after it was done":  {burst: "login revoke", finds: "a session lives that had ended by a revocation", store: notesLater},
		"a revocation ends only what it sees": {burst: "in: revoke", finds: "a session lives that had ended by a revocation", store: forgetsSome},
	}
}

// followsAtLogin gives the session that another login has begun to a user who comes
// too late.
func followsAtLogin(_ *testing.T, b *brokenStore) {
	b.onSession = func(s *brokenSession) {
		s.infoHook = func() session.Info {
			info, _ := session.Describe(s.Session)
			if user, ok := b.noted("user of " + s.ID()).(string); ok && info.User != "" {
				info.User = user
			}
			return info
		}
	}
	b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		with := l
		if next, ok := b.noted(token).(session.Session); ok {
			info, err := session.Describe(next)
			if err != nil {
				return nil, err
			}
			b.note("user of "+next.ID(), l.User)
			with.User = info.User // the good store would refuse another
			s, err := b.Store.Login(ctx, session.Token(next), with)
			if err == nil {
				b.note(token, s)
			}
			return s, err
		}
		s, err := b.Store.Login(ctx, token, with)
		if err == nil && token != "" {
			b.note(token, s)
		}
		return s, err
	}
}

// remembersValues logs in with those of a session that has ended.
func remembersValues(_ *testing.T, b *brokenStore) {
	b.open = func(ctx context.Context, token string) (session.Session, error) {
		s, err := b.Store.Open(ctx, token)
		if err == nil {
			b.note(token, record(ctx, s))
		}
		return s, err
	}
	b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		s, err := b.Store.Login(ctx, token, l)
		if kept, ok := b.noted(token).(map[string]any); ok && errors.Is(err, session.ErrNotFound) {
			return b.Store.Login(ctx, "", over(kept, l))
		}
		return s, err
	}
}

// findsAtLogin returns a session that the user has already, where it should begin one.
func findsAtLogin(_ *testing.T, b *brokenStore) {
	b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		if has, ok := b.noted("session of " + l.User).(session.Session); ok && token == "" {
			return has, nil
		}
		s, err := b.Store.Login(ctx, token, l)
		if err == nil {
			b.note("session of "+l.User, s)
		}
		return s, err
	}
}

// notesLater has an index of its own, which learns of a login after it was done.
func notesLater(_ *testing.T, b *brokenStore) {
	ids := func(user string) []string {
		known, _ := b.noted("index " + user).([]string)
		return known
	}
	b.login = func(ctx context.Context, token string, l session.Login) (session.Session, error) {
		Step(ctx)
		s, err := b.Store.Login(ctx, token, l)
		if err != nil {
			return nil, err
		}
		Step(ctx)
		b.note("index "+l.User, append(ids(l.User), s.ID()))
		return s, nil
	}
	b.revoke = func(ctx context.Context, user string, _ ...string) (n int, err error) {
		for _, id := range ids(user) {
			if _, gone := b.Store.Get(ctx, id); gone == nil {
				n++
			}
			err = errors.Join(err, b.Store.Remove(ctx, id))
		}
		return n, err
	}
}
