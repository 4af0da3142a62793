package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// lateCalls are all that can arrive after the session has ended.
var lateCalls = map[string]func(ctx context.Context, st *redis.Store, s session.Session) error{
	"Set": func(ctx context.Context, _ *redis.Store, s session.Session) error { return s.Set(ctx, "late", true) },
	"SetAll": func(ctx context.Context, _ *redis.Store, s session.Session) error {
		return session.SetAll(ctx, s, map[string]any{"late": true})
	},
	"Delete": func(ctx context.Context, _ *redis.Store, s session.Session) error {
		return session.Delete(ctx, s, "name")
	},
	"Clear": func(ctx context.Context, _ *redis.Store, s session.Session) error { return session.Clear(ctx, s) },
	"Update": func(ctx context.Context, _ *redis.Store, s session.Session) error {
		return session.Update(ctx, s, "count", increment)
	},
	"Pop": func(ctx context.Context, _ *redis.Store, s session.Session) error {
		_, err := session.Pop(ctx, s, "flash")
		return err
	},
	"Refresh": func(ctx context.Context, st *redis.Store, s session.Session) error { return st.Refresh(ctx, s.ID()) },
	"Rotate": func(ctx context.Context, st *redis.Store, s session.Session) error {
		_, err := st.Rotate(ctx, session.Token(s), time.Minute)
		return err
	},
	"Open": func(ctx context.Context, st *redis.Store, s session.Session) error {
		_, err := st.Open(ctx, session.Token(s))
		return err
	},
	"Remove": func(ctx context.Context, st *redis.Store, s session.Session) error {
		return st.Remove(ctx, s.ID())
	},
}

// A command that arrives after an acknowledged Remove finds nothing, and makes
// nothing, also where the same id has been given to another session since.
func TestLateCommands(t *testing.T) {
	t.Parallel()
	const delay = 200 * time.Millisecond
	server, direct := single(t)
	loadScripts(t, direct)
	truth := &redis.Store{Client: direct, OpTimeout: time.Minute}
	var wg sync.WaitGroup
	defer wg.Wait()
	for name, call := range lateCalls {
		for _, again := range []bool{false, true} {
			if again && name == "Remove" {
				continue // it knows nothing but the id
			}
			wg.Go(func() {
				t.Run(fmt.Sprintf("%s, id given again %t", name, again), func(t *testing.T) {
					proxy := redistest.NewProxy(t, server.Addr)
					late := &redis.Store{Client: newClient(t, "redis://"+proxy.Addr)}
					for try := 0; ; try++ {
						id := fmt.Sprintf("%s%t%d", name, again, try)
						s, err := late.Generate(t.Context(), id)
						if err == nil {
							err = session.SetAll(t.Context(), s, startValues())
						}
						if err != nil {
							t.Fatal(err)
						}
						proxy.SetDelay(delay)
						ctx, cancel := context.WithTimeout(t.Context(), delay/10)
						began := time.Now()
						err = call(ctx, late, s)
						cancel()
						if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, session.ErrNotFound) {
							t.Errorf("got %v, want DeadlineExceeded", err)
						}
						proxy.SetDelay(0)
						if err := truth.Remove(t.Context(), id); err != nil {
							t.Fatal(err)
						}
						other := session.Session(nil)
						if again {
							if other, err = truth.Generate(t.Context(), id); err == nil {
								err = session.SetAll(t.Context(), other, startValues())
							}
							if err != nil {
								t.Fatal(err)
							}
						}
						inTime := time.Since(began) < delay
						time.Sleep(time.Until(began.Add(2 * delay))) // it arrives
						if _, err := truth.Open(t.Context(), session.Token(s)); !errors.Is(err, session.ErrNotFound) {
							t.Errorf("the session: got %v, want ErrNotFound", err)
						}
						if n, err := direct.Exists(t.Context(), "session:"+id).Result(); err != nil || (n == 1) != again {
							t.Errorf("%d records (%v)", n, err)
						}
						if again {
							untouched(t, truth, session.Token(other))
						}
						if inTime || t.Failed() || try == 10 {
							break
						}
					}
				})
			})
		}
	}
}

// untouched checks that a session holds what it held at the start.
func untouched(t *testing.T, st *redis.Store, token string) {
	t.Helper()
	s, err := st.Open(t.Context(), token)
	if err != nil {
		t.Fatalf("the other session: %v", err)
	}
	all, _ := session.All(t.Context(), s)
	if got := maps.Collect(all); !reflect.DeepEqual(got, startValues()) {
		t.Errorf("the other session holds %v", got)
	}
}

// A bystander is a client whose request is under way when the server falls silent.
type bystander struct {
	*app
	flow  *flow
	token string
	gone  string // a removed session
}

// While a server is silent every request ends in time with an answer that logs
// nobody out. Afterwards all goes on, and what the server does late brings
// nobody back.
func TestManyWhilePaused(t *testing.T) {
	t.Parallel()
	const each, pause = 4, time.Second // 64 requests
	f := &fault{name: "paused", opTimeout: 2 * shortTimeout}
	w := newWorld(t, f, nil)
	loadScripts(t, w.admin)
	client := w.client(t, f)
	var all []*bystander
	for i := range each {
		for _, fl := range faultFlows() {
			w.prefix = fmt.Sprintf("%d %s:", i, fl.name)
			v := &bystander{app: newApp(t, w, client, f, &fl), flow: &fl}
			v.token, v.gone = v.login(t, "alice"), v.login(t, "gone")
			if fl.token != nil {
				v.token = fl.token(t, v.app, v.token)
			}
			if err := v.truth.Remove(t.Context(), "gone"); err != nil {
				t.Fatal(err)
			}
			all = append(all, v)
		}
	}

	// They are before the first, second, third command when the server falls silent.
	paused := make(chan struct{})
	var arrived, visits sync.WaitGroup
	for i, v := range all {
		arrived.Add(1)
		arrive := sync.OnceFunc(arrived.Done)
		v.wire.arm(i/len(faultFlows())%len(v.flow.steps), func() {
			arrive()
			<-paused
		})
		visits.Go(func() {
			defer arrive() // where time ran out before that
			v.whilePaused(t)
		})
	}
	arrived.Wait()
	began := time.Now()
	w.server.Pause()
	close(paused)
	visits.Wait()
	time.Sleep(time.Until(began.Add(pause)))
	w.server.Resume()

	for _, v := range all {
		visits.Go(func() { v.afterwards(t) })
	}
	visits.Wait()
	for _, v := range all {
		v.records(t)
	}
}

func (v *bystander) whilePaused(t *testing.T) {
	t.Helper()
	token := v.token
	if v.flow.anonymous {
		token = ""
	}
	began := time.Now()
	resp, err := v.get(t.Context(), "/flow", token)
	if err != nil {
		t.Errorf("%s: %v", v.flow.name, err)
		return
	}
	if took := time.Since(began); took > faultBound {
		t.Errorf("%s: it took %v", v.flow.name, took)
	}
	if got := resp.Header["Set-Cookie"]; resp.StatusCode != http.StatusServiceUnavailable || got != nil {
		t.Errorf("%s: got status %d and %d Set-Cookie", v.flow.name, resp.StatusCode, len(got))
	}
}

func (v *bystander) afterwards(t *testing.T) {
	t.Helper()
	if got := v.backAgain(t, v.gone); got != http.StatusUnauthorized {
		t.Errorf("%s: the removed session: got status %d", v.flow.name, got)
	}
	got := v.backAgain(t, v.token)
	if got == http.StatusUnauthorized && (v.flow.ends || v.flow.logsIn) {
		return // the late logout, or login
	}
	if got != http.StatusOK {
		t.Errorf("%s: the same cookie afterwards: got status %d", v.flow.name, got)
		return
	}
	values, err := v.values(t, v.token)
	before, after := v.flow.outcomes()
	if err != nil || !slices.ContainsFunc(append(before, after), func(m map[string]any) bool { return reflect.DeepEqual(m, values) }) {
		t.Errorf("%s: the session holds %v, %v", v.flow.name, values, err)
	}
	s, err := v.truth.Open(t.Context(), v.token)
	if err == nil {
		err = s.Set(t.Context(), "name", "carol")
	}
	if err != nil {
		t.Errorf("%s: afterwards: %v", v.flow.name, err)
	}
}
