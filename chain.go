package session

import (
	"errors"
	"net/http"
)

// A Chooser is a [Propagator] of several, each request using one of them. The
// [Manager] asks it first, and then answers the request through that one alone.
type Chooser interface {
	// Choose returns the propagator of a request, never nil.
	Choose(req *http.Request) Propagator
}

// A Chain is a [Propagator] of several, for an application that serves browsers
// and programs alike:
//
//	session.Chain{&cookie.Propagator{}, &header.Propagator{}}
//
// A request belongs to the first of them that finds an identifier in it, or two;
// to the first of all where none does. What it carries there is judged, and what
// it may carry elsewhere is not looked at; the answer goes the same way. So a
// token never travels from one to another: that of a header does not become a
// cookie that browsers send by themselves.
type Chain []Propagator

var (
	_ Propagator = Chain(nil)
	_ Chooser    = Chain(nil)

	errEmptyChain = errors.New("session: Chain is empty, or one of it is nil")
)

// Check reports what is wrong with the propagators.
func (c Chain) Check() error {
	if len(c) == 0 {
		return errEmptyChain
	}
	for _, p := range c {
		if isNil(p) {
			return errEmptyChain
		}
		if one, ok := unwrap[checker](p); ok {
			if err := one.Check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Choose returns the propagator of a request; of no request, the first.
func (c Chain) Choose(req *http.Request) Propagator {
	if req != nil {
		for _, p := range c {
			_, err := p.Extract(req)
			if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrMultiple) {
				return choose(p, req)
			}
		}
	}
	return choose(c[0], req)
}

// choose follows a propagator that is one of several itself.
func choose(p Propagator, req *http.Request) Propagator {
	if c, ok := unwrap[Chooser](p); ok {
		return c.Choose(req)
	}
	return p
}

// Extract returns the identifier of the propagator that Choose returns.
func (c Chain) Extract(req *http.Request) (string, error) {
	if err := c.Check(); err != nil {
		return "", err
	}
	return c.Choose(req).Extract(req)
}

// Inject is that of the first propagator: without a request nothing tells which
// one it should be. The Manager knows the request.
func (c Chain) Inject(id string, writer http.ResponseWriter) error {
	if err := c.Check(); err != nil {
		return err
	}
	return c.Choose(nil).Inject(id, writer)
}

// Remove is that of the first propagator, as Inject is.
func (c Chain) Remove(writer http.ResponseWriter) error {
	if err := c.Check(); err != nil {
		return err
	}
	return c.Choose(nil).Remove(writer)
}
