package peers_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/redisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"github.com/dormoron/mist"
	mistsession "github.com/dormoron/mist/session"
	mistmemory "github.com/dormoron/mist/session/memory"
	mistredis "github.com/dormoron/mist/session/redis"
	"github.com/gofiber/fiber/v3"
	fibersession "github.com/gofiber/fiber/v3/middleware/session"
	fiberredis "github.com/gofiber/storage/redis/v3"
	redigo "github.com/gomodule/redigo/redis"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
	gorillamemory "github.com/quasoft/memstore"
	gorillaredis "github.com/rbcervilla/redisstore/v9"
	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/redis"
)

// onMemory returns all libraries with their stores in memory, each set up as its
// documentation shows.
func onMemory() []func(tb testing.TB) *peer {
	return []func(tb testing.TB) *peer{
		func(testing.TB) *peer { return ours("this module", &memory.Store{}, false) },
		func(testing.TB) *peer { return ours("this module, with its Middleware", &memory.Store{}, true) },
		// Its sweeper, which would run once a minute, cannot be stopped without a data race.
		func(testing.TB) *peer { return scsPeer("scs", memstore.NewWithCleanupInterval(0)) },
		func(testing.TB) *peer {
			return gorillaPeer("gorilla/sessions, memstore", gorillamemory.NewMemStore(securecookie.GenerateRandomKey(32)))
		},
		func(testing.TB) *peer { return fiberPeer("fiber", fibersession.Config{}) },
		func(tb testing.TB) *peer {
			tb.Helper()
			st, err := mistmemory.NewStore()
			must(tb, err)
			return mistPeer(tb, "mist/session", st)
		},
	}
}

// onRedis returns all libraries with their stores on a Redis server.
func onRedis(address string) []func(tb testing.TB) *peer {
	connect := func() *goredis.Client { return goredis.NewClient(&goredis.Options{Addr: address}) }
	this := func(name string, middleware bool) func(tb testing.TB) *peer {
		return func(tb testing.TB) *peer {
			tb.Helper()
			client, err := redis.NewClient("redis://" + address)
			must(tb, err)
			return closing(ours(name, &redis.Store{Client: client}, middleware), client.Close)
		}
	}
	return []func(tb testing.TB) *peer{
		this("this module", false),
		this("this module, with its Middleware", true),
		func(testing.TB) *peer {
			client := connect()
			return closing(scsPeer("scs, goredisstore", goredisstore.New(client)), client.Close)
		},
		func(testing.TB) *peer {
			pool := &redigo.Pool{MaxIdle: 10, DialContext: func(ctx context.Context) (redigo.Conn, error) {
				return redigo.DialContext(ctx, "tcp", address)
			}}
			return closing(scsPeer("scs, redisstore (redigo)", redisstore.New(pool)), pool.Close)
		},
		func(tb testing.TB) *peer {
			tb.Helper()
			st, err := gorillaredis.NewRedisStore(tb.Context(), connect())
			must(tb, err)
			return closing(gorillaPeer("gorilla/sessions, redisstore", st), st.Close)
		},
		func(testing.TB) *peer {
			return fiberPeer("fiber", fibersession.Config{Storage: fiberredis.NewFromConnection(connect())})
		},
		func(tb testing.TB) *peer {
			tb.Helper()
			client := connect()
			client.AddHook(patched{})
			st := mistredis.InitStore(client, mistredis.StoreWithExpiration(30*time.Minute), mistredis.StoreWithPrefix("mist:sess:"))
			return closing(mistPeer(tb, "mist/session", st), client.Close)
		},
	}
}

// closing adds to what ends a peer.
func closing(p *peer, f func() error) *peer {
	p.closers = append(p.closers, f)
	return p
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func ours(name string, st session.Store, middleware bool) *peer {
	m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
	var users atomic.Int64
	var use []mist.Middleware
	if middleware {
		use = append(use, m.Middleware())
	}
	return onMist(&peer{name: name}, library[*mist.Context]{
		start: func(c *mist.Context, values map[string]any) error {
			s, err := m.InitSession(c)
			if err != nil {
				return err
			}
			return session.SetAll(c.Request.Context(), s, values)
		},
		read: func(c *mist.Context, key string) (any, error) {
			s, err := m.GetSession(c)
			if errors.Is(err, session.ErrNotFound) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			return s.Get(c.Request.Context(), key)
		},
		write: func(c *mist.Context, key string, v any) error {
			s, err := m.GetSession(c)
			if err != nil {
				return err
			}
			if _, err := s.Get(c.Request.Context(), "user"); err != nil {
				return err
			}
			return s.Set(c.Request.Context(), key, v)
		},
		login: func(c *mist.Context, values map[string]any) error {
			_, err := m.LoginWith(c, session.Login{User: strconv.FormatInt(users.Add(1), 10), Values: values})
			return err
		},
		logout: m.RemoveSession,
	}, use...)
}

func scsPeer(name string, st scs.Store) *peer {
	m := scs.New()
	m.Store = st
	put := func(c call, values map[string]any) {
		for key, v := range values {
			m.Put(c.r.Context(), key, v)
		}
	}
	return onNetHTTP(&peer{name: name}, library[call]{
		start: func(c call, values map[string]any) error {
			put(c, values)
			return nil
		},
		read: func(c call, key string) (any, error) { return m.Get(c.r.Context(), key), nil },
		write: func(c call, key string, v any) error {
			m.GetString(c.r.Context(), "user")
			m.Put(c.r.Context(), key, v)
			return nil
		},
		login: func(c call, values map[string]any) error {
			err := m.RenewToken(c.r.Context())
			put(c, values)
			return err
		},
		logout: func(c call) error { return m.Destroy(c.r.Context()) },
	}, m.LoadAndSave)
}

// gorillaPeer has no middleware. The library has no call for a new id either: login ends the
// session and begins another.
func gorillaPeer(name string, st sessions.Store) *peer {
	const cookie = "session-name"
	save := func(c call, s *sessions.Session, values map[string]any) error {
		for key, v := range values {
			s.Values[key] = v
		}
		return s.Save(c.r, c.w)
	}
	end := func(c call, s *sessions.Session) error {
		s.Options.MaxAge = -1
		return s.Save(c.r, c.w)
	}
	return onNetHTTP(&peer{name: name}, library[call]{
		start: func(c call, values map[string]any) error {
			s, err := st.Get(c.r, cookie)
			if err != nil {
				return err
			}
			return save(c, s, values)
		},
		read: func(c call, key string) (any, error) {
			s, err := st.Get(c.r, cookie)
			if err != nil {
				return nil, err
			}
			return s.Values[key], nil
		},
		write: func(c call, key string, v any) error {
			s, err := st.Get(c.r, cookie)
			if err != nil {
				return err
			}
			if s.Values["user"] == nil {
				return errors.New("no user")
			}
			s.Values[key] = v
			return s.Save(c.r, c.w)
		},
		login: func(c call, values map[string]any) error {
			s, err := st.Get(c.r, cookie)
			if err != nil {
				return err
			}
			age := s.Options.MaxAge
			if err := end(c, s); err != nil {
				return err
			}
			s.ID, s.Options.MaxAge = "", age
			return save(c, s, values)
		},
		logout: func(c call) error {
			s, err := st.Get(c.r, cookie)
			if err != nil {
				return err
			}
			return end(c, s)
		},
	}, func(site http.Handler) http.Handler { return site })
}

func fiberPeer(name string, config fibersession.Config) *peer {
	middleware, st := fibersession.NewWithStore(config)
	set := func(c fiber.Ctx, values map[string]any) {
		s := fibersession.FromContext(c)
		for key, v := range values {
			s.Set(key, v)
		}
	}
	p := onFiber(&peer{name: name}, library[fiber.Ctx]{
		start: func(c fiber.Ctx, values map[string]any) error {
			set(c, values)
			return nil
		},
		read: func(c fiber.Ctx, key string) (any, error) { return fibersession.FromContext(c).Get(key), nil },
		write: func(c fiber.Ctx, key string, v any) error {
			s := fibersession.FromContext(c)
			if s.Get("user") == nil {
				return errors.New("no user")
			}
			s.Set(key, v)
			return nil
		},
		login: func(c fiber.Ctx, values map[string]any) error {
			err := fibersession.FromContext(c).Regenerate()
			set(c, values)
			return err
		},
		logout: func(c fiber.Ctx) error { return fibersession.FromContext(c).Destroy() },
	}, middleware)
	return closing(p, st.Storage.Close)
}

// mistPeer is the package that mist ships, and a middleware: without that a later request gets the
// session, from ctx.UserValues, even one of another package. The documentation calls Save after
// Set; here nothing does, because on Redis that deletes the session. Login ends the session
// that the browser has, which the documentation leaves out.
func mistPeer(tb testing.TB, name string, st mistsession.Store) *peer {
	tb.Helper()
	m, err := mistsession.NewManager(st, 1800)
	must(tb, err)
	must(tb, m.EnableAutoGC(10*time.Minute))
	set := func(c *mist.Context, s mistsession.Session, values map[string]any) error {
		for key, v := range values {
			if err := s.Set(c.Request.Context(), key, v); err != nil {
				return err
			}
		}
		return nil
	}
	begin := func(c *mist.Context, values map[string]any) error {
		s, err := m.InitSession(c)
		if err != nil {
			return err
		}
		return set(c, s, values)
	}
	p := onMist(&peer{name: name}, library[*mist.Context]{
		start: begin,
		read: func(c *mist.Context, key string) (any, error) {
			if s, err := m.GetSession(c); err == nil { // no error of it says why
				return s.Get(c.Request.Context(), key)
			}
			return nil, nil
		},
		write: func(c *mist.Context, key string, v any) error {
			s, err := m.GetSession(c)
			if err != nil {
				return err
			}
			if _, err := s.Get(c.Request.Context(), "user"); err != nil {
				return err
			}
			return s.Set(c.Request.Context(), key, v)
		},
		login: func(c *mist.Context, values map[string]any) error {
			if err := m.RemoveSession(c); err != nil {
				return err
			}
			return begin(c, values)
		},
		logout: m.RemoveSession,
	}, func(next mist.HandleFunc) mist.HandleFunc {
		return func(c *mist.Context) {
			next(c)
			clear(c.UserValues)
		}
	})
	return closing(p, m.DisableAutoGC)
}

// patched mends the script of mist's store on Redis, which calls a function that does not
// exist.
type patched struct{}

func (patched) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (patched) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (patched) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if args := cmd.Args(); args[0] == "eval" {
			if script, ok := args[1].(string); ok {
				args[1] = strings.ReplaceAll(script, "redisess.call", "redis.call")
			}
		}
		return next(ctx, cmd)
	}
}
