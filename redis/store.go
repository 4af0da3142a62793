package redis

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/lifetime"
	"github.com/mist-contrib/session/internal/token"
)

// A Store keeps sessions in Redis 6.2 or later, or Valkey: one server, Sentinel
// or Cluster. Client is required; every other field has a safe zero value. A Store is
// safe for concurrent use. Its fields must not change after the first call.
//
// Every operation on a session is one command. A write checks in the same step that its
// session still exists. All sessions of a user and their index are in one slot, so an
// operation on all of them is also one step. All times come from the clock of the Redis
// server; the clocks of the application's machines do not matter. The store starts no
// goroutine and does not close the client.
//
// A Store has all capabilities: it is a [session.DeviceStore], and its sessions implement
// every optional interface of package session.
//
// Some errors match an error of package session. Any other error means that Redis failed
// or could not be reached. It never means that the user is logged out. A write that fails
// with such an error may or may not have been applied. [errors.Is] and [errors.As] find the
// cause, a [goredis.Error] if Redis replied. The text contains only the first word of that
// reply, because Redis repeats arguments in it.
type Store struct {
	// Client connects to Redis. Use [NewClient], or any go-redis client with the options
	// in the package documentation.
	Client Client

	// Prefix is the beginning of all keys of the store. Empty: "session:". It should
	// end with a colon: then two different prefixes never share a key. Without a colon,
	// "app" with the id "2x" and "app2" with the id "x" are the same key. Ids of NewID
	// all have the same length and cannot collide like that.
	//
	// Each application that shares a Redis needs its own prefix. So does each tenant:
	// nothing else separates sessions and users, so one store serves one tenant.
	Prefix string

	// IdleTimeout ends a session this long after its last refresh. Zero: 30 minutes, or
	// AbsoluteTimeout if that is shorter.
	IdleTimeout time.Duration

	// AbsoluteTimeout ends a session this long after its creation or its last login,
	// even if it is in use. Zero: 12 hours. At most 400 days. A session keeps the
	// timeouts that it was created with until a login replaces them.
	AbsoluteTimeout time.Duration

	// OpTimeout bounds a call whose context has no deadline, including the function
	// passed to Update. Zero: one second. After that time the call fails with an error
	// that matches [context.DeadlineExceeded].
	OpTimeout time.Duration

	// WaitReplicas is how many replicas must have a write before the store acknowledges
	// it: then a failover loses no acknowledged write and brings no session back. If
	// fewer replicas have the write in time, the call fails, although the master may
	// have the write. Zero: the master alone acknowledges.
	WaitReplicas int

	once      sync.Once
	invalid   error
	prefix    string
	idle      time.Duration
	absolute  time.Duration
	opTimeout time.Duration
}

const (
	defaultPrefix    = "session:"
	defaultOpTimeout = time.Second
)

var _ session.DeviceStore = (*Store)(nil)

var (
	errNoStore   = errors.New("redis: Store is nil")
	errNoClient  = errors.New("redis: Client is nil")
	errNoContext = errors.New("redis: context is nil")
	errGrace     = errors.New("redis: rotate: grace is negative")
	errRing      = errors.New("redis: Client is a Ring, which hides the sessions of a server that does not answer")
	errPrefix    = errors.New("redis: Prefix has {} before any other braces, so the keys of a user would be in different slots")
	errReplicas  = errors.New("redis: Client reads from replicas, which may not know yet that a session has ended")
)

// Check returns an error if a field is invalid. It asks no server.
func (st *Store) Check() error {
	if st == nil {
		return errNoStore
	}
	st.once.Do(st.init)
	return st.invalid
}

func (st *Store) init() {
	idle, absolute, err := lifetime.Of(st.IdleTimeout, st.AbsoluteTimeout)
	st.idle, st.absolute = idle, absolute
	st.prefix, st.opTimeout = st.Prefix, st.OpTimeout
	if st.prefix == "" {
		st.prefix = defaultPrefix
	}
	if st.opTimeout == 0 {
		st.opTimeout = defaultOpTimeout
	}
	switch {
	case st.Client == nil || reflect.ValueOf(st.Client).Kind() == reflect.Pointer && reflect.ValueOf(st.Client).IsNil():
		st.invalid = errNoClient
	case err != nil:
		st.invalid = fmt.Errorf("redis: %w", err)
	case st.OpTimeout < 0:
		st.invalid = fmt.Errorf("redis: OpTimeout %v is negative", st.OpTimeout)
	case st.WaitReplicas < 0:
		st.invalid = fmt.Errorf("redis: WaitReplicas %d is negative", st.WaitReplicas)
	case !sharesSlots(st.prefix):
		st.invalid = errPrefix
	default:
		switch c := st.Client.(type) {
		case cluster:
			if c.Options().ReadOnly {
				st.invalid = errReplicas
			}
		case *goredis.Ring:
			st.invalid = errRing
		}
	}
}

// begin starts every call. It gives the call a deadline; the caller must call cancel.
func (st *Store) begin(ctx context.Context) (bounded context.Context, cancel context.CancelFunc, err error) {
	if err := st.Check(); err != nil {
		return nil, nil, err
	}
	if err := contextError(ctx); err != nil {
		return nil, nil, err
	}
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}, nil
	}
	bounded, cancel = context.WithTimeout(ctx, st.opTimeout)
	return bounded, cancel, nil
}

func contextError(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	return ctx.Err()
}

// Generate creates an empty session, see [session.Store]. An id has 1 to 128
// characters of A-Z, a-z, 0-9, '-' and '_'. If Redis is out of memory, Generate fails
// with [session.ErrFull].
func (st *Store) Generate(ctx context.Context, id string) (session.Session, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if !token.ValidID(id) {
		return nil, session.ErrInvalidID
	}
	secret, r := token.NewSecret(), record{incarnation: newIncarnation(), idle: st.idle.Milliseconds(), absolute: st.absolute.Milliseconds()}
	sum := token.Hash(secret)
	key := st.key(id)
	reply, err := st.eval(ctx, &createScript, key, append(scriptArgs(4), r.incarnation, sum[:], r.idle, r.absolute))
	if err != nil {
		return nil, err
	}
	created, ok := reply.(int64)
	if !ok || created <= 0 {
		return nil, replyError(reply)
	}
	r.created, r.seen = created, created
	return &requestSession{store: st, id: id, token: token.Join(id, secret), record: r}, nil
}

// Open loads the session of a token, see [session.TokenStore]. It sends one HGETALL. It
// also runs one script if the token is not the newest, or is used for the first time. For
// a token that is bound to a device it runs only the script, which checks the clock.
func (st *Store) Open(ctx context.Context, clientToken string) (session.Session, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	id, secret, ok := token.Parse(clientToken)
	if !ok {
		return nil, session.ErrNotFound
	}
	sum := token.Hash(secret)
	if token.Bound(secret) {
		s, err := st.authenticate(ctx, &openScript, id, secret, append(scriptArgs(1), sum[:]))
		return s, unproved(secret, err)
	}
	s, err := st.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if !token.Equal(s.record.sum, sum) && !s.record.hadSecret(sum) {
		if s.record.removedSecret(sum) {
			return nil, session.ErrReused
		}
		return nil, session.ErrNotFound
	}
	if !token.Equal(s.record.sum, sum) || s.record.unseen() || s.record.device != "" {
		return st.authenticate(ctx, &openScript, id, secret, append(scriptArgs(1), sum[:]))
	}
	s.token = clientToken
	return s, nil
}

// Rotate renews the token of a session, see [session.TokenStore]. A session keeps at most
// 64 old tokens; a rotation beyond that returns the current newest token. The store can
// derive a new token only from the old one and a stored salt. The salt is useless without
// the old token.
func (st *Store) Rotate(ctx context.Context, clientToken string, grace time.Duration) (session.Session, error) {
	if grace < 0 {
		return nil, errGrace
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	id, secret, ok := token.Parse(clientToken)
	if !ok {
		return nil, session.ErrNotFound
	}
	salt := token.NewSalt()
	sum, next := token.Hash(secret), token.Hash(token.Next(secret, salt))
	return st.authenticate(ctx, &rotateScript, id, secret, append(scriptArgs(5),
		sum[:], salt[:], next[:], min(grace, lifetime.Max).Milliseconds(), maxOldSecrets))
}

// authenticate lets Redis authenticate a token. It returns the session with the newest token
// that follows from secret.
func (st *Store) authenticate(ctx context.Context, sc *script, id, secret string, args []any) (session.Session, error) {
	reply, err := st.eval(ctx, sc, st.key(id), args)
	if err != nil {
		return nil, err
	}
	return st.readSession(id, reply, func(r *record) (string, int64, bool) { return r.follow(secret) })
}

// readSession reads the reply of a script that authenticates a token: the whole record, or the
// number of a refusal. newest returns the secret that the client carries from now on, and
// when it ends. If newest returns false, the record is damaged.
func (st *Store) readSession(id string, reply any, newest func(r *record) (secret string, ends int64, ok bool)) (session.Session, error) {
	list, ok := reply.([]any)
	if !ok {
		return nil, replyError(reply)
	}
	fields, ok := pairs(list)
	if !ok {
		return nil, errRecord
	}
	s, err := st.newSession(id, fields)
	if err != nil {
		return nil, err
	}
	secret, ends, ok := newest(&s.record)
	if !ok {
		return nil, errRecord
	}
	s.token, s.ends = token.Join(id, secret), ends
	return s, nil
}

// Get loads a session by its id, see [session.Store].
func (st *Store) Get(ctx context.Context, id string) (session.Session, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if !token.ValidID(id) {
		return nil, session.ErrNotFound
	}
	s, err := st.load(ctx, id)
	if err != nil {
		return nil, err
	}
	s.ends = s.record.ends
	return s, nil
}

// load returns the session with an id. It authenticates nobody.
func (st *Store) load(ctx context.Context, id string) (*requestSession, error) {
	cmd := goredis.NewMapStringStringCmd(ctx, "hgetall", st.key(id))
	if err := st.Client.Process(ctx, cmd); err != nil {
		return nil, st.wrapError(ctx, "load", err)
	}
	if len(cmd.Val()) == 0 {
		return nil, session.ErrNotFound
	}
	return st.newSession(id, cmd.Val())
}

// newSession returns the session that the fields of a record describe.
func (st *Store) newSession(id string, fields map[string]string) (*requestSession, error) {
	r, err := parse(fields)
	if err != nil {
		return nil, err
	}
	return &requestSession{store: st, id: id, record: r, fields: fields}, nil
}

// Refresh prolongs a session, see [session.Store].
func (st *Store) Refresh(ctx context.Context, id string) error {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if !token.ValidID(id) {
		return session.ErrNotFound
	}
	var reply any
	if home, name, ok := splitID(id); ok {
		reply, err = st.evalKeys(ctx, &refreshScript, []string{st.key(id), st.index(home)}, name)
	} else {
		reply, err = st.eval(ctx, &refreshScript, st.key(id), scriptArgs(0))
	}
	if err != nil {
		return err
	}
	if reply != int64(1) {
		return replyError(reply)
	}
	return nil
}

// Remove ends a session, see [session.Store].
func (st *Store) Remove(ctx context.Context, id string) error {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	if !token.ValidID(id) {
		return nil
	}
	key := st.key(id)
	if home, name, ok := splitID(id); ok {
		_, err := st.evalKeys(ctx, &endScript, []string{st.index(home), key}, "", name)
		return err
	}
	if err := st.write(ctx, key, goredis.NewIntCmd(ctx, "unlink", key)); err != nil {
		return st.wrapError(ctx, "remove", err)
	}
	return nil
}
