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

// A loginAttempt is a login in progress. It holds the arguments of login.lua.
type loginAttempt struct {
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
	earlier        string   // a revocation that is known to be earlier than the password check
}

// Login logs a user in, see [session.UserStore]. It runs one script at the home of the user.
// If the client has an anonymous session, another script takes that session first. If
// EndOldest has to end sessions, Login runs one more script.
//
// No other call finds the anonymous session between the two scripts, even if the login is
// then refused and the session is given back. If the process or the connection dies between
// them, the anonymous session is lost with its values, and nobody is logged in.
func (st *Store) Login(ctx context.Context, clientToken string, l session.Login) (session.Session, error) {
	a := &loginAttempt{Login: &l, began: time.Now(), secret: token.NewSecret(), incarnation: newIncarnation(), size: values.MaxSize}
	a.sum = token.Hash(a.secret)
	if !l.Began.IsZero() && l.Began.Before(a.began) {
		a.began = l.Began
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
		if a.idle, a.absolute, err = lifetime.Own(l.IdleTimeout, l.AbsoluteTimeout, st.idle, st.absolute); err != nil {
			return nil, fmt.Errorf("redis: login: %w", err)
		}
	}
	id, secret, ok := token.Parse(clientToken)
	if !ok && (clientToken != "" || l.Reauthentication) {
		return nil, session.ErrNotFound
	}
	if a.values, err = encodeAll(l.Values); err != nil {
		return nil, err
	}
	home, _, _ := splitID(id)
	if home == homeOf(l.User) {
		sum := token.Hash(secret)
		a.id, a.presented = id, string(sum[:])
		return st.runLogin(ctx, a)
	}
	a.id = homeOf(l.User) + string(homeEnd) + l.ID
	if l.ID == "" {
		a.id += uuid.NewString()
	}
	switch {
	case clientToken == "":
		return st.runLogin(ctx, a)
	case l.Reauthentication:
		return nil, session.ErrNotFound
	}
	return st.loginFrom(ctx, a, st.key(id), token.Hash(secret))
}

const (
	// takenFor bounds how long a taken session can be given back. A call with a shorter
	// deadline keeps it until the deadline, plus patience.
	takenFor = time.Minute
	patience = 5 * time.Second

	// cleanupTimeout is the minimum time for giving a session back.
	cleanupTimeout = 250 * time.Millisecond
)

// loginFrom ends an anonymous session and logs in with its values.
func (st *Store) loginFrom(ctx context.Context, a *loginAttempt, key string, sum token.Sum) (s session.Session, err error) {
	nonce := newNonce()
	deadline, _ := ctx.Deadline() // every call has one, see begin
	keep := min(takenFor, time.Until(deadline)+patience)
	reply, err := st.eval(ctx, &takeScript, key, append(scriptArgs(3), sum[:], nonce, keep.Milliseconds()))
	list, ok := reply.([]any)
	if err == nil && !ok {
		return nil, replyError(reply)
	}
	defer func() {
		if err != nil {
			st.restore(ctx, key, nonce)
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
	a.size = max(a.size, before)
	maps.Copy(fields, a.values)
	a.values = fields
	return st.runLogin(ctx, a)
}

// restore restores a taken session. If that fails too, the session is lost.
func (st *Store) restore(ctx context.Context, key, nonce string) {
	ctx, cancel := cleanupContext(ctx)
	defer cancel()
	_, _ = st.eval(ctx, &restoreScript, key, append(scriptArgs(1), nonce))
}

// cleanupContext returns the context for cleaning up after a failed call. Cancelling the call
// does not cancel it, because the client still has its token. It lasts at least cleanupTimeout,
// even if the call's time is over.
func cleanupContext(ctx context.Context) (context.Context, context.CancelFunc) {
	left := cleanupTimeout
	if deadline, ok := ctx.Deadline(); ok && ctx.Err() == nil {
		left = max(left, time.Until(deadline))
	}
	return context.WithTimeout(context.WithoutCancel(ctx), left)
}

// maxLate is how often runLogin asks whether the password check began after a revocation. A
// script that travels for long cannot decide it.
const maxLate = 8

// maxStuck is how often login.lua may name the same sessions without ending any. That
// happens a few times while it removes ended sessions from a long index. If it happens more
// often, this package did not write everything in the index.
const maxStuck = 64

// runLogin logs in at the home of the user. It runs the script again if sessions must end
// first, or if the password check may have begun before a revocation.
func (st *Store) runLogin(ctx context.Context, a *loginAttempt) (session.Session, error) {
	home, name, _ := splitID(a.id)
	for late, stuck := 0, 0; late < maxLate; {
		keys := append([]string{st.key(a.id), st.index(home), st.revoked(home)}, st.keys(home, a.oldest)...)
		reply, err := st.evalKeys(ctx, a.script(), keys, a.args(ctx, name)...)
		elapsed := time.Since(a.began)
		if err != nil {
			st.abandon(ctx, a, err)
			return nil, err
		}
		switch verdict, n, rest := readLogin(reply); {
		case verdict == unsure:
			a.earlier, _ = rest.(string)
			if revoked, err := strconv.ParseInt(a.earlier, 10, 64); err != nil || n-elapsed.Microseconds() < revoked {
				a.earlier = ""
				late++
			}
		case verdict == unknown || n > int64(len(a.oldest)):
			return nil, replyError(reply)
		default:
			for _, name := range a.oldest[:n] {
				if a.Ended != nil {
					a.Ended(home + name)
				}
			}
			if verdict == done {
				return st.loginResult(a, rest)
			}
			oldest, ok := names(rest)
			if n == 0 && slices.Equal(oldest, a.oldest) {
				stuck++
			}
			if a.oldest = oldest; !ok || stuck == maxStuck {
				return nil, errRecord
			}
		}
	}
	return nil, session.ErrRevoked
}

// abandon ends a session that may have begun although no reply arrived: no client could ever
// use it. It checks the incarnation, because another session may have the same id.
func (st *Store) abandon(ctx context.Context, a *loginAttempt, err error) {
	var f *opError
	if a.presented != "" || !errors.As(err, &f) || f.code != "" {
		return
	}
	ctx, cancel := cleanupContext(ctx)
	defer cancel()
	if s, err := st.load(ctx, a.id); err == nil && s.record.incarnation == a.incarnation {
		_ = st.Remove(ctx, a.id)
	}
}

func (a *loginAttempt) script() *script {
	if a.presented == "" {
		return &beginScript
	}
	return &loginScript
}

// args returns the arguments of login.lua. They say how long ago the password check began.
// The script may travel for as long as the call has time left, and left bounds that. If
// the caller does not set Began, the check begins now.
func (a *loginAttempt) args(ctx context.Context, name string) []any {
	var left int64
	if deadline, ok := ctx.Deadline(); ok && !a.Began.IsZero() { // every call has one, see begin
		left = time.Until(deadline).Microseconds()
	}
	device := splitDevice(a.Address, a.UserAgent)
	args := make([]any, 0, 17+len(device)+len(a.oldest)+2*len(a.values))
	args = append(args, a.User, name, a.presented, a.sum[:], a.incarnation, a.level(), milliseconds(a.idle), milliseconds(a.absolute),
		flag(a.Persistent), time.Since(a.began).Microseconds(), a.MaxSessions, flag(a.EndOldest), values.MaxCount, a.size, left, a.earlier, len(device))
	return appendFields(appendWords(appendWords(args, device), a.oldest), a.values)
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

// loginResult returns the session that login.lua has stored.
func (st *Store) loginResult(a *loginAttempt, stored any) (session.Session, error) {
	if a.presented != "" {
		return st.readSession(a.id, stored, func(r *record) (string, int64, bool) {
			return a.secret, 0, r.user() == a.User && token.Equal(r.sum, a.sum)
		})
	}
	now, ok := stored.(int64)
	if !ok {
		return nil, errRecord
	}
	r := record{
		incarnation: a.incarnation, sum: a.sum, created: now, seen: now, idle: a.idle.Milliseconds(), absolute: a.absolute.Milliseconds(),
		account: &account{a.User, cmp.Or(a.Level, session.Authenticated), now, a.Persistent, a.Address, a.UserAgent},
	}
	return &requestSession{store: st, id: a.id, token: token.Join(a.id, a.secret), record: r, fields: a.values}, nil
}

// level returns the level to store. Empty means that the session keeps its level.
func (a *loginAttempt) level() string {
	level := a.Level
	if level == session.Anonymous {
		if a.Reauthentication {
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
