package sessiontest

import (
	"context"
	"strings"
	"time"

	"github.com/mist-contrib/session"
)

// A call is one call of the store, or of a session that it returned.
type call struct {
	op         string
	id         string // of the session; for a successful login, of the session that it returned
	token      string // the token that the call got
	user       string
	key        string
	value      any
	values     map[string]any // of a login
	device     string         // of a binding or a proof
	challenge  string
	visit      *visit // nil before and after the burst
	start, end int    // steps
	s          session.Session
	err        error
}

// A stage stands between the Manager and the store. It parks requests before their calls and
// records the answers. As with [FaultStore], the capabilities of the store are behind Unwrap.
type stage struct {
	*order
	inner session.Store
}

// do makes a call when its turn comes.
func (st *stage) do(ctx context.Context, c call, f func(c *call)) *call {
	v, _ := ctx.Value(visitKey{}).(*visit)
	if v != nil {
		v.call(c.op)
	}
	if v == nil {
		st.now++ // outside the burst each call is a step
	}
	c.visit, c.start = v, st.now
	f(&c)
	c.end = st.now
	if v != nil {
		v.free = false
	}
	if c.s != nil {
		c.id = c.s.ID()
	}
	st.calls = append(st.calls, &c)
	return &c
}

func (st *stage) session(ctx context.Context, c call, f func() (session.Session, error)) (session.Session, error) {
	done := st.do(ctx, c, func(c *call) { c.s, c.err = f() })
	if done.s == nil || done.err != nil {
		return nil, done.err
	}
	return &stagedSession{Session: done.s, stage: st}, nil
}

func idOf(token string) string {
	id, _, _ := strings.Cut(token, ".")
	return id
}

func (st *stage) Generate(ctx context.Context, id string) (session.Session, error) {
	return st.session(ctx, call{op: "Generate", id: id}, func() (session.Session, error) { return st.inner.Generate(ctx, id) })
}

func (st *stage) Get(ctx context.Context, id string) (session.Session, error) {
	return st.session(ctx, call{op: "Get", id: id}, func() (session.Session, error) { return st.inner.Get(ctx, id) })
}

func (st *stage) Refresh(ctx context.Context, id string) error {
	return st.do(ctx, call{op: "Refresh", id: id}, func(c *call) { c.err = st.inner.Refresh(ctx, id) }).err
}

func (st *stage) Remove(ctx context.Context, id string) error {
	return st.do(ctx, call{op: "Remove", id: id}, func(c *call) { c.err = st.inner.Remove(ctx, id) }).err
}

func (st *stage) Unwrap() session.Store {
	ts, ok := capability[session.TokenStore](st.inner)
	if !ok {
		return st.inner
	}
	t := &stageTokens{stage: st, tokens: ts}
	us, ok := capability[session.UserStore](st.inner)
	if !ok {
		return t
	}
	u := &stageUsers{stageTokens: t, users: us}
	if ds, ok := capability[session.DeviceStore](st.inner); ok {
		return &stageDevices{stageUsers: u, devices: ds}
	}
	return u
}

type stageTokens struct {
	*stage
	tokens session.TokenStore
}

func (st *stageTokens) Unwrap() session.Store { return st.inner }

func (st *stageTokens) Open(ctx context.Context, token string) (session.Session, error) {
	return st.session(ctx, call{op: "Open", id: idOf(token), token: token}, func() (session.Session, error) { return st.tokens.Open(ctx, token) })
}

func (st *stageTokens) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	return st.session(ctx, call{op: "Rotate", id: idOf(token), token: token}, func() (session.Session, error) {
		return st.tokens.Rotate(ctx, token, grace)
	})
}

type stageUsers struct {
	*stageTokens
	users session.UserStore
}

func (st *stageUsers) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	return st.session(ctx, call{op: "Login", id: idOf(token), token: token, user: l.User, values: l.Values}, func() (session.Session, error) {
		return st.users.Login(ctx, token, l)
	})
}

func (st *stageUsers) UserSessions(ctx context.Context, user string) (infos []session.Info, err error) {
	err = st.do(ctx, call{op: "UserSessions", user: user}, func(c *call) { infos, c.err = st.users.UserSessions(ctx, user) }).err
	return infos, err
}

func (st *stageUsers) RemoveUserSessions(ctx context.Context, user string, except ...string) (n int, err error) {
	err = st.do(ctx, call{op: "RemoveUserSessions", user: user}, func(c *call) { n, c.err = st.users.RemoveUserSessions(ctx, user, except...) }).err
	return n, err
}

type stageDevices struct {
	*stageUsers
	devices session.DeviceStore
}

func (st *stageDevices) Bind(ctx context.Context, token string, p session.Proof) (session.Session, error) {
	return st.session(ctx, call{op: "Bind", id: idOf(token), token: token, device: p.Device}, func() (session.Session, error) {
		return st.devices.Bind(ctx, token, p)
	})
}

func (st *stageDevices) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	return st.session(ctx, call{op: "Prove", id: id, device: p.Device, challenge: p.Challenge}, func() (session.Session, error) {
		return st.devices.Prove(ctx, id, p)
	})
}

// A stagedSession parks before it writes to the store.
type stagedSession struct {
	session.Session
	stage *stage
}

func (s *stagedSession) Unwrap() session.Session { return s.Session }

func (s *stagedSession) Set(ctx context.Context, key string, value any) error {
	return s.stage.do(ctx, call{op: "Set", id: s.ID(), key: key, value: value}, func(c *call) {
		c.err = s.Session.Set(ctx, key, value)
	}).err
}

func (s *stagedSession) Update(ctx context.Context, key string, f func(old any) (any, error)) error {
	return s.stage.do(ctx, call{op: "Update", id: s.ID(), key: key}, func(c *call) {
		c.err = session.Update(ctx, s.Session, key, f)
	}).err
}
