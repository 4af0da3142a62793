package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

// newBrowser starts server and returns a function that requests a path as one
// browser does, and says what came.
func newBrowser(server http.Handler) (request func(method, path string) string, stop func()) {
	ts := httptest.NewServer(server)
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	return func(method, path string) string {
		req, _ := http.NewRequest(method, ts.URL+path, nil)
		resp, err := client.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		body := make([]byte, 100)
		n, _ := resp.Body.Read(body)
		return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", string(body[:n]))) + "\n"
	}, ts.Close
}

// Who logs in gets a session; who carries its cookie is known until they log
// out.
func ExampleManager() {
	user := session.NewKey[string]("user")
	manager := &session.Manager{
		Store:      &memory.Store{IdleTimeout: time.Hour},
		Propagator: &cookie.Propagator{Insecure: true}, // for the example's plain http
	}
	server := mist.InitHTTPServer()
	server.POST("/login", func(ctx *mist.Context) {
		s, err := manager.InitSession(ctx)
		if err == nil {
			err = user.Set(ctx.Request.Context(), s, "alice")
		}
		ctx.RespData = fmt.Appendln(nil, "login:", err)
	})
	server.GET("/", func(ctx *mist.Context) {
		s, err := manager.GetSession(ctx)
		if errors.Is(err, session.ErrNotFound) {
			ctx.RespData = fmt.Appendln(nil, "nobody")
			return
		}
		name, _, err := user.Get(ctx.Request.Context(), s)
		ctx.RespData = fmt.Appendln(nil, name, err)
	})
	server.POST("/logout", func(ctx *mist.Context) {
		ctx.RespData = fmt.Appendln(nil, "logout:", manager.RemoveSession(ctx))
	})

	request, stop := newBrowser(server)
	defer stop()
	fmt.Print(request("GET", "/"))
	fmt.Print(request("POST", "/login"))
	fmt.Print(request("GET", "/"))
	fmt.Print(request("POST", "/logout"))
	fmt.Print(request("GET", "/"))
	// Output:
	// 200 nobody
	// 200 login: <nil>
	// 200 alice <nil>
	// 200 logout: <nil>
	// 200 nobody
}

// What is misconfigured is found at start-up.
func ExampleManager_Check() {
	manager := &session.Manager{
		Store:      &memory.Store{IdleTimeout: 2 * time.Hour, AbsoluteTimeout: time.Hour},
		Propagator: &cookie.Propagator{},
	}
	fmt.Println(manager.Check())
	// Output: memory: IdleTimeout 2h0m0s is above AbsoluteTimeout 1h0m0s
}

// A visitor's cart goes on in the session of the user, which has an id of its own. What
// belongs to the login is stored in the same step.
func ExampleManager_LoginWith() {
	manager := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Insecure: true}}
	var ids []string
	server := mist.InitHTTPServer()
	server.POST("/cart", func(ctx *mist.Context) {
		s, err := manager.InitSession(ctx)
		if err == nil {
			ids = append(ids, s.ID())
			err = cartKey.Set(ctx.Request.Context(), s, cart{Items: []string{"tea"}})
		}
		ctx.RespData = fmt.Appendln(nil, "cart:", err)
	})
	server.POST("/login", func(ctx *mist.Context) { // after the password was checked
		s, err := manager.LoginWith(ctx, session.Login{User: "alice", Values: map[string]any{"theme": "dark"}})
		if err == nil {
			ids = append(ids, s.ID())
		}
		ctx.RespData = fmt.Appendln(nil, "login:", err)
	})
	server.GET("/", func(ctx *mist.Context) {
		s, err := manager.GetSession(ctx)
		if err != nil {
			return
		}
		c, _, _ := cartKey.Get(ctx.Request.Context(), s)
		theme, _ := s.Get(ctx.Request.Context(), "theme")
		ctx.RespData = fmt.Appendln(nil, c.Items, theme)
	})

	request, stop := newBrowser(server)
	defer stop()
	fmt.Print(request("POST", "/cart"))
	fmt.Print(request("POST", "/login"))
	fmt.Print(request("GET", "/"))
	fmt.Println("the same id:", ids[0] == ids[1])
	// Output:
	// 200 cart: <nil>
	// 200 login: <nil>
	// 200 [tea] dark
	// the same id: false
}

// Reading does not prolong a session; whoever is active stays logged in because
// a middleware of the application says so.
func ExampleManager_RefreshSession() {
	manager := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Insecure: true}}
	active := func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			err := manager.RefreshSession(ctx)
			fmt.Println("nobody is logged in:", errors.Is(err, session.ErrNotFound))
			next(ctx)
		}
	}
	server := mist.InitHTTPServer()
	server.Use(manager.Middleware(), active)
	server.GET("/", func(ctx *mist.Context) { ctx.RespData = fmt.Appendln(nil, "page") })

	request, stop := newBrowser(server)
	defer stop()
	fmt.Print(request("GET", "/"))
	// Output:
	// nobody is logged in: true
	// 200 page
}

// Rotation renews the token. Requests that are under way with the old one go on.
func ExampleManager_RotateSession() {
	manager := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Insecure: true}}
	var ids []string
	server := mist.InitHTTPServer()
	server.POST("/login", func(ctx *mist.Context) {
		s, _ := manager.InitSession(ctx)
		ids = append(ids, s.ID())
	})
	server.POST("/renew", func(ctx *mist.Context) {
		ctx.RespData = fmt.Appendln(nil, "renew:", manager.RotateSession(ctx))
		s, _ := manager.GetSession(ctx)
		ids = append(ids, s.ID())
	})
	request, stop := newBrowser(server)
	defer stop()
	request("POST", "/login")
	fmt.Print(request("POST", "/renew"))
	fmt.Println("the same session:", ids[0] == ids[1])
	// Output:
	// 200 renew: <nil>
	// the same session: true
}

// RequireSession guards a route; Middleware lets code without a mist context
// find the session.
func ExampleManager_RequireSession() {
	manager := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Insecure: true}}
	deepInside := func(ctx context.Context) string {
		s, err := session.FromContext(ctx)
		if err != nil {
			return err.Error()
		}
		theme, _ := s.Get(ctx, "theme")
		return fmt.Sprint(theme)
	}
	server := mist.InitHTTPServer()
	server.Use(manager.Middleware())
	server.POST("/login", func(ctx *mist.Context) {
		s, err := manager.InitSession(ctx)
		if err == nil {
			err = s.Set(ctx.Request.Context(), "theme", "dark")
		}
		ctx.RespData = fmt.Appendln(nil, err)
	})
	server.GET("/", func(ctx *mist.Context) {
		ctx.RespData = fmt.Appendln(nil, deepInside(ctx.Request.Context()))
	}, manager.RequireSession())

	request, stop := newBrowser(server)
	defer stop()
	fmt.Print(request("GET", "/"))
	fmt.Print(request("POST", "/login"))
	fmt.Print(request("GET", "/"))
	// Output:
	// 401
	// 200 <nil>
	// 200 dark
}

// cart is a value of a type of the application's own.
type cart struct {
	Items []string
}

// A Key is made once, as a package-level variable.
var cartKey = session.NewKey[cart]("cart")

func ExampleKey() {
	ctx := context.Background()
	s, _ := new(memory.Store).Generate(ctx, "id")

	_, ok, err := cartKey.Get(ctx, s)
	fmt.Println(ok, err)

	err = cartKey.Update(ctx, s, func(c cart) (cart, error) {
		c.Items = append(c.Items, "tea")
		return c, nil
	})
	fmt.Println(err)

	c, ok, err := cartKey.Get(ctx, s)
	fmt.Println(c.Items, ok, err)
	// Output:
	// false <nil>
	// <nil>
	// [tea] true <nil>
}

// A counter that many requests raise at once loses nothing.
func ExampleUpdate() {
	ctx := context.Background()
	s, _ := new(memory.Store).Generate(ctx, "id")
	raise := func(old any) (any, error) {
		n, _ := old.(int) // nil at first
		return n + 1, nil
	}
	fmt.Println(session.Update(ctx, s, "visits", raise), session.Update(ctx, s, "visits", raise))
	fmt.Println(s.Get(ctx, "visits"))
	// Output:
	// <nil> <nil>
	// 2 <nil>
}

// A flash message is shown by exactly one request.
func ExamplePop() {
	ctx := context.Background()
	s, _ := new(memory.Store).Generate(ctx, "id")
	_ = s.Set(ctx, "flash", "saved")
	fmt.Println(session.Pop(ctx, s, "flash"))
	fmt.Println(session.Pop(ctx, s, "flash"))
	// Output:
	// saved <nil>
	// <nil> <nil>
}

func ExampleSetAll() {
	ctx := context.Background()
	s, _ := new(memory.Store).Generate(ctx, "id")
	err := session.SetAll(ctx, s, map[string]any{"theme": "dark", "callback": func() {}})
	fmt.Println("a function cannot be kept:", errors.Is(err, session.ErrValue))
	fmt.Println(s.Get(ctx, "theme")) // all or nothing
	// Output:
	// a function cannot be kept: true
	// <nil> <nil>
}

func ExampleAll() {
	ctx := context.Background()
	s, _ := new(memory.Store).Generate(ctx, "id")
	_ = session.SetAll(ctx, s, map[string]any{"a": 1, "b": 2})
	_ = session.Delete(ctx, s, "a")
	all, err := session.All(ctx, s)
	if err != nil {
		fmt.Println(err) // the store has no Ranger
		return
	}
	for key, value := range all {
		fmt.Println(key, value)
	}
	fmt.Println(session.Clear(ctx, s))
	// Output:
	// b 2
	// <nil>
}

func ExampleDescribe() {
	ctx := context.Background()
	s, _ := new(memory.Store).Generate(ctx, "id")
	info, err := session.Describe(s)
	fmt.Println(info.ID, info.AbsoluteDeadline.Sub(info.CreatedAt), err)
	// Output: id 12h0m0s <nil>
}

// The token is what a client carries: a secret, for the response and nowhere
// else. The id is a handle.
func ExampleToken() {
	s, _ := new(memory.Store).Generate(context.Background(), "id")
	fmt.Println(s.ID(), len(session.Token(s)))
	// Output: id 29
}
