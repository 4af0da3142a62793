package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
	"github.com/mist-contrib/session/internal/values"
)

// An entry is a login in progress. It holds the arguments of login.lua.
type entry struct {
	*session.Login
	began          time.Time // when the password check began
	idle, absolute time.Duration
	id, secret     string // of the session after the login
	sum            token.Sum
	incarnation    string
	presented      string // the hash of the client's secret; empty: a session begins
	values         map[string]string
	size           int      // how many bytes the values may have
	oldest         []string // the names of sessions that this login may end
	excused        string   // a revocation that is known to be earlier than the password check
}

// Login logs a user in, see [session.UserStore]. It runs one script at the home of the user.
// If the client has an anonymous session, another script takes that session first. If
// EndOldest has to end sessions, Login runs one more script.
//
// No other call finds the anonymous session between the two scripts, even if the login is
// then refused and the session is given back. If the process or the connection dies between
// them, the anonymous session is lost with its values, and nobody is logged in.
func (st *Store) Login(ctx context.Context, carried string, l session.Login) (session.Session, error) {
	e := &entry{Login: &l, began: time.Now(), secret: token.NewSecret(), incarnation: newIncarnation(), size: values.MaxSize}
	e.sum = token.Hash(e.secret)
	if !l.Began.IsZero() && l.Began.Before(e.began) {
		e.began = l.Began
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := l.Check(); err != nil {
		return nil, err
	}
	if !l.Reauthentication {
		if e.idle, e.absolute, err = lifetime.Own(l.IdleTimeout, l.AbsoluteTimeout, st.idle, st.absolute); err != nil {
			return nil, fmt.Errorf("redis: login: %w", err)
		}
	}
	id, secret, ok := token.Parse(carried)
	if !ok && (carried != "" || l.Reauthentication) {
		return nil, session.ErrNotFound
	}
	if e.values, err = encodeAll(l.Values); err != nil {
		return nil, err
	}
	home, _, _ := splitID(id)
	if home == homeOf(l.User) {
		sum := token.Hash(secret)
		e.id, e.presented = id, string(sum[:])
		return st.enter(ctx, e)
	}
	e.id = homeOf(l.User) + string(homeEnd) + l.ID
	if l.ID == "" {
		e.id += uuid.NewString()
	}
	switch {
	case carried == "":
		return st.enter(ctx, e)
	case l.Reauthentication:
		return nil, session.ErrNotFound
	}
	return st.enterFrom(ctx, e, st.key(id), token.Hash(secret))
}

const (
	// takenFor bounds how long a taken session can be given back. A call with a shorter
	// deadline keeps it until the deadline, plus patience.
	takenFor = time.Minute
	patience = 5 * time.Second

	// cleanup is the minimum time for giving a session back.
	cleanup = 250 * time.Millisecond
)

// enterFrom ends an anonymous session and logs in with its values.
func (st *Store) enterFrom(ctx context.Context, e *entry, key string, sum token.Sum) (s session.Session, err error) {
	nonce := newNonce()
	deadline, _ := ctx.Deadline() // every call has one, see begin
	keep := min(takenFor, time.Until(deadline)+patience)
	reply, err := st.eval(ctx, &takeScript, key, append(scriptArgs(3), sum[:], nonce, keep.Milliseconds()))
	list, ok := reply.([]any)
	if err == nil && !ok {
		return nil, refusal(reply)
	}
	defer func() {
		if err != nil {
			st.giveBack(ctx, key, nonce)
		}
	}()
	if err != nil {
		return nil, err
	}
	fields, ok := pairs(list)
	if !ok {
		return nil, errRecord
	}
	fields["n"] = strings.TrimPrefix(fields["n"], taken+nonce)
	if _, err := parse(fields); err != nil {
		return nil, err
	}
	maps.DeleteFunc(fields, func(field, _ string) bool { return !strings.HasPrefix(field, valuePrefix) })
	before := 0
	for field, encoded := range fields {
		before += len(field) - len(valuePrefix) + len(encoded)
	}
	e.size = max(e.size, before)
	maps.Copy(fields, e.values)
	e.values = fields
	return st.enter(ctx, e)
}

// giveBack restores a taken session. If that fails too, the session is lost.
func (st *Store) giveBack(ctx context.Context, key, nonce string) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	_, _ = st.eval(ctx, &restoreScript, key, append(scriptArgs(1), nonce))
}

// afterwards returns the context for cleaning up after a failed call. Cancelling the call
// does not cancel it, because the client still has its token. It lasts at least cleanup,
// even if the call's time is over.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	left := cleanup
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil {
		left = max(left, time.Until(deadline))
	}
	return context.WithTimeout(context.WithoutCancel(ctx), left)
}

// maxLate is how often enter asks whether the password check began after a revocation. A
// script that travels for long cannot decide it.
const maxLate = 8

// maxStuck is how often login.lua may name the same sessions without ending any. That
// happens a few times while it removes ended sessions from a long index. If it happens more
// often, this package did not write everything in the index.
const maxStuck = 64

// enter logs in at the home of the user. It runs the script again if sessions must end
// first, or if the password check may have begun before a revocation.
func (st *Store) enter(ctx context.Context, e *entry) (session.Session, error) {
	home, name, _ := splitID(e.id)
	for late, stuck := 0, 0; late < maxLate; {
		keys := append([]string{st.key(e.id), st.index(home), st.revoked(home)}, st.keys(home, e.oldest)...)
		reply, err := st.evalKeys(ctx, e.script(), keys, e.words(ctx, name)...)
		elapsed := time.Since(e.began)
		if err != nil {
			st.abandon(ctx, e, err)
			return nil, err
		}
		switch verdict, n, rest := readLogin(reply); {
		case verdict == unsure:
			e.excused, _ = rest.(string)
			if revoked, err := strconv.ParseInt(e.excused, 10, 64); err != nil || n-elapsed.Microseconds() < revoked {
				e.excused = ""
				late++
			}
		case verdict == unknown || n > int64(len(e.oldest)):
			return nil, refusal(reply)
		default:
			for _, name := range e.oldest[:n] {
				if e.Ended != nil {
					e.Ended(home + name)
				}
			}
			if verdict == done {
				return st.entered(e, rest)
			}
			oldest, ok := names(rest)
			if n == 0 && slices.Equal(oldest, e.oldest) {
				stuck++
			}
			if e.oldest = oldest; !ok || stuck == maxStuck {
				return nil, errRecord
			}
		}
	}
	return nil, session.ErrRevoked
}

// abandon ends a session that may have begun although no reply arrived: no client could ever
// use it. It checks the incarnation, because another session may have the same id.
func (st *Store) abandon(ctx context.Context, e *entry, err error) {
	var f *failure
	if e.presented != "" || !errors.As(err, &f) || f.code != "" {
		return
	}
	ctx, cancel := afterwards(ctx)
	defer cancel()
	if s, err := st.load(ctx, e.id); err == nil && s.record.incarnation == e.incarnation {
		_ = st.Remove(ctx, e.id)
	}
}

func (e *entry) script() *script {
	if e.presented == "" {
		return &beginScript
	}
	return &loginScript
}

// words returns the arguments of login.lua. They say how long ago the password check began.
// The script may travel for as long as the call has time left, and left bounds that. If
// the caller does not set Began, the check begins now.
func (e *entry) words(ctx context.Context, name string) []any {
	var left int64
	if deadline, ok := ctx.Deadline(); ok && !e.Began.IsZero() { // every call has one, see begin
		left = time.Until(deadline).Microseconds()
	}
	device := splitDevice(e.Address, e.UserAgent)
	args := make([]any, 0, 17+len(device)+len(e.oldest)+2*len(e.values))
	args = append(args, e.User, name, e.presented, e.sum[:], e.incarnation, e.level(), milliseconds(e.idle), milliseconds(e.absolute),
		flag(e.Persistent), time.Since(e.began).Microseconds(), e.MaxSessions, flag(e.EndOldest), values.MaxCount, e.size, left, e.excused, len(device))
	return appendFields(appendWords(appendWords(args, device), e.oldest), e.values)
}

// These are the verdicts in a list that login.lua returns; unknown means another reply.
const (
	done    int64 = 1
	notYet  int64 = 0
	unsure  int64 = -1
	unknown int64 = -2
)

// readLogin reads a list that login.lua returns.
func readLogin(reply any) (verdict, n int64, rest any) {
	if list, ok := reply.([]any); ok && len(list) == 3 {
		verdict, ok1 := list[0].(int64)
		n, ok2 := list[1].(int64)
		if ok1 && ok2 && unsure <= verdict && verdict <= done && n >= 0 {
			return verdict, n, list[2]
		}
	}
	return unknown, 0, nil
}

// entered returns the session that login.lua has stored.
func (st *Store) entered(e *entry, stored any) (session.Session, error) {
	if e.presented != "" {
		return st.opened(e.id, stored, func(r *record) (string, int64, bool) {
			return e.secret, 0, r.user() == e.User && token.Equal(r.sum, e.sum)
		})
	}
	now, ok := stored.(int64)
	if !ok {
		return nil, errRecord
	}
	r := record{
		incarnation: e.incarnation, sum: e.sum, created: now, seen: now, idle: e.idle.Milliseconds(), absolute: e.absolute.Milliseconds(),
		account: &account{e.User, cmp.Or(e.Level, session.Authenticated), now, e.Persistent, e.Address, e.UserAgent},
	}
	return &object{store: st, id: e.id, token: token.Join(e.id, e.secret), record: r, fields: e.values}, nil
}

// level returns the level to store. Empty means that the session keeps its level.
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

// milliseconds formats a timeout. Zero is empty: the session keeps its timeout.
func milliseconds(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return ""
}
