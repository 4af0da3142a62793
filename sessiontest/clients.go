package sessiontest

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"

	"github.com/mist-contrib/session"
)

// Clients returns a store for [TestStore]: the given one together with the clients that
// carry its sessions. Each session has one client, and each call is one request of that client. The
// client sends what the last response gave it. Get, Refresh and Remove find the client by
// the id; Open, Rotate and Login find it by any token that a response gave. A write to a
// session is one more response to the request that loaded the session. The store that
// Clients returns is safe for concurrent use.
//
// Clients hides no loss. If two requests load a session and both write, the client carries
// what the later response gave, and the other write is lost. After a rotation, a login or
// a logout the old token remains as a copy, such as a thief might have, and Open sends the
// copy to the store. A write leaves no copy: it replaces the token of its request, because
// a store on the server keeps the token when a session is written. So the suite
// cannot detect that a token from before a write restores the old values.
//
// [Harness].Without names the rules that no such store can keep.
func Clients(store session.ClientStore) session.Store {
	c := &clientSessions{store: store, tokens: make(map[string]place), ids: make(map[string]*client)}
	if users, ok := capability[session.UserStore](store); ok {
		return &userClients{c, users}
	}
	return c
}

type clientSessions struct {
	store session.ClientStore

	mu     sync.Mutex
	tokens map[string]place   // by every token that a response gave
	ids    map[string]*client // by the id of a session: the client that was given it last
}

// A client has the tokens that responses gave it. Generate, Rotate and Login add one. A
// write replaces the token of its request and all that came later, because a client
// carries one token and the last response wins. The tokens before it are copies.
type client struct{ tokens []given }

type given struct{ id, token string }

// A place says which token of which client.
type place struct {
	client *client
	nth    int
}

// An exchange is one request of a client.
type exchange struct {
	place
	more bool // the next response gives another token
}

// exchange begins a request of the client that was given a token, and returns the token that
// the client sends. A new client sends a token that no client was given.
func (c *clientSessions) exchange(ctx context.Context, token string) (context.Context, *exchange, string) {
	c.mu.Lock()
	p, known := c.tokens[token]
	if known {
		token = p.client.tokens[p.nth].token
	} else {
		p.client = &client{}
	}
	c.mu.Unlock()
	v := &exchange{p, !known}
	// Concurrent requests all send before one is answered, so their effect on each other
	// hardly depends on chance.
	runtime.Gosched()
	return session.WithDelivery(ctx, &session.Delivery{
		Name: "session", MaxToken: 3072, Deliver: func(after session.Session) error {
			c.respond(v, after)
			return nil
		},
	}), v, token
}

// respond gives a session to the client of a request.
func (c *clientSessions) respond(v *exchange, s session.Session) {
	g := given{s.ID(), session.Token(s)}
	c.mu.Lock()
	defer c.mu.Unlock()
	all := v.client.tokens
	if v.more {
		v.nth, v.more = len(all), false
		all = append(all, g)
	}
	for i := v.nth; i < len(all); i++ {
		all[i] = g
	}
	v.client.tokens = all
	c.tokens[g.token] = v.place
	c.ids[g.id] = v.client
}

// made ends a request whose response gives another token.
func (c *clientSessions) made(v *exchange, s session.Session, err error) (session.Session, error) {
	if err != nil {
		return nil, err
	}
	c.respond(v, s)
	return s, nil
}

// exchangeOf begins a request of the client that has the session of an id, and opens the
// session. known is false if no client has it.
func (c *clientSessions) exchangeOf(ctx context.Context, id string) (_ context.Context, known bool, err error) {
	var token string
	c.mu.Lock()
	if owner := c.ids[id]; owner != nil {
		for _, g := range owner.tokens {
			if g.id == id {
				token = g.token // the last
			}
		}
	}
	c.mu.Unlock()
	ctx, _, token = c.exchange(ctx, token)
	if token == "" {
		return ctx, false, nil
	}
	_, err = c.store.Open(ctx, token)
	return ctx, true, err
}

// nobody returns none for a call about an id that no client has, if the store cannot tell.
func nobody(known bool, err, none error) error {
	if !known && errors.Is(err, errors.ErrUnsupported) {
		return none
	}
	return err
}

func (c *clientSessions) Generate(ctx context.Context, id string) (session.Session, error) {
	ctx, v, _ := c.exchange(ctx, "")
	s, err := c.store.Generate(ctx, id)
	return c.made(v, s, err)
}

func (c *clientSessions) Get(ctx context.Context, id string) (session.Session, error) {
	ctx, known, err := c.exchangeOf(ctx, id)
	if err != nil {
		return nil, err
	}
	s, err := c.store.Get(ctx, id)
	return s, nobody(known, err, session.ErrNotFound)
}

func (c *clientSessions) Refresh(ctx context.Context, id string) error {
	ctx, known, err := c.exchangeOf(ctx, id)
	if err != nil {
		return err
	}
	return nobody(known, c.store.Refresh(ctx, id), session.ErrNotFound)
}

func (c *clientSessions) Remove(ctx context.Context, id string) error {
	ctx, known, err := c.exchangeOf(ctx, id)
	if errors.Is(err, session.ErrNotFound) {
		return nil // nothing to log out
	}
	if err != nil {
		return err
	}
	return nobody(known, c.store.Remove(ctx, id), nil)
}

func (c *clientSessions) Open(ctx context.Context, token string) (session.Session, error) {
	ctx, v, token := c.exchange(ctx, token)
	s, err := c.store.Open(ctx, token)
	if v.more { // no client was given it
		return c.made(v, s, err)
	}
	return s, err
}

func (c *clientSessions) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	ctx, v, token := c.exchange(ctx, token)
	v.more = true
	s, err := c.store.Rotate(ctx, token, grace)
	return c.made(v, s, err)
}

type userClients struct {
	*clientSessions
	users session.UserStore
}

func (c *userClients) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	ctx, v, token := c.exchange(ctx, token)
	v.more = true
	s, err := c.users.Login(ctx, token, l)
	return c.made(v, s, err)
}

func (c *userClients) UserSessions(ctx context.Context, user string) ([]session.Info, error) {
	return c.users.UserSessions(ctx, user)
}

func (c *userClients) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	return c.users.RemoveUserSessions(ctx, user, except...)
}
