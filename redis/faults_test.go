package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
)

// A fault is what can happen to a server, or to the way to it.
type fault struct {
	name      string
	config    []string             // of the server
	setup     func(w *world) error // of the server, once
	proxied   bool                 // the fault comes over the network
	alone     bool                 // and over the server, too: no other may use it
	plain     bool                 // go-redis without any options
	params    string               // of the client's URL
	user      string               // and its user
	opTimeout time.Duration        // of the store; zero: none that matters
	leaves    bool                 // the client does not wait for the response
	always    bool                 // the fault is there from the start
	worlds    int                  // that share the work; zero: one

	// around makes the context of the request; nil: as it is.
	around func(ctx context.Context) (context.Context, context.CancelFunc)

	begin  func(w *world) error
	client func(c goredis.UniversalClient) error // instead of begin, where it is the client's
	end    func(w *world) error

	// fails reports whether a step fails because of the fault, which begins before
	// it or before an earlier one. A fault that happens does not last until a later
	// step.
	fails   func(s step) bool
	may     func(s step) bool // fail, or not: it is a matter of chance
	happens bool
	loses   bool // all sessions
	full    bool // there is no room for another session
	splits  bool // no script has all of its keys; what a login does then is another test

	cause func(err error) bool // of the failures
}

func anyStep(step) bool { return true }

func noStep(step) bool { return false }

// A verdict is what a flow ends with.
type verdict int

const (
	succeeds verdict = iota
	failure
	nobody // is logged in any more
	either // of the first two
)

// want is how a flow ends when the fault begins before its n-th step.
func (f *fault) want(fl *flow, n int) verdict {
	if f.loses {
		switch s := fl.steps[n]; {
		case fl.logsIn, s == stepCreate, s == stepRemove, s == stepEnd, s == stepLoad && n > 0: // the last: RefreshSession has done its work
			return succeeds
		}
		return nobody
	}
	last := len(fl.steps)
	if f.happens {
		last = n + 1
	}
	switch {
	case slices.ContainsFunc(fl.steps[n:last], f.fails):
		return failure
	case f.may != nil && slices.ContainsFunc(fl.steps[n:], f.may):
		return either
	}
	return succeeds
}

// Every fault, before every command of every flow.
func TestFaults(t *testing.T) {
	t.Parallel()
	// They mostly wait, so a few at once, however many processors there are.
	faults := make(chan fault)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for f := range faults {
				f.run(t)
			}
		})
	}
	for _, f := range slices.Concat(networkFaults(), serverFaults(t), plainFaults(t)) {
		faults <- f
	}
	close(faults)
	wg.Wait()
}

func (f *fault) run(t *testing.T) {
	t.Helper()
	t.Run(f.name, func(t *testing.T) {
		f.spread(t, f.make(t))
	})
}

// make makes the worlds that share the work.
func (f *fault) make(t *testing.T) []*world {
	t.Helper()
	var server *redistest.Server
	if f.proxied && !f.alone {
		server = redistest.Start(t)
	}
	var worlds []*world
	for range max(1, f.worlds) {
		worlds = append(worlds, newWorld(t, f, server))
	}
	return worlds
}

// faultTries tells the tries of all faults apart.
var faultTries atomic.Int64

// spread tries every flow with every command.
func (f *fault) spread(t *testing.T, worlds []*world) {
	t.Helper()
	type try struct {
		flow *flow
		n    int
	}
	tries := make(chan try)
	var wg sync.WaitGroup
	for _, w := range worlds {
		wg.Go(func() {
			for x := range tries {
				t.Run(fmt.Sprintf("%s/%d %s", x.flow.name, x.n+1, x.flow.steps[x.n].command()), func(t *testing.T) {
					// On a machine that stands still, time may run out before the fault has begun.
					for range 10 {
						w.prefix = fmt.Sprintf("{%d}:", faultTries.Add(1)) // one slot of a cluster
						if f.try(t, w, x.flow, x.n) || t.Failed() {
							return
						}
					}
					t.Error("the flow never came to this command")
				})
			}
		})
	}
	for _, fl := range faultFlows() {
		for n := range fl.steps {
			if f.splits && fl.logsIn {
				break
			}
			if f.always && slices.ContainsFunc(fl.steps[:n], f.fails) {
				break
			}
			tries <- try{&fl, n}
		}
	}
	close(tries)
	wg.Wait()
}

// try puts one flow through the fault; reached reports whether it came so far.
func (f *fault) try(t *testing.T, w *world, fl *flow, n int) (reached bool) {
	t.Helper()
	a := newApp(t, w, w.client(t, f), f, fl)
	loadScripts(t, w.admin)
	token, gone := a.login(t, "alice"), a.login(t, "gone")
	if err := a.truth.Remove(t.Context(), "gone"); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if fl.token != nil {
		token = fl.token(t, a, token)
	}

	begin := func() {
		if err := f.start(w, a); err != nil {
			t.Errorf("the fault does not begin: %v", err)
		}
	}
	if f.always {
		begin()
		begin = func() {}
	}
	a.wire.arm(n, begin)
	lifted := false
	lift := func() {
		if !lifted && f.end != nil {
			if err := f.end(w); err != nil {
				t.Errorf("the fault does not end: %v", err)
			}
		}
		lifted = true
	}
	defer lift() // a failure must not be the next one's fault

	clientToken := token
	if fl.anonymous {
		clientToken = ""
	}
	resp, got := f.request(t, a, fl, clientToken)
	seen, reached := a.wire.disarm()
	lift()
	if !reached {
		return false
	}
	want := f.want(fl, n)
	if want == either {
		if want = succeeds; got.err != nil {
			want = failure
		}
	}
	if want == succeeds && len(seen) != len(fl.steps) && (!f.loses || !fl.logsIn) || len(seen) <= n || seen[n] != fl.steps[n].command() {
		t.Errorf("it sent %q", seen)
	}
	f.checkAnswer(t, fl, n, want, resp, got)
	if f.loses {
		f.checkLost(t, a, fl, want, token)
		return true
	}
	if fl.logsIn {
		f.checkLogin(t, a, fl, want, token, resp)
	} else {
		f.checkSession(t, a, fl, want, token, resp)
	}
	if f.client != nil {
		return true // it is lost for good
	}
	if got := a.backAgain(t, gone); got != http.StatusUnauthorized {
		t.Errorf("the removed session: got status %d", got)
	}
	if got := a.backAgain(t, token); !fl.ends && !fl.logsIn && got != http.StatusOK {
		t.Errorf("the same cookie afterwards: got status %d", got)
	}
	return true
}

func (f *fault) start(w *world, a *app) error {
	if f.client != nil {
		return f.client(a.client)
	}
	return f.begin(w)
}

// request sends the request of a flow, and returns what came of it.
func (f *fault) request(t *testing.T, a *app, fl *flow, clientToken string) (*http.Response, told) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if f.leaves {
		// The handler is at the fault when the client goes.
		go func() {
			for a.wire.armed() && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
	}
	began := time.Now()
	resp, err := a.get(ctx, "/flow", clientToken)
	switch {
	case f.leaves && fl.required:
		return nil, told{err: err}
	case f.leaves:
		return nil, <-a.told
	case err != nil:
		t.Fatalf("the request: %v", err)
	case fl.required:
		return resp, told{took: time.Since(began)}
	}
	return resp, <-a.told
}

// checkAnswer checks what the handler was told, and its client.
func (f *fault) checkAnswer(t *testing.T, fl *flow, n int, want verdict, resp *http.Response, got told) {
	t.Helper()
	if got.took > faultBound {
		t.Errorf("it took %v", got.took)
	}
	err := got.err
	if !fl.required {
		switch {
		case want == succeeds && err != nil:
			t.Errorf("got %v, want no error", err)
		case want == nobody && !errors.Is(err, session.ErrNotFound):
			t.Errorf("got %v, want ErrNotFound", err)
		case want == failure && (err == nil || errors.Is(err, session.ErrNotFound)):
			t.Errorf("got %v, want a failure", err)
		case want == failure && !f.cause(err):
			t.Errorf("got %v (%T), want its cause", err, err)
		case f.full && (fl.makes > 0 || fl.logsIn) && !errors.Is(err, session.ErrFull):
			t.Errorf("got %v, want ErrFull", err)
		}
	}
	if resp == nil {
		return
	}
	status := map[verdict]int{succeeds: http.StatusOK, failure: http.StatusServiceUnavailable, nobody: http.StatusUnauthorized}[want]
	if resp.StatusCode != status {
		t.Errorf("got status %d, want %d", resp.StatusCode, status)
	}
	cookies := 0
	if want == succeeds && (!f.loses || fl.logsIn || fl.steps[n] != stepLoad) {
		cookies = fl.sets
	}
	if got := len(resp.Header["Set-Cookie"]); got != cookies {
		t.Errorf("got %d Set-Cookie, want %d", got, cookies)
	}
}

// checkSession checks what became of the session when the fault is lifted.
func (f *fault) checkSession(t *testing.T, a *app, fl *flow, want verdict, token string, resp *http.Response) {
	t.Helper()
	values, err := a.values(t, token)
	switch {
	case fl.ends && want == succeeds:
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("the session: got %v, want ErrNotFound", err)
		}
	case fl.ends && errors.Is(err, session.ErrNotFound): // it may have been removed
	case err != nil:
		t.Fatalf("the session: %v", err)
	default:
		before, after := fl.outcomes()
		possible := []map[string]any{after}
		if want != succeeds {
			possible = append(possible, before...)
		}
		if !slices.ContainsFunc(possible, func(m map[string]any) bool { return reflect.DeepEqual(m, values) }) {
			t.Errorf("the session holds %v, want one of %v", values, possible)
		}
	}
	records := a.records(t)
	least, most := 1, 1+fl.makes
	if fl.ends {
		least = 0
	}
	if want == succeeds {
		least = most
		if fl.ends {
			least, most = 0, 0
		}
	}
	if records < least || records > most {
		t.Errorf("there are %d sessions, want %d to %d", records, least, most)
	}
	if resp == nil || want != succeeds || fl.ends {
		return
	}
	for _, c := range resp.Cookies() {
		got, err := a.values(t, c.Value)
		if err != nil || fl.makes == 0 && !reflect.DeepEqual(got, values) || fl.makes > 0 && len(got) > 0 {
			t.Errorf("the session of the new cookie holds %v, %v", got, err)
		}
	}
}

// plainFaults are those that a client without any options has to stand, too. What
// makes a call wait is another matter: see TestPlainClientWaits.
func plainFaults(t *testing.T) []fault {
	t.Helper()
	var plain []fault
	for _, f := range slices.Concat(networkFaults(), serverFaults(t)) {
		if slices.Contains([]string{
			"reply lost", "reply lost every time", "reply lost, then killed", "killed", "restarted empty", "replica",
		}, f.name) {
			f.name, f.plain = f.name+", plain client", true
			plain = append(plain, f)
		}
	}
	return plain
}
