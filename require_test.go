package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
)

func TestRequireSession(t *testing.T) {
	type answer struct {
		status int
		next   bool
		calls  string
	}
	for _, test := range []struct {
		name   string
		cookie string // empty: alice's
		broken bool
		want   answer
	}{
		{"somebody", "", false, answer{http.StatusOK, true, "extract Open"}},
		{"nobody", "none", false, answer{http.StatusUnauthorized, false, "extract"}},
		{"malformed", "a.b", false, answer{http.StatusUnauthorized, false, "extract"}},
		{"unknown", "x.ABCDEFGHIJKLMNOPQRSTUVWXYZ", false, answer{http.StatusUnauthorized, false, "extract Open"}},
		{"the store is down", "", true, answer{http.StatusServiceUnavailable, false, "extract Open"}},
		{"the store is down for nobody", "none", true, answer{http.StatusUnauthorized, false, "extract"}},
	} {
		for _, around := range []string{"without Middleware", "inside", "outside"} {
			for _, custom := range []bool{false, true} {
				t.Run(test.name+"/"+around, func(t *testing.T) {
					m, rec := webtest.Spied()
					b := &webtest.Browser{}
					b.Login(t, m, "alice")
					rec.Take()
					switch test.cookie {
					case "":
					case "none":
						b.Cookies = nil
					default:
						b.Cookies[webtest.CookieName] = test.cookie
					}
					if test.broken {
						rec.Fail(webtest.Fault{Op: "Open", After: false, Err: &webtest.OutageError{}})
					}
					want := test.want
					if custom {
						m.ErrorHandler = func(ctx *mist.Context, err error) {
							if got := errors.Is(err, session.ErrNotFound); got != (want.status == http.StatusUnauthorized) {
								t.Errorf("ErrorHandler got %v", err)
							}
							ctx.ResponseWriter.WriteHeader(http.StatusTeapot)
						}
					}
					chain := []mist.Middleware{m.RequireSession()}
					switch around {
					case "inside":
						chain = []mist.Middleware{m.Middleware(), m.RequireSession()}
					case "outside":
						chain = append(chain, m.Middleware())
					}
					got := answer{}
					resp := b.Answer(t.Context(), webtest.Wrap(func(ctx *mist.Context) {
						got.next = true
						if name, err := webtest.NameOf(ctx, m); name != "alice" || err != nil {
							t.Errorf("got %q, %v", name, err)
						}
					}, chain...))
					got.status, got.calls = resp.StatusCode, rec.Take()
					if custom && !want.next {
						want.status = http.StatusTeapot
					}
					if got != want {
						t.Errorf("custom=%t: got %+v, want %+v", custom, got, want)
					}
					if got := webtest.HeaderNames(resp.Header); got != nil {
						t.Errorf("custom=%t: got header fields %q, want none", custom, got)
					}
				})
			}
		}
	}

	t.Run("an unusable Manager lets nobody through", func(t *testing.T) {
		for name, m := range map[string]*session.Manager{"nil": nil, "zero": {}} {
			rec := httptest.NewRecorder()
			ctx := &mist.Context{Request: (&webtest.Browser{}).Request(t.Context()), ResponseWriter: rec}
			m.RequireSession()(func(*mist.Context) { t.Errorf("%s: let through", name) })(ctx)
			if got, want := rec.Code, http.StatusServiceUnavailable; got != want {
				t.Errorf("%s: got status %d, want %d", name, got, want)
			}
		}
	})
}
