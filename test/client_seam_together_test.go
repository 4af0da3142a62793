package session_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
)

// A load that another goroutine begins never takes the place of a new session.
func TestSeamInitAndLoadTogether(t *testing.T) {
	const rounds = 2000
	for name, st := range seedStores() {
		m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
		b := &webtest.Browser{}
		b.Visit(t, succeeds(t, beginning(m)))
		for range rounds {
			b.Tab().Visit(t, m.Middleware()(func(ctx *mist.Context) {
				var load sync.WaitGroup
				load.Go(func() {
					if _, err := session.FromContext(ctx.Request.Context()); err != nil {
						t.Errorf("%s: FromContext: %v", name, err)
					}
				})
				s, err := m.InitSession(ctx)
				load.Wait()
				if err == nil {
					err = s.Set(t.Context(), "k", "new")
				}
				if err != nil {
					t.Errorf("%s: a write to the new session: %v", name, err)
				}
			}))
		}
	}
}

// A stubborn writer refuses to be flushed and taken over.
type stubborn struct{ *httptest.ResponseRecorder }

var errStubborn = errors.New("the response of a test is stubborn")

func (stubborn) FlushError() error { return errStubborn }

func (stubborn) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errStubborn }

// Whatever a handler does while its goroutines write, a write that was acknowledged
// reaches the client, and one that came too late was not acknowledged.
func TestSeamAcknowledged(t *testing.T) {
	const rounds, writers, writes = 1000, 4, 5
	m := &session.Manager{Store: sealedStore(), Propagator: &cookie.Propagator{}, CtxSessionKey: "a"}
	other := &session.Manager{Store: m.Store, Propagator: m.Propagator, CtxSessionKey: "b"}
	handler := []func(ctx *mist.Context){
		func(ctx *mist.Context) { _ = http.NewResponseController(ctx.ResponseWriter).Flush() },
		func(ctx *mist.Context) { _, _, _ = http.NewResponseController(ctx.ResponseWriter).Hijack() },
		func(ctx *mist.Context) {
			_, _ = io.Copy(ctx.ResponseWriter, webtest.OnlyReader{Reader: strings.NewReader("")})
		},
		func(ctx *mist.Context) { _ = m.RefreshSession(ctx) },
		func(ctx *mist.Context) { _ = m.RotateSession(ctx) },
		func(ctx *mist.Context) { _ = other.RotateSession(ctx) },
		func(ctx *mist.Context) { _, _ = m.Reauthenticate(ctx, 0) },
		func(ctx *mist.Context) { _, _ = other.Reauthenticate(ctx, 0) },
		func(ctx *mist.Context) { _, _ = io.WriteString(ctx.ResponseWriter, "page") },
	}
	for range rounds {
		var (
			all   sync.WaitGroup
			acked [writers]int // the last value of each
		)
		b, w := &webtest.Browser{}, stubborn{httptest.NewRecorder()}
		b.Visit(t, succeeds(t, webtest.LogIn(m, "alice")))
		m.Middleware()(func(ctx *mist.Context) {
			req := ctx.Request.Context()
			for i := range writers {
				all.Go(func() {
					for n := range writes {
						s, err := session.FromContext(req)
						if err == nil && s.Set(t.Context(), fmt.Sprint("k", i), n+1) == nil {
							acked[i] = n + 1
						}
					}
				})
			}
			for range rand.IntN(6) {
				handler[rand.IntN(len(handler))](ctx)
			}
		})(&mist.Context{Request: b.Request(t.Context()), ResponseWriter: w})
		all.Wait()
		for _, c := range w.Result().Cookies() {
			b.Cookies[c.Name] = c.Value
		}
		b.Visit(t, func(ctx *mist.Context) {
			s := webtest.Loaded(t, m, ctx)
			for i, want := range acked {
				got, err := s.Get(t.Context(), fmt.Sprint("k", i))
				if n, _ := got.(int); err != nil || n != want {
					t.Errorf("writer %d: got %v, %v, want %d", i, got, err, want)
				}
			}
		})
	}
}
