package redis_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/redis"
)

// An app is a mist server with sessions, over a client that a fault comes over.
type app struct {
	store   *redis.Store
	truth   *redis.Store // the same sessions, past all faults
	client  goredis.UniversalClient
	admin   goredis.UniversalClient
	wire    *tripwire
	manager *session.Manager
	site    *httptest.Server
	told    chan told
}

// told is what a handler was told, and how long that took.
type told struct {
	err  error
	took time.Duration
}

// newApp starts a server with the page of a flow.
func newApp(t *testing.T, w *world, client goredis.UniversalClient, f *fault, fl *flow) *app {
	t.Helper()
	a := &app{
		store:  &redis.Store{Client: client, Prefix: w.prefix, OpTimeout: f.opTimeout},
		truth:  &redis.Store{Client: w.admin, Prefix: w.prefix, OpTimeout: time.Minute},
		client: client,
		admin:  w.admin,
		wire:   &tripwire{prefix: w.prefix, left: -1},
		told:   make(chan told, 64),
	}
	if a.store.OpTimeout == 0 {
		a.store.OpTimeout = time.Minute
	}
	// With a lifetime, so that RefreshSession has more to do.
	a.manager = &session.Manager{Store: a.store, Propagator: &cookie.Propagator{Insecure: true, MaxAge: time.Hour}}
	client.AddHook(a.wire)
	server := mist.InitHTTPServer()
	server.Use(a.manager.Middleware())
	page := func(ctx *mist.Context) {
		began := time.Now()
		err := fl.call(a, ctx)
		a.told <- told{err, time.Since(began)}
		ctx.RespStatusCode = statusOf(err)
	}
	around := func(next mist.HandleFunc) mist.HandleFunc {
		return func(ctx *mist.Context) {
			if f.around != nil {
				c, cancel := f.around(ctx.Request.Context())
				defer cancel()
				ctx.Request = ctx.Request.WithContext(c)
			}
			next(ctx)
		}
	}
	if fl.required {
		server.GET("/flow", func(ctx *mist.Context) { ctx.RespStatusCode = http.StatusOK }, around, a.manager.RequireSession())
	} else {
		server.GET("/flow", page, around)
	}
	server.GET("/who", func(ctx *mist.Context) {
		_, err := a.manager.GetSession(ctx)
		ctx.RespStatusCode = statusOf(err)
	})
	a.site = httptest.NewServer(server)
	t.Cleanup(a.site.Close)
	return a
}

// statusOf is the answer to a request that ended so.
func statusOf(err error) int {
	switch {
	case err == nil:
		return http.StatusOK
	case errors.Is(err, session.ErrNotFound):
		return http.StatusUnauthorized
	}
	return http.StatusServiceUnavailable
}

// get asks the site for a page, with a token or without.
func (a *app) get(ctx context.Context, page, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.site.URL+page, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.AddCookie(&http.Cookie{Name: "session", Value: token})
	}
	resp, err := a.site.Client().Do(req)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// clientToken is the token of a request.
func (a *app) clientToken(ctx *mist.Context) string {
	c, err := ctx.Request.Cookie("session")
	if err != nil {
		return ""
	}
	return c.Value
}

// startValues are the values of a session at the start of a flow.
func startValues() map[string]any {
	return map[string]any{"name": "alice", "count": int64(1), "flash": "once", "old": true}
}

// login makes a session past all faults and returns its token.
func (a *app) login(t *testing.T, id string) string {
	t.Helper()
	s, err := a.truth.Generate(t.Context(), id)
	if err == nil {
		err = session.SetAll(t.Context(), s, startValues())
	}
	if err != nil {
		t.Fatalf("login: %v", err)
	}
	return session.Token(s)
}

// values are those of a token's session, past all faults.
func (a *app) values(t *testing.T, token string) (map[string]any, error) {
	t.Helper()
	s, err := a.truth.Open(t.Context(), token)
	if err != nil {
		return nil, err
	}
	all, err := session.All(t.Context(), s)
	if err != nil {
		return nil, err
	}
	return maps.Collect(all), nil
}

// records returns how many sessions the store holds. Each must have a time at
// which it ends, and was rotated once at most. What a login has taken is none, and
// soon gone.
func (a *app) records(t *testing.T) (n int) {
	t.Helper()
	var keys []string
	var mu sync.Mutex
	list := func(ctx context.Context, c *goredis.Client) error {
		found, err := c.Keys(ctx, a.truth.Prefix+"*").Result()
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, found...)
		return err
	}
	var err error
	switch c := a.admin.(type) {
	case *goredis.Client:
		err = list(t.Context(), c)
	case *goredis.ClusterClient:
		err = c.ForEachMaster(t.Context(), list)
	}
	if err != nil {
		t.Fatalf("KEYS: %v", err)
	}
	for _, key := range keys {
		ttl, err := a.admin.PTTL(t.Context(), key).Result()
		kind := a.admin.Type(t.Context(), key).Val()
		if ttl == -2 || kind == "none" {
			continue // a late logout was faster
		}
		taken := kind == "hash" && strings.HasPrefix(a.admin.HGet(t.Context(), key, "n").Val(), "t")
		longest := 30 * time.Minute
		if taken {
			longest = time.Minute
		}
		if err != nil || ttl <= 0 || ttl > longest {
			t.Errorf("a %s ends in %v (%v), want %v at most", kind, ttl, err, longest)
		}
		if taken || kind == "zset" { // an index
			continue
		}
		n++
		const oldSecret = 62 // see scripts/authenticate.lua
		if size, err := a.admin.Do(t.Context(), "hstrlen", key, "o").Int(); err != nil || size > oldSecret {
			t.Errorf("a record has old tokens of %d bytes (%v)", size, err)
		}
	}
	return n
}

// backAgain waits until the site answers, and returns its answer. Until then it
// may only say that it does not know.
func (a *app) backAgain(t *testing.T, token string) int {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		resp, err := a.get(t.Context(), "/who", token)
		if err != nil {
			t.Fatalf("/who: %v", err)
		}
		if got := resp.Header["Set-Cookie"]; got != nil {
			t.Error("a page that only reads sets a cookie")
		}
		if resp.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return resp.StatusCode
		}
	}
}
