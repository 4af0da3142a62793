package redis_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/redis"
)

// A chaosSite is a mist server over HTTP.
type chaosSite struct {
	*httptest.Server
	c       *chaos
	manager *session.Manager
}

// A chaosPage is what the site answers to who is logged in.
type chaosPage struct {
	Marker string            // of the session, from its login
	Began  time.Duration     // when the site turned to the store with what was asked for
	Result string            // of a counter, or what was popped
	Values map[string]string // all others
}

func newChaosSite(c *chaos) *chaosSite {
	s := &chaosSite{c: c, manager: &session.Manager{
		Store: &redis.Store{
			Client: c.client, OpTimeout: 500 * time.Millisecond,
			// Equal: each refresh has to be capped, and nothing expires in the run.
			IdleTimeout: chaosAbsolute(), AbsoluteTimeout: chaosAbsolute(),
		},
		Propagator:  &cookie.Propagator{Insecure: true},
		NewID:       c.model.newID,
		RotateGrace: chaosGrace,
	}}
	server := mist.InitHTTPServer()
	server.Use(s.manager.Middleware())
	server.POST("/login", s.login)
	server.GET("/look", s.look)
	for path, op := range map[string]func(context.Context, *mist.Context, session.Session, *chaosPage) error{
		"/read":    s.read,
		"/write":   s.write,
		"/pair":    s.pair,
		"/drop":    s.drop,
		"/count":   s.count,
		"/pop":     s.pop,
		"/refresh": s.refresh,
		"/rotate":  s.rotate,
		"/logout":  s.logout,
	} {
		server.POST(path, s.page(op), s.manager.RequireSession())
	}
	s.Server = httptest.NewUnstartedServer(server)
	s.Config.ErrorLog = log.New(io.MultiWriter(&chaosLog, chaosComplaints{c}), "", 0)
	return s
}

func (s *chaosSite) close() {
	s.Client().CloseIdleConnections()
	s.Close()
}

// chaosAbsolute is longer than the run.
func chaosAbsolute() time.Duration { return *chaosFor + 10*time.Minute }

// page answers 200; 410 where the session ended meanwhile; 503 where that could
// not be found out. Without a session RequireSession answers, without a body.
func (s *chaosSite) page(op func(context.Context, *mist.Context, session.Session, *chaosPage) error) mist.HandleFunc {
	return func(ctx *mist.Context) {
		reqctx := ctx.Request.Context()
		opened, err := s.manager.GetSession(ctx)
		if err != nil {
			s.c.violate(7, "behind RequireSession: %v", err)
			return
		}
		if wait, _ := strconv.Atoi(ctx.Request.URL.Query().Get("wait")); wait > 0 {
			time.Sleep(time.Duration(wait) * time.Millisecond)
		}
		var p chaosPage
		p.mark(reqctx, opened)
		p.Began = s.c.now()
		s.answer(ctx, &p, op(reqctx, ctx, opened, &p))
	}
}

func (s *chaosSite) answer(ctx *mist.Context, p *chaosPage, err error) {
	ctx.RespStatusCode = http.StatusOK
	if err != nil {
		log.New(&chaosLog, "", 0).Print(err)
		slog.New(slog.NewTextHandler(&chaosLog, nil)).Error("page", "err", err, "detail", fmt.Sprintf("%+v", err))
		ctx.RespStatusCode = http.StatusServiceUnavailable
		if errors.Is(err, session.ErrNotFound) {
			ctx.RespStatusCode = http.StatusGone
		}
	}
	ctx.RespData, _ = json.Marshal(p)
}

// mark reads who the session is of.
func (p *chaosPage) mark(ctx context.Context, s session.Session) {
	v, err := s.Get(ctx, "marker")
	if p.Marker, _ = v.(string); p.Marker == "" {
		p.Marker = fmt.Sprint("no marker: ", err)
	}
}

func (s *chaosSite) login(ctx *mist.Context) {
	var p chaosPage
	made, err := s.manager.InitSession(ctx)
	if err == nil {
		p.Marker = ctx.Request.URL.Query().Get("marker")
		err = session.SetAll(ctx.Request.Context(), made, map[string]any{"marker": p.Marker, "since": time.Now()})
	}
	if err != nil {
		ctx.ResponseWriter.Header().Del("Set-Cookie") // what the client has may still be good
	}
	s.answer(ctx, &p, err)
}

// look is a page for everybody, and finds the session through the context.
func (s *chaosSite) look(ctx *mist.Context) {
	reqctx := ctx.Request.Context()
	opened, err := session.FromContext(reqctx)
	switch {
	case errors.Is(err, session.ErrNotFound):
		ctx.RespStatusCode = http.StatusUnauthorized
	case err != nil:
		ctx.RespStatusCode = http.StatusServiceUnavailable
	default:
		p := chaosPage{Began: s.c.now()}
		p.mark(reqctx, opened)
		s.answer(ctx, &p, s.read(reqctx, ctx, opened, &p))
	}
}

// chaosValue is what number n is stored as; some are large.
func chaosValue(n int64) string {
	v := strconv.FormatInt(n, 10)
	if n%9 == 0 {
		v += strings.Repeat("/"+v, 300)
	}
	return v
}

// chaosNumber is the number that a value stands for.
func chaosNumber(v any) string {
	if n, ok := v.(int64); ok { // a counter
		return strconv.FormatInt(n, 10)
	}
	text, _ := v.(string)
	number, _, _ := strings.Cut(text, "/")
	if n, err := strconv.ParseInt(number, 10, 64); err != nil || chaosValue(n) != text {
		return "damaged"
	}
	return number
}

func (*chaosSite) read(ctx context.Context, _ *mist.Context, s session.Session, p *chaosPage) error {
	p.Values = make(map[string]string)
	all, err := session.All(ctx, s)
	if err != nil {
		return err
	}
	for key, v := range all {
		p.Values[key] = chaosNumber(v)
	}
	delete(p.Values, "marker")
	delete(p.Values, "since")
	return ctx.Err() // All stops early
}

func (*chaosSite) write(ctx context.Context, mctx *mist.Context, s session.Session, _ *chaosPage) error {
	key, n := asked(mctx)
	return s.Set(ctx, key, chaosValue(n))
}

func (*chaosSite) pair(ctx context.Context, mctx *mist.Context, s session.Session, _ *chaosPage) error {
	_, n := asked(mctx)
	return session.SetAll(ctx, s, map[string]any{"left": chaosValue(n), "right": chaosValue(n)})
}

func (*chaosSite) drop(ctx context.Context, mctx *mist.Context, s session.Session, _ *chaosPage) error {
	key, _ := asked(mctx)
	return session.Delete(ctx, s, key)
}

func (*chaosSite) count(ctx context.Context, mctx *mist.Context, s session.Session, p *chaosPage) error {
	key, _ := asked(mctx)
	return session.Update(ctx, s, key, func(old any) (any, error) {
		n, _ := old.(int64)
		p.Result = strconv.FormatInt(n+1, 10)
		return n + 1, nil
	})
}

func (*chaosSite) pop(ctx context.Context, mctx *mist.Context, s session.Session, p *chaosPage) error {
	key, _ := asked(mctx)
	v, err := session.Pop(ctx, s, key)
	if v != nil {
		p.Result = chaosNumber(v)
	}
	return err
}

func (s *chaosSite) refresh(_ context.Context, mctx *mist.Context, _ session.Session, _ *chaosPage) error {
	return s.manager.RefreshSession(mctx)
}

func (s *chaosSite) rotate(_ context.Context, mctx *mist.Context, _ session.Session, _ *chaosPage) error {
	return s.manager.RotateSession(mctx)
}

func (s *chaosSite) logout(_ context.Context, mctx *mist.Context, _ session.Session, _ *chaosPage) error {
	return s.manager.RemoveSession(mctx)
}

func asked(ctx *mist.Context) (key string, n int64) {
	query := ctx.Request.URL.Query()
	n, _ = strconv.ParseInt(query.Get("n"), 10, 64)
	return query.Get("key"), n
}

// complaints are what net/http says about the site: a panic, or a header that
// was written twice.
type chaosComplaints struct{ c *chaos }

func (c chaosComplaints) Write(p []byte) (int, error) {
	c.c.violate(8, "net/http complains, %d bytes", len(p))
	return len(p), nil
}
