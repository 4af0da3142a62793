package sessiontest

import (
	"context"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

const (
	cookieName = "__Host-session" // only a __Host- cookie can be bound
	marker     = "browser"
)

// open prepares an order: two browsers with a session each.
func (s *site) open() *order {
	s.made++
	o := &order{site: s, number: s.made, paused: make(chan struct{})}
	o.stage = &stage{order: o, inner: s.store}
	o.manager = &session.Manager{
		Store: o.stage,
		// With a MaxAge, a refresh sends the cookie again.
		Propagator: &cookie.Propagator{Name: cookieName, MaxAge: time.Hour},
	}
	if _, ok := capability[session.DeviceStore](s.store); ok {
		o.manager.DeviceBound = boundFor
	}
	for _, name := range []string{"first", "second"} {
		b := &browser{name: name, held: []string{""}}
		if err := o.arrive(b); err != nil {
			o.complainOf(wrong(err, nil, "before the burst, the %s browser", name))
			return o
		}
		b.held = b.held[len(b.held)-1:]
		o.browsers = append(o.browsers, b)
	}
	for _, r := range s.burst.requests {
		v := &visit{order: o, kind: r.kind, name: r.name, browser: o.browsers[0], resume: make(chan struct{})}
		if r.second {
			v.browser = o.browsers[1]
		}
		if f := s.flows[r.kind.name]; f != nil {
			v.kind.flow = f
		}
		for _, other := range o.visits {
			if !s.mirrored && other.kind.name == v.kind.name && other.browser == v.browser {
				v.twin = other
			}
		}
		o.visits = append(o.visits, v)
	}
	return o
}

func (o *order) arrive(b *browser) (err error) {
	ctx, response := o.request(context.Background(), "")
	before := len(o.calls)
	o.handle(ctx, func(ctx *mist.Context) {
		var s session.Session
		s, err = o.manager.InitSession(ctx)
		if err == nil {
			err = s.Set(ctx, marker, b.name)
		}
		if err == nil && o.burst.loggedIn {
			_, err = o.manager.Login(ctx, o.user("ann"))
		}
	})
	b.held = append(b.held, cookies(response.Header())...)
	if err == nil && o.burst.bound {
		ctx, response := o.request(context.Background(), b.cookie())
		o.handle(ctx, func(ctx *mist.Context) { err = o.bind(ctx, "of the "+b.name) })
		b.held = append(b.held, cookies(response.Header())...)
	}
	b.arrival = o.calls[before:]
	return err
}
