package session

import (
	"errors"
	"net/http"
)

// A Chooser is a [Propagator] that consists of several; each request uses one of them. The
// [Manager] asks it first, and then answers the request through that one only.
type Chooser interface {
	// Choose returns the propagator of a request, never nil.
	Choose(req *http.Request) Propagator
}

// A Chain is a [Propagator] for an application that serves both browsers and programs:
//
//	session.Chain{&cookie.Propagator{}, &header.Propagator{}}
//
// A request belongs to the first propagator that finds one or two identifiers in it. If
// none does, it belongs to the first of the Chain. The other propagators are ignored for
// this request, and the response uses the same one. So a token never moves from one
// propagator to another: a header's token never becomes a cookie that browsers send by
// themselves.
type Chain []Propagator

var (
	_ Propagator = Chain(nil)
	_ Chooser    = Chain(nil)

	errEmptyChain = errors.New("session: Chain is empty or contains nil")
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
		if err := check(p); err != nil {
			return err
		}
	}
	return nil
}

// Choose returns the propagator of a request. If req is nil, it returns the first.
func (c Chain) Choose(req *http.Request) Propagator {
	if req != nil {
		for _, p := range c {
			_, err := p.Extract(req)
			if !errors.Is(err, ErrNotFound) || errors.Is(err, ErrMultiple) {
				return resolve(p, req)
			}
		}
	}
	return resolve(c[0], req)
}

// resolve returns p, or the propagator that p chooses.
func resolve(p Propagator, req *http.Request) Propagator {
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

// Inject calls the first propagator, because without a request nothing tells which one to
// use. The Manager knows the request.
func (c Chain) Inject(id string, writer http.ResponseWriter) error {
	if err := c.Check(); err != nil {
		return err
	}
	return c.Choose(nil).Inject(id, writer)
}

// Remove calls the first propagator, like Inject.
func (c Chain) Remove(writer http.ResponseWriter) error {
	if err := c.Check(); err != nil {
		return err
	}
	return c.Choose(nil).Remove(writer)
}
