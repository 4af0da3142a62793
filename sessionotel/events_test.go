package sessionotel_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessionotel"
)

// An event is counted by its kind, and is in the span of the request if there is
// one. Users are in neither.
func TestEvents(t *testing.T) {
	for _, c := range []struct {
		event session.Event
		want  string
	}{
		{session.Event{Kind: session.EventCreated, Session: "id"}, "session.created id=id"},
		{session.Event{Kind: session.EventLogin, Session: "id", User: "alice"}, "session.login id=id"},
		{session.Event{Kind: session.EventMalformed}, "session.malformed"},
		{session.Event{Kind: session.EventRevoked, User: "alice"}, "session.revoked count=0"},
		{session.Event{Kind: session.EventRevoked, User: "alice", Count: 3}, "session.revoked count=3"},
		{session.Event{Kind: session.EventRemoved, Session: "id", Cause: session.ErrUserLimit}, "session.removed id=id cause=session: user has too many sessions"},
		{session.Event{Kind: session.EventFailed, Cause: errors.New("down")}, "session.failed cause=down"},
	} {
		tel := &telemetry{}
		hook := sessionotel.Events(tel.meters())
		ctx, request := tel.Tracer("mist").Start(t.Context(), "GET /")
		hook(ctx, c.event)
		request.End()
		hook(t.Context(), c.event) // outside of any span
		if got, want := tel.spans(), "GET / \n\t"+c.want; !slices.Equal(got, []string{want}) {
			t.Errorf("got %q, want %q", got, want)
		}
		count := "event=" + string(c.event.Kind) + " 1"
		if want := []string{count, count}; !slices.Equal(tel.counts, want) {
			t.Errorf("got counts %q, want %q", tel.counts, want)
		}
		if want := "[session.events {event}]"; fmt.Sprint(tel.made) != want {
			t.Errorf("got instruments %v, want %s", tel.made, want)
		}
	}
}

// Ten thousand events of many requests at once: each is counted, each is in the span of
// its request, and none is dropped.
func TestEventsLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, each = 128, 80 // twice as many workers as there are calls of a hook at once
		tel := &telemetry{}
		m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}, OnEvent: sessionotel.Events(tel.meters())}
		visit := func() {
			ctx, request := tel.Tracer("mist").Start(t.Context(), "GET /")
			defer request.End()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			r.Header.Set("Cookie", "__Host-Http-session=malformed")
			if _, err := m.GetSession(&mist.Context{Request: r, ResponseWriter: httptest.NewRecorder()}); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("got %v, want ErrNotFound", err)
			}
		}
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				for range each {
					visit()
				}
			})
		}
		all.Wait()
		time.Sleep(time.Minute) // of the bubble's: no hook is at work
		counted, marked := make(map[string]int), 0
		for _, line := range tel.counts {
			counted[line]++
		}
		for _, span := range tel.spans() {
			marked += strings.Count(span, "\n\tsession.malformed ")
		}
		if got, want := fmt.Sprint(counted, marked), "map[event=malformed 1:10240] 10240"; got != want {
			t.Errorf("got counts and events of spans %s, want %s", got, want)
		}
	})
}

// A request through the Manager: what it asks of the store, and what happened, are
// in its trace; user, token, keys and values are not.
func TestManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, ids := &telemetry{}, 0
		m := &session.Manager{
			Store:      &sessionotel.Store{Store: &memory.Store{}, TracerProvider: tel, MeterProvider: tel.meters()},
			Propagator: &cookie.Propagator{},
			OnEvent:    sessionotel.Events(tel.meters()),
			NewID:      func() string { ids++; return fmt.Sprint("id", ids) },
		}
		var cookies []*http.Cookie
		visit := func(handler func(ctx *mist.Context, s session.Session) error) {
			ctx, request := tel.Tracer("mist").Start(t.Context(), "request")
			rec := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			for _, c := range cookies {
				r.AddCookie(c)
			}
			mctx := &mist.Context{Request: r, ResponseWriter: rec}
			s, _ := m.GetSession(mctx)
			if err := handler(mctx, s); err != nil {
				t.Errorf("got %v", err)
			}
			request.End()
			if set := rec.Result().Cookies(); len(set) > 0 {
				cookies = set
			}
		}
		flow := func(f func(ctx *mist.Context) error) {
			visit(func(ctx *mist.Context, _ session.Session) error { return f(ctx) })
		}

		flow(func(ctx *mist.Context) error { _, err := m.InitSession(ctx); return err })
		flow(func(ctx *mist.Context) error { _, err := m.Login(ctx, "alice@example.com"); return err })
		visit(func(ctx *mist.Context, s session.Session) error {
			return s.Set(ctx.Request.Context(), "diagnosis", "influenza")
		})
		flow(m.RotateSession)
		flow(m.RefreshSession)
		flow(func(ctx *mist.Context) error { _, err := m.UserSessions(ctx, "alice@example.com"); return err })
		flow(func(ctx *mist.Context) error { _, err := m.RemoveUserSessions(ctx, "alice@example.com"); return err })
		flow(func(*mist.Context) error { return nil })

		want := strings.TrimSpace(`
session.generate operation=generate id=id1 outcome=ok in request
request 
	session.created id=id1
session.open operation=open id=id1 outcome=ok in request
session.login operation=login id=id1 outcome=ok in request
request 
	session.login id=id2 previous=id1
session.open operation=open id=id2 outcome=ok in request
session.set operation=set id=id2 outcome=ok in request
request 
session.open operation=open id=id2 outcome=ok in request
session.rotate operation=rotate id=id2 outcome=ok in request
request 
	session.rotated id=id2
session.open operation=open id=id2 outcome=ok in request
session.refresh operation=refresh id=id2 outcome=ok in request
request 
session.open operation=open id=id2 outcome=ok in request
session.user_sessions operation=user_sessions outcome=ok in request
request 
session.open operation=open id=id2 outcome=ok in request
session.remove_user_sessions operation=remove_user_sessions outcome=ok in request
request 
	session.revoked count=1
session.open operation=open id=id2 outcome=not_found in request
request 
	session.unknown id=id2 cause=session: not found`)
		got := strings.TrimSpace(strings.Join(tel.spans(), "\n"))
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		recorded := got + tel.all()
		for _, private := range []string{"alice", "example", "diagnosis", "influenza"} {
			if strings.Contains(recorded, private) {
				t.Errorf("%q was recorded", private)
			}
		}
	})
}
