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
// or Cluster. Client is needed, every other field has a safe zero value. It is
// safe for concurrent use; its fields must not change after the first call.
//
// Every operation on a session is one command, loading it as well as writing to it; a
// write checks in the same step that its session lives. The sessions of a user and
// their index have one home, so that what concerns all of them is one step, too. Time
// is the clock of the Redis server: those of the application's machines do not
// matter. The store starts no goroutine, and does not close the client.
//
// It has all capabilities: it is a [session.DeviceStore], and its sessions are
// all that package session describes.
//
// An error that matches none of package session's is a failure of Redis or of
// the way to it: nobody is logged out by it. Whether a write that failed so was
// carried out is not known. Its cause is reachable by [errors.Is] and
// [errors.As], [goredis.Error] for what Redis answered; its text holds no more of
// such an answer than the first word, because Redis repeats arguments.
type Store struct {
	// Client is the way to Redis, of [NewClient] or any go-redis client, see the
	// package documentation for the options that it needs.
	Client Client

	// Prefix is what all keys of the store begin with. Empty: "session:". It should
	// end with a colon: two different prefixes that do share no keys. Without one,
	// "app" with the id "2x" and "app2" with the id "x" are the same key; ids of
	// NewID all have the same length and cannot meet like that.
	//
	// Applications that share a Redis need a prefix each. So do tenants: sessions and
	// users are told apart by nothing else, so one store serves one tenant.
	Prefix string

	// IdleTimeout is how long after its last refresh a session ends. Zero: 30
	// minutes, or AbsoluteTimeout where that is shorter.
	IdleTimeout time.Duration

	// AbsoluteTimeout is how long after it was made, or after its last login, a
	// session ends, whatever happens. Zero: 12 hours. At most 400 days. A session
	// keeps the timeouts that it was made with, until a login gives it others.
	AbsoluteTimeout time.Duration

	// OpTimeout bounds a call whose context has no deadline, also the function
	// given to Update. Zero: a second. The error then matches
	// [context.DeadlineExceeded].
	OpTimeout time.Duration

	// WaitReplicas is how many replicas must have a write before it is
	// acknowledged: a failover then loses no acknowledged write, and brings no
	// session back. A write that fewer have in time is an error, though the master
	// may have it. Zero: the master alone acknowledges.
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
	errRing      = errors.New("redis: Client is a Ring, which takes sessions for gone whose server does not answer")
	errPrefix    = errors.New("redis: Prefix has {} before any other braces, so that no two keys of a user would be in one slot")
	errReplicas  = errors.New("redis: Client reads from replicas, which may not know yet that a session has ended")
)

// Check reports what is wrong with the fields. It asks no server.
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

// begin is the start of every call. It bounds the call in time; the caller must
// call cancel.
func (st *Store) begin(ctx context.Context) (bounded context.Context, cancel context.CancelFunc, err error) {
	if err := st.Check(); err != nil {
		return nil, nil, err
	}
	if err := ended(ctx); err != nil {
		return nil, nil, err
	}
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}, nil
	}
	bounded, cancel = context.WithTimeout(ctx, st.opTimeout)
	return bounded, cancel, nil
}

func ended(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	return ctx.Err()
}

// Generate makes an empty session, see [session.Store]. An id is 1 to 128
// characters of A-Z, a-z, 0-9, '-' and '_'. A Redis that is out of memory is
// [session.ErrFull].
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
		return nil, refusal(reply)
	}
	r.created, r.seen = created, created
	return &object{store: st, id: id, token: token.Join(id, secret), record: r}, nil
}

// Open loads the session of a token, see [session.TokenStore]. It is one plain
// HGETALL, and one script more when the token is not the newest, or seen for the
// first time. A token of a session that is bound to a device is one script, which looks
// at the clock.
func (st *Store) Open(ctx context.Context, carried string) (session.Session, error) {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	id, secret, ok := token.Parse(carried)
	if !ok {
		return nil, session.ErrNotFound
	}
	sum := token.Hash(secret)
	if token.Bound(secret) {
		s, err := st.present(ctx, &openScript, id, secret, append(scriptArgs(1), sum[:]))
		return s, unproved(secret, err)
	}
	s, err := st.load(ctx, id)
	if err != nil {
		return nil, err
	}
	if !token.Equal(s.record.sum, sum) && !s.record.once(sum) {
		if s.record.spent(sum) {
			return nil, session.ErrReused
		}
		return nil, session.ErrNotFound
	}
	if !token.Equal(s.record.sum, sum) || s.record.unseen() || s.record.device != "" {
		return st.present(ctx, &openScript, id, secret, append(scriptArgs(1), sum[:]))
	}
	s.token = carried
	return s, nil
}

// Rotate renews the token of a session, see [session.TokenStore]. At most 64
// old tokens of a session are kept; a rotation beyond that returns the token that
// is the newest already. What becomes of the old token is kept as a
// salt that means nothing to who does not hold that token.
func (st *Store) Rotate(ctx context.Context, carried string, grace time.Duration) (session.Session, error) {
	if grace < 0 {
		return nil, errGrace
	}
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	id, secret, ok := token.Parse(carried)
	if !ok {
		return nil, session.ErrNotFound
	}
	salt := token.NewSalt()
	sum, next := token.Hash(secret), token.Hash(token.Next(secret, salt))
	return st.present(ctx, &rotateScript, id, secret, append(scriptArgs(5),
		sum[:], salt[:], next[:], min(grace, lifetime.Max).Milliseconds(), maxGenerations))
}

// present lets Redis authenticate a token, and returns the session with the
// newest one that follows from secret.
func (st *Store) present(ctx context.Context, sc *script, id, secret string, args []any) (session.Session, error) {
	reply, err := st.eval(ctx, sc, st.key(id), args)
	if err != nil {
		return nil, err
	}
	return st.opened(id, reply, func(r *record) (string, int64, bool) { return r.follow(secret) })
}

// opened makes a session of the reply of a script that authenticates a token: the
// whole record, or a number. newest says which secret the client carries from now
// on, and when that ends, if the record is what it has to be.
func (st *Store) opened(id string, reply any, newest func(r *record) (secret string, ends int64, ok bool)) (session.Session, error) {
	list, ok := reply.([]any)
	if !ok {
		return nil, refusal(reply)
	}
	fields, ok := pairs(list)
	if !ok {
		return nil, errRecord
	}
	s, err := st.object(id, fields)
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

// load returns what is stored under an id, authenticated or not.
func (st *Store) load(ctx context.Context, id string) (*object, error) {
	cmd := goredis.NewMapStringStringCmd(ctx, "hgetall", st.key(id))
	if err := st.Client.Process(ctx, cmd); err != nil {
		return nil, st.failed(ctx, "load", err)
	}
	if len(cmd.Val()) == 0 {
		return nil, session.ErrNotFound
	}
	return st.object(id, cmd.Val())
}

// object makes a session of a record's fields.
func (st *Store) object(id string, fields map[string]string) (*object, error) {
	r, err := parse(fields)
	if err != nil {
		return nil, err
	}
	return &object{store: st, id: id, record: r, fields: fields}, nil
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
		return refusal(reply)
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
		return st.failed(ctx, "remove", err)
	}
	return nil
}
