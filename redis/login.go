package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
)

// An entry is a login under way.
type entry struct {
	*session.Login
	id             string
	sum            token.Sum // of the secret that the client presents
	began          time.Time
	hash           string // of the user
	idle, absolute string // ms; empty where they stay
	noted          int64  // when the index heard of the session first, us since 1970; zero: it knew it already
}

// Login makes a session a user's, see [session.UserStore]: one script on the index
// of the user, and one on the session. Where the user has as many sessions as they
// may, it looks at those first.
func (st *Store) Login(ctx context.Context, carried string, l session.Login) (session.Session, error) {
	began := time.Now()
	if !l.Began.IsZero() && l.Began.Before(began) {
		began = l.Began
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := l.Check(); err != nil {
		return nil, err
	}
	e := &entry{Login: &l, began: began, hash: userHash(l.User)}
	if !l.Reauthentication {
		idle, absolute, err := lifetime.Own(l.IdleTimeout, l.AbsoluteTimeout, st.idle, st.absolute)
		if err != nil {
			return nil, fmt.Errorf("redis: login: %w", err)
		}
		e.idle, e.absolute = milliseconds(idle), milliseconds(absolute)
	}
	id, secret, ok := token.Parse(carried)
	if !ok {
		return nil, session.ErrNotFound
	}
	e.id, e.sum = id, token.Hash(secret)
	s, err := st.logIn(ctx, e)
	if errors.Is(err, session.ErrNotFound) && e.noted != 0 {
		// Nobody else has noted it. At worst it counts for a session until that ends.
		_, _ = st.eval(ctx, &forgetScript, st.userKey(l.User), append(scriptArgs(2), id, fmt.Sprintf("%016d", e.noted)))
	}
	return s, err
}

func (st *Store) logIn(ctx context.Context, e *entry) (session.Session, error) {
	if err := st.admit(ctx, e); err != nil {
		return nil, err
	}
	return st.bind(ctx, e)
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// admit notes the login in the index of the user, and makes room for it.
func (st *Store) admit(ctx context.Context, e *entry) error {
	var looked bool
	var dead []string
	for late := 0; late < 3; {
		if time.Since(e.began) > session.BeganLimit {
			return session.ErrRevoked
		}
		a, err := st.note(ctx, e, looked, dead)
		switch {
		case err != nil:
			return err
		case a.verdict == isRevoked:
			return session.ErrRevoked
		case a.verdict == isFull:
			return session.ErrUserLimit
		case a.verdict == mayBeFull:
			if dead, err = st.look(ctx, e, a); err != nil {
				return err
			}
			looked = true
		// The script knew how long ago the check began only before it was sent. Now
		// more time has passed than until it ran: what is after a revocation by that,
		// too, is after it.
		case a.now-time.Since(e.began).Microseconds() >= a.revoked:
			return st.makeRoom(ctx, e, a.ids)
		default:
			late++
		}
	}
	return session.ErrRevoked
}

// An answer is one of scripts/index.lua.
type answer struct {
	verdict      int64
	now, revoked int64 // us since 1970
	ids          []string
}

const (
	isRevoked int64 = 0
	isNew     int64 = 2
	mayBeFull int64 = -1
	isFull    int64 = -2
)

func (st *Store) note(ctx context.Context, e *entry, looked bool, dead []string) (a answer, err error) {
	args := append(scriptArgs(6+len(dead)), e.id, e.absolute, time.Since(e.began).Microseconds(), e.MaxSessions, e.EndOldest, looked)
	for _, id := range dead {
		args = append(args, id)
	}
	reply, err := st.eval(ctx, &indexScript, st.userKey(e.User), args)
	if err != nil {
		return a, err
	}
	list, _ := reply.([]any)
	if len(list) < 3 {
		return a, errRecord
	}
	var ok [3]bool
	a.verdict, ok[0] = list[0].(int64)
	a.now, ok[1] = list[1].(int64)
	a.revoked, ok[2] = list[2].(int64)
	if ok != [3]bool{true, true, true} {
		return a, errRecord
	}
	if e.noted = 0; a.verdict == isNew {
		e.noted = a.now
	}
	a.ids, err = words(list[3:])
	return a, err
}

func words(list []any) ([]string, error) {
	all := make([]string, len(list))
	for i, word := range list {
		s, ok := word.(string)
		if !ok {
			return nil, errRecord
		}
		all[i] = s
	}
	return all, nil
}

// look returns which sessions of an index are dead. Who gets no further than here
// must not end others' sessions: so it also looks whether the login itself has a
// chance.
func (st *Store) look(ctx context.Context, e *entry, a answer) (dead []string, err error) {
	var own map[string]string
	err = each(ctx, st, "login", 1+len(a.ids), func(i int) goredis.Cmder {
		if i == 0 {
			return goredis.NewMapStringStringCmd(ctx, "hgetall", st.prefix+e.id)
		}
		return goredis.NewSliceCmd(ctx, "hmget", st.prefix+a.ids[i-1], "n", "u")
	}, func(i int, cmd goredis.Cmder) {
		switch cmd := cmd.(type) {
		case *goredis.MapStringStringCmd:
			own = cmd.Val()
		case *goredis.SliceCmd:
			// One without a user is a login under way, perhaps.
			if r := cmd.Val(); r[0] == nil || r[1] != nil && r[1] != e.User {
				dead = append(dead, a.ids[i-1])
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if len(own) == 0 {
		return nil, session.ErrNotFound
	}
	r, err := parse(own)
	if err != nil {
		return nil, err
	}
	if user := r.user(); user != e.User && (user != "" || e.Reauthentication) || !r.good(e.sum, a.now/1000) {
		return nil, session.ErrNotFound
	}
	return dead, nil
}

// makeRoom ends the sessions that are too many, before the new one begins.
func (st *Store) makeRoom(ctx context.Context, e *entry, ids []string) error {
	ended, err := st.end(ctx, e.User, ids)
	if e.Ended != nil {
		for _, id := range ended {
			e.Ended(id)
		}
	}
	return err
}

// bind makes the session the user's.
func (st *Store) bind(ctx context.Context, e *entry) (session.Session, error) {
	secret := token.NewSecret()
	sum, key := token.Hash(secret), st.prefix+e.id
	slotKey := st.slotKeyFor(e.hash, key)
	args := append(scriptArgs(8+maxPieces), e.id, e.sum[:], sum[:], e.User, e.level(), e.idle, e.absolute, flag(e.Persistent))
	for _, piece := range splitDevice(e.Address, e.UserAgent) {
		args = append(args, piece)
	}
	reply, err := st.eval(ctx, &loginScript, key, append(append(scriptArgs(len(args)), slotKey), args[4:]...))
	if goredis.HasErrorPrefix(err, "TRYAGAIN") { // the slot is on its way to another server
		span := e.absolute
		if span == "" {
			span = milliseconds(lifetime.Max)
		}
		if _, err := st.eval(ctx, &slotScript, slotKey, append(scriptArgs(2), e.id, span)); err != nil {
			return nil, err
		}
		reply, err = st.eval(ctx, &movingScript, key, args)
	}
	if err != nil {
		return nil, err
	}
	switch reply := reply.(type) {
	case int64:
		if reply == 0 {
			return nil, session.ErrNotFound
		}
	case []any:
		fields, ok := pairs(reply)
		if !ok {
			break
		}
		s, err := st.object(e.id, fields)
		if err != nil || s.record.user() != e.User || !token.Equal(s.record.sum, sum) {
			break
		}
		s.token = token.Join(e.id, secret)
		return s, nil
	}
	return nil, errRecord
}

// level is the one that is stored; empty: the one that is.
func (e *entry) level() string {
	level := e.Level
	if level == session.Anonymous {
		if e.Reauthentication {
			return ""
		}
		level = session.Authenticated
	}
	return strconv.Itoa(int(level))
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return ""
}
