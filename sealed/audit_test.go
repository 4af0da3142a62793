package sealed_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/sealed"
	"github.com/mist-contrib/session/sessionaudit"
)

// A stall is a small application with a cart for strangers. Each of its responses to a
// visitor with a session changes the cookie.
type stall struct{ sessions *session.Manager }

func newStall(store session.Store, middleware bool) http.Handler {
	s := stall{&session.Manager{Store: store, Propagator: &cookie.Propagator{}}}
	server := mist.InitHTTPServer()
	if middleware {
		server.Use(s.sessions.Middleware())
	}
	server.Use(s.prolong, sameOrigin)
	server.POST("/login", s.login)
	server.POST("/logout", s.logout)
	server.POST("/cart", s.cart)
	server.GET("/account", s.account)
	server.POST("/account", s.account)
	server.GET("/renew", s.renew)
	return server
}

func (s stall) prolong(next mist.HandleFunc) mist.HandleFunc {
	return func(ctx *mist.Context) {
		if err := s.sessions.RefreshSession(ctx); err != nil && !errors.Is(err, session.ErrNotFound) {
			answer(ctx, "", err)
			return
		}
		next(ctx)
	}
}

func sameOrigin(next mist.HandleFunc) mist.HandleFunc {
	return func(ctx *mist.Context) {
		if err := http.NewCrossOriginProtection().Check(ctx.Request); err != nil {
			ctx.RespStatusCode = http.StatusForbidden
			return
		}
		next(ctx)
	}
}

func answer(ctx *mist.Context, text string, err error) {
	ctx.ResponseWriter.Header().Set("Cache-Control", "no-store")
	switch {
	case errors.Is(err, session.ErrNotFound):
		ctx.RespStatusCode, text = http.StatusUnauthorized, "log in first"
	case err != nil:
		ctx.RespStatusCode, text = http.StatusServiceUnavailable, "try again later"
	}
	ctx.RespData = []byte(text)
}

func (s stall) login(ctx *mist.Context) {
	_, err := s.sessions.Login(ctx, ctx.Request.PostFormValue("user"))
	answer(ctx, "logged in", err)
}

func (s stall) logout(ctx *mist.Context) { answer(ctx, "logged out", s.sessions.RemoveSession(ctx)) }

func (s stall) cart(ctx *mist.Context) {
	sess, err := s.sessions.GetSession(ctx)
	if errors.Is(err, session.ErrNotFound) {
		sess, err = s.sessions.InitSession(ctx)
	}
	if err == nil {
		err = sess.Set(ctx.Request.Context(), "cart", "apples")
	}
	answer(ctx, "in your cart", err)
}

func (s stall) account(ctx *mist.Context) {
	var info session.Info
	sess, err := s.sessions.GetSession(ctx)
	if err == nil {
		info, err = session.Describe(sess)
	}
	if err == nil && info.User == "" {
		err = session.ErrNotFound
	}
	answer(ctx, "Hello, "+info.User+"! Your session is "+info.ID, err)
}

// renew gives the session another seal.
func (s stall) renew(ctx *mist.Context) {
	answer(ctx, "renewed", s.sessions.RotateSession(ctx))
}

func shopper(i int) string { return [...]string{"ada", "grace"}[i] }

func describeStall() sessionaudit.App {
	return sessionaudit.App{
		Login: func(_ *sessionaudit.Browser, i int) *http.Request {
			return sessionaudit.Form("/login", "user", shopper(i))
		},
		Logout:    func(*sessionaudit.Browser) *http.Request { return sessionaudit.Form("/logout") },
		Anonymous: func(*sessionaudit.Browser) *http.Request { return sessionaudit.Form("/cart") },
		Private:   "/account",
		Marker:    func(i int) string { return "Hello, " + shopper(i) + "!" },
		Routes:    []string{"/renew"},
		Strict:    true,
	}
}

// TestAudit: with Revocations an application passes, without hardening.
func TestAudit(t *testing.T) {
	for name, middleware := range map[string]bool{"with the Middleware": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			var ended sealed.Revocations
			store := &sealed.Store{Keys: [][]byte{sealed.NewKey()}, Revoked: ended.Revoked, Revoke: ended.Revoke}
			sessionaudit.Run(t, newStall(store, middleware), describeStall())
		})
	}
}

const unrevoked = "SEALED_AUDIT_UNREVOKED"

// TestAuditUnrevoked: without Revoke the checks fail that the package says, and no other.
// The audit fails its test, so a process of its own runs it.
func TestAuditUnrevoked(t *testing.T) {
	if os.Getenv(unrevoked) != "" {
		sessionaudit.Run(t, newStall(&sealed.Store{Keys: [][]byte{sealed.NewKey()}}, true), describeStall())
		return
	}
	audit := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAuditUnrevoked$")
	audit.Env = append(os.Environ(), unrevoked+"=1")
	report, err := audit.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		t.Fatalf("got %v, want an audit that fails", err)
	}
	var got []string
	for line := range strings.Lines(string(report)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "failure: "); ok {
			got = append(got, name)
		}
	}
	want := []string{
		"a second login ends the identifier from before",
		"a login as another user leaves nothing of the first",
		"a logout ends the session",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got failures of %q, want %q\n%s", got, want, report)
	}
}
