package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	noted          string // when, in the words of the index
	fresh          bool   // the index had not known the session
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
	if e.fresh && errors.Is(err, session.ErrNotFound) {
		st.forget(ctx, l.User, []note{{id, e.noted}})
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
	var dead []note
	for late := 0; late < maxLate; {
		a, err := st.note(ctx, e, looked, dead)
		if err != nil {
			return err
		}
		elapsed := time.Since(e.began)
		switch a.verdict {
		case isFull:
			return session.ErrUserLimit
		case isRevoked, mayBeFull:
			if dead, err = st.look(ctx, e, a); err != nil {
				return err
			}
			if a.verdict == isRevoked {
				return session.ErrRevoked
			}
			looked = true
		default:
			// The script knew how long ago the check began only before it was sent. Now
			// more time has passed than until it ran: what is after a revocation by that,
			// too, is after it. Where the caller does not say when it began, it is then.
			if e.Began.IsZero() || a.now-elapsed.Microseconds() >= a.revoked && elapsed <= session.BeganLimit {
				return st.makeRoom(ctx, e, a.notes)
			}
			late++
		}
	}
	return session.ErrRevoked
}

// maxLate is how often it is asked whether a login began after a revocation: an
// answer that was held up leaves that open.
const maxLate = 8

// An answer is one of scripts/index.lua.
type answer struct {
	verdict      int64
	now, revoked int64 // us since 1970
	notes        []note
}

// A note is a session in an index, and its entry there, see scripts/index.lua.
type note struct{ id, entry string }

// at is when the login was noted, us since 1970, in 16 digits.
func (n note) at() string { return n.entry[:min(len(n.entry), 16)] }

// presented reports whether the login is of a secret of this record, of which there
// are only those that nobody has logged in with. The login of another has failed.
func (n note) presented(sum, old string) bool {
	start := n.entry[min(len(n.entry), 29):]
	if strings.HasPrefix(startOf([]byte(sum)), start) {
		return true
	}
	for ; len(old) >= generationSize; old = old[generationSize:] {
		if startOf([]byte(old)) == start {
			return true
		}
	}
	return false
}

// startOf is what an entry tells of a hash.
func startOf(sum []byte) string {
	return base64.RawURLEncoding.EncodeToString(sum[:min(len(sum), startSize)])
}

// What comes of a login; anything else is that it is noted.
const (
	isRevoked int64 = 0
	isNew     int64 = 2
	mayBeFull int64 = -1
	isFull    int64 = -2
)

func (st *Store) note(ctx context.Context, e *entry, looked bool, dead []note) (a answer, err error) {
	args := append(scriptArgs(7+2*len(dead)), e.id, e.absolute, time.Since(e.began).Microseconds(), e.MaxSessions, e.EndOldest, looked, startOf(e.sum[:]))
	e.fresh = false
	reply, err := st.eval(ctx, &indexScript, st.userKey(e.User), appendNotes(args, dead))
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
	e.fresh, e.noted = a.verdict == isNew, fmt.Sprintf("%016d", a.now)
	a.notes, err = readNotes(list[3:])
	return a, err
}

func appendNotes(args []any, notes []note) []any {
	for _, n := range notes {
		args = append(args, n.id, n.entry)
	}
	return args
}

func readNotes(list []any) ([]note, error) {
	notes := make([]note, len(list)/2)
	for i := range notes {
		id, ok1 := list[2*i].(string)
		entry, ok2 := list[2*i+1].(string)
		if !ok1 || !ok2 {
			return nil, errRecord
		}
		notes[i] = note{id, entry}
	}
	return notes, nil
}

// forget takes notes out of an index, which would do little harm there.
func (st *Store) forget(ctx context.Context, user string, notes []note) {
	_, _ = st.eval(ctx, &forgetScript, st.userKey(user), appendNotes(scriptArgs(2*len(notes)), notes))
}

// look returns which sessions of an answer are dead. It also looks whether the
// login has a chance: one that has none ends nobody else's session, and is told
// nothing of the user.
func (st *Store) look(ctx context.Context, e *entry, a answer) (dead []note, err error) {
	var own map[string]string
	var stale []note
	err = each(ctx, st, "login", 1+len(a.notes), func(i int) goredis.Cmder {
		if i == 0 {
			return goredis.NewMapStringStringCmd(ctx, "hgetall", st.prefix+e.id)
		}
		return goredis.NewSliceCmd(ctx, "hmget", st.prefix+a.notes[i-1].id, "n", "u", "h", "o")
	}, func(i int, cmd goredis.Cmder) {
		switch cmd := cmd.(type) {
		case *goredis.MapStringStringCmd:
			own = cmd.Val()
		case *goredis.SliceCmd:
			r, n := cmd.Val(), a.notes[i-1]
			sum, _ := r[2].(string)
			old, _ := r[3].(string)
			switch {
			case r[0] == nil, r[1] != nil && r[1] != e.User, r[1] == nil && !n.presented(sum, old):
				dead = append(dead, n)
			case r[1] == nil && n.before(a.now-underWay.Microseconds()):
				stale = append(stale, n)
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
	_, err = st.end(ctx, e.User, stale, tooMany, nil)
	return append(dead, stale...), err
}

// underWay is how long a session that is nobody's yet counts for a login under way.
// One that takes longer fails.
const underWay = time.Minute

// before reports whether the note was made before a time, us since 1970.
func (n note) before(us int64) bool {
	at, err := strconv.ParseInt(n.at(), 10, 64)
	return err != nil || at < us
}

// makeRoom ends the sessions that are too many, before the new one begins.
func (st *Store) makeRoom(ctx context.Context, e *entry, notes []note) error {
	ended, err := st.end(ctx, e.User, notes, tooMany, nil)
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
	args := append(scriptArgs(9+maxPieces), e.id, e.sum[:], sum[:], e.User, e.level(), e.idle, e.absolute, flag(e.Persistent), e.noted)
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
	return st.opened(e.id, reply, func(r *record) (string, bool) {
		return secret, r.user() == e.User && token.Equal(r.sum, sum)
	})
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
