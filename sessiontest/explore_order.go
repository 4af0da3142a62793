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
	calls    []*call // of the store, in the order of their answers
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

// complain records what is wrong, each text once.
func (o *order) complain(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(o.wrong, text) {
		o.wrong = append(o.wrong, text)
	}
}

// complainOf records an error that says what came and what had to come.
func (o *order) complainOf(err error) { o.complain("%v", err) }

// A browser keeps one cookie.
type browser struct {
	name string
	held []string // every cookie since the burst began; the last is the present one

	arrival []*call // the calls that gave it the first cookie
}

func (b *browser) cookie() string { return b.held[len(b.held)-1] }

// cookies returns the values of the cookies in a response.
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

// A visit is a request and the goroutine that serves it. Only one visit runs at a time, until
// it parks before its next step.
type visit struct {
	*order
	kind    kind
	name    string
	browser *browser
	twin    *visit // another visit of the same kind and browser

	sent       string // the cookie
	start, end int    // steps; end is 0 until it is answered
	loaded     session.Session
	got        session.Session // from a login
	given      []string        // cookies, in the response
	err        error

	resume  chan struct{}
	started bool
	free    bool // the next step belongs to the present one
	op      string
}

type visitKey struct{}

// Step parks a request of an [Explorer] inside a store until its turn comes. A store whose
// methods take several steps (commands to a server, for example) calls Step before each of
// them, in a test, so that the Explorer can run other requests between them. The store must
// not hold a lock during Step. Outside an Explorer Step does nothing.
func Step(ctx context.Context) {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		v.step()
	}
}

func (v *visit) step() {
	if v.free { // nothing has happened since it went on
		v.free = false
		return
	}
	v.park(v.op + "…")
}

// call parks before a call of the store, unless the visit has only begun.
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

// A choice is a visit that can go on. A visit begins with a cookie that its browser had.
type choice struct {
	visit  *visit
	cookie string
}

func (o *order) choices() (all []choice) {
	for _, v := range o.visits {
		switch {
		case v.end > 0:
		case v.twin != nil && !v.twin.started: // the order would differ only in the names of two requests
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

// handle runs a handler, in the Middleware if the Explorer says so.
func (o *order) handle(ctx *mist.Context, f mist.HandleFunc) {
	if o.Middleware {
		f = o.manager.Middleware()(f)
	}
	f(ctx)
}

func (v *visit) context() context.Context {
	return context.WithValue(context.Background(), visitKey{}, v)
}

// request returns the context that mist passes to a handler.
func (o *order) request(ctx context.Context, cookie string) (*mist.Context, *httptest.ResponseRecorder) {
	req := (&http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, Header: make(http.Header)}).WithContext(ctx)
	if cookie != "" {
		req.Header.Set("Cookie", cookieName+"="+cookie)
	}
	rec := httptest.NewRecorder()
	return &mist.Context{Request: req, ResponseWriter: rec}, rec
}

// A position is the next call of the visit that runs.
type position struct{ visit, op string }

// A guard ends an order that hangs because a request waits for a parked one. It runs outside
// the bubble, because time stands still inside.
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
