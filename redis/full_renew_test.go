package redis_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/redis"
)

// A refresh on a full server works, and the token is renewed by the first one after.
func TestFullRefreshSession(t *testing.T) {
	t.Parallel()
	server, client := single(t)
	st := &redis.Store{Client: client}
	m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, RenewAfter: time.Nanosecond}
	s, err := st.Login(t.Context(), session.Token(generate(t, st)), session.Login{User: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	for _, memory := range []string{"1", "0"} {
		server.MustDo(t, "CONFIG", "SET", "maxmemory", memory)
		err := errors.New("no answer")
		mux := mist.InitHTTPServer()
		mux.GET("/", func(ctx *mist.Context) { err = m.RefreshSession(ctx) })
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(&http.Cookie{Name: "__Host-Http-session", Value: session.Token(s)})
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if err != nil {
			t.Errorf("maxmemory %s: %v", memory, err)
		}
		if got := len(w.Result().Cookies()); (got == 1) != (memory == "0") {
			t.Errorf("maxmemory %s: got %d cookies", memory, got)
		}
		open(t, st, session.Token(s))
	}
}
