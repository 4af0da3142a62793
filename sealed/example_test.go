package sealed_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
)

// The session is in the cookie, and nothing of it on the server.
func Example() {
	m := &session.Manager{
		Store:      &sealed.Store{Keys: [][]byte{sealed.NewKey()}}, // an application reads its keys: ParseKeys
		Propagator: &cookie.Propagator{Insecure: true},             // plain http; with https leave Insecure out
	}
	theme := session.NewKey[string]("theme")
	server := mist.InitHTTPServer()
	server.Use(m.Middleware()) // writes the cookie once, however often a handler sets something
	server.POST("/theme", func(ctx *mist.Context) {
		s, err := m.InitSession(ctx)
		if err == nil {
			err = theme.Set(ctx.Request.Context(), s, ctx.Request.FormValue("theme"))
		}
		if errors.Is(err, session.ErrTooLarge) { // a cookie has 4096 bytes
			ctx.RespStatusCode = http.StatusRequestEntityTooLarge
		}
	})
	server.GET("/", func(ctx *mist.Context) {
		if s, err := m.GetSession(ctx); err == nil {
			name, _, _ := theme.Get(ctx.Request.Context(), s)
			ctx.RespData = []byte(name)
		}
	})

	first := httptest.NewRecorder()
	server.ServeHTTP(first, httptest.NewRequest(http.MethodPost, "/theme?theme=dark", nil))
	next := httptest.NewRequest(http.MethodGet, "/", nil)
	next.Header["Cookie"] = []string{first.Result().Cookies()[0].String()}
	second := httptest.NewRecorder()
	server.ServeHTTP(second, next)
	fmt.Println(second.Body)
	// Output: dark
}

// What may come back is in the cookie. What must not, here a coupon that is good once, is
// on the server: an old cookie would bring it back.
func Example_both() {
	preferences := &session.Manager{
		Store:      &sealed.Store{Keys: [][]byte{sealed.NewKey()}},
		Propagator: &cookie.Propagator{Name: "__Host-preferences"},
	}
	account := &session.Manager{
		Store:      &memory.Store{},
		Propagator: &cookie.Propagator{}, // of another name
	}
	coupon := session.NewKey[string]("coupon")

	ctx := &mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: httptest.NewRecorder()}
	shown, _ := preferences.InitSession(ctx)
	_ = shown.Set(ctx.Request.Context(), "language", "eo")
	login, _ := account.LoginWith(ctx, session.Login{User: "ada", Values: map[string]any{"coupon": "SPRING"}})

	var once sync.WaitGroup
	for range 10 { // requests at once
		once.Go(func() {
			if code, ok, _ := coupon.Pop(context.Background(), login); ok {
				fmt.Println("used", code)
			}
		})
	}
	once.Wait()
	fmt.Println(len(ctx.ResponseWriter.Header()["Set-Cookie"]), "cookies")
	// Output:
	// used SPRING
	// 2 cookies
}

// With a list of what has ended, a logout ends every copy of the cookie.
func ExampleRevocations() {
	var ended sealed.Revocations
	store := &sealed.Store{Keys: [][]byte{sealed.NewKey()}, Revoked: ended.Revoked, Revoke: ended.Revoke}
	ctx := context.Background()

	s, _ := store.Login(ctx, "", session.Login{User: "ada"})
	copied := session.Token(s)
	_, _ = store.RemoveUserSessions(ctx, "ada")

	_, err := store.Open(ctx, copied)
	fmt.Println(errors.Is(err, session.ErrNotFound))
	// Output: true
}
