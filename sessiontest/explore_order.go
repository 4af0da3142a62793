package sessiontest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
)

// A site is where the orders of one burst happen.
type site struct {
	Explorer
	burst burst
	store session.Store
	tick  time.Duration // how long a step takes
	made  int           // orders so far

	revokes bool // the store ends the sessions of a user
	where   atomic.Pointer[position]
}

// An order is one run of a burst.
type order struct {
	*site
	number   int
	manager  *session.Manager
	stage    *stage
	browsers []*browser
	visits   []*visit
	calls    []*call // of the store, as they were answered
	now      int     // steps so far
	paused   chan struct{}
	trace    []string
	wrong    []string
	losses   Losses
}

func (o *order) String() string {
	if len(o.trace) == 0 {
		return "no request had begun"
	}
	return strings.Join(o.trace, ", ")
}

// complain says once what may be wrong with many sessions, tokens and calls.
func (o *order) complain(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(o.wrong, text) {
		o.wrong = append(o.wrong, text)
	}
}

// complainOf complains of an error that says what was got and wanted.
func (o *order) complainOf(err error) { o.complain("%v", err) }

// A browser keeps its cookie; it is a jar of one.
type browser struct {
	name string
	held []string // what it held since the burst began; the last is what it holds

	arrival []*call // how it got the first of them
}

func (b *browser) cookie() string { return b.held[len(b.held)-1] }

// cookies are the values of cookies in a response.
func cookies(h http.Header) (all []string) {
	for _, line := range h["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			panic(err) // the propagator is ours
		}
		all = append(all, c.Value)
	}
	return all
}

// A visit is a request, and the goroutine that serves it. Only one of them runs
// at a time: until it parks before its next step.
type visit struct {
	*order
	kind    kind
	name    string
	browser *browser
	twin    *visit // another one of that kind and browser

	sent       string // the cookie
	start, end int    // steps; end is 0 until it is answered
	loaded     session.Session
	got        session.Session // by a login
	given      []string        // cookies, in the response
	err        error

	resume  chan struct{}
	started bool
	free    bool // the next step is part of the one that runs
	op      string
}

type visitKey struct{}

// Step parks a request of an [Explorer] that is inside of a store, until it is
// its turn. A store whose methods are more than one step (a command to a server,
// say) calls it before each of them, in a test, so that the Explorer comes
// between them too. No lock may be held. Elsewhere it does nothing.
func Step(ctx context.Context) {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		v.step()
	}
}

func (v *visit) step() {
	if v.free { // nothing has happened since it was let go
		v.free = false
		return
	}
	v.park(v.op + "…")
}

// call parks before a call of the store, unless it is the first thing to do.
func (v *visit) call(op string) {
	v.op = op
	if v.free {
		v.begin(op)
	} else {
		v.park(op)
	}
	v.free = true // up to the first step inside
}

// park waits for the turn to do what.
func (v *visit) park(what string) {
	v.free = false
	v.paused <- struct{}{}
	<-v.resume
	v.begin(what)
}

func (v *visit) begin(what string) {
	v.trace = append(v.trace, v.name+" "+what)
	v.where.Store(&position{v.name, what})
}

// A choice is who goes on; who begins does so with a cookie that its browser had.
type choice struct {
	visit  *visit
	cookie string
}

func (o *order) choices() (all []choice) {
	for _, v := range o.visits {
		switch {
		case v.end > 0:
		case v.twin != nil && !v.twin.started: // it would be the same with the names changed
		case v.started || !v.kind.carries:
			all = append(all, choice{v, ""})
		default:
			for i, c := range v.browser.held {
				if i == 0 || c != v.browser.held[i-1] {
					all = append(all, choice{v, c})
				}
			}
		}
	}
	return all
}

// order runs the burst once.
func (s *site) order(choose func(n int) int) *order {
	o := s.open()
	s.pass()
	for all := o.choices(); len(all) > 0; all = o.choices() {
		o.now++
		all[choose(len(all))].take()
		s.pass()
	}
	switch {
	case len(o.wrong) > 0:
	case o.ByDesign != nil:
		o.judgeClients()
	default:
		o.judge()
	}
	return o
}

// pass lets a step pass for the store.
func (s *site) pass() {
	if s.tick > 0 {
		s.Advance(s.tick)
	}
}

// take lets a visit go on until it parks or is answered.
func (c choice) take() {
	v := c.visit
	if !v.started {
		v.started, v.free, v.start, v.sent = true, true, v.now, c.cookie
		go v.serve()
	} else {
		v.resume <- struct{}{}
	}
	<-v.paused
}

func (v *visit) serve() {
	defer func() {
		if r := recover(); r != nil {
			v.complain("%s: panic: %v\n%s", v.name, r, debug.Stack())
		}
		v.end = v.now
		v.paused <- struct{}{}
	}()
	ctx, response := v.request(v.context(), v.sent)
	v.handle(ctx, func(ctx *mist.Context) { v.err = v.kind.flow(v, ctx) })
	v.given = cookies(response.Header())
	if !v.kind.carries || v.kind.lost {
		return
	}
	if v.ByDesign != nil && len(v.given) > 0 {
		v.park("response")
	}
	v.browser.held = append(v.browser.held, v.given...)
}

// handle runs a handler, in the Middleware if there is to be one.
func (o *order) handle(ctx *mist.Context, f mist.HandleFunc) {
	if o.Middleware {
		f = o.manager.Middleware()(f)
	}
	f(ctx)
}

func (v *visit) context() context.Context {
	return context.WithValue(context.Background(), visitKey{}, v)
}

// request is what mist hands to a handler.
func (o *order) request(ctx context.Context, cookie string) (*mist.Context, *httptest.ResponseRecorder) {
	req := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: make(http.Header)}).WithContext(ctx)
	if cookie != "" {
		req.Header.Set("Cookie", cookieName+"="+cookie)
	}
	rec := httptest.NewRecorder()
	return &mist.Context{Request: req, ResponseWriter: rec}, rec
}

// A position is what the last visit that went on was about to do.
type position struct{ visit, op string }

// A guard sees to it that an order in which a request waits for another one,
// which is parked, does not hang for ever. Inside of a bubble time would stand
// still, so it is outside.
type guard struct{ done, over chan struct{} }

func (s *site) watch() guard {
	g := guard{make(chan struct{}), make(chan struct{})}
	patience, stuck := s.patience, s.onStuck
	if patience == 0 {
		patience = 30 * time.Second
	}
	if stuck == nil {
		stuck = func(why string) { panic(why) }
	}
	go func() {
		defer close(g.over)
		t := time.NewTicker(patience)
		defer t.Stop()
		for last := s.where.Load(); ; {
			select {
			case <-g.done:
				return
			case <-t.C:
			}
			now := s.where.Load()
			if now != nil && now == last {
				stuck(fmt.Sprintf("sessiontest: burst %q: %s waits in its call %s: does the store hold a lock for another request, over a Step or a function of Update?",
					s.burst.name, now.visit, now.op))
			}
			last = now
		}
	}()
	return g
}

func (g guard) end() {
	close(g.done)
	<-g.over
}
