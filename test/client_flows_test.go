package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/sealed"
)

type basket struct{ Items []string }

var basketKey = session.NewKey[basket]("basket")

// Values work within a request, and the next one has what the last left.
func TestClientValues(t *testing.T) {
	everyClientSite(t, nil, func(t *testing.T, s *clientSite) {
		c := s.visitor(t)
		s.holds(t, c, "nobody", nil)
		s.start(t, c, map[string]any{"a": 1, "b": "two"})
		s.holds(t, c, "new", map[string]any{"a": 1, "b": "two"})
		after := map[string]any{"b": "three", "c": 4, "d": true}
		resp := s.do(t, c, with(s.m, func(c context.Context, v session.Session) error {
			popped, err := session.Pop(c, v, "a")
			if popped != 1 {
				err = errors.Join(err, fmt.Errorf("Pop: got %v, want 1", popped))
			}
			return errors.Join(err,
				session.Update(c, v, "b", func(any) (any, error) { return "three", nil }),
				session.SetAll(c, v, map[string]any{"c": 4, "d": true, "e": 5}),
				session.Delete(c, v, "e", "f"),
				shows(c, "own writes", v, after))
		}))
		if n := given(resp); n != 1 {
			t.Errorf("writes gave the client %d lines, want 1", n)
		}
		s.holds(t, c, "written", after)
		s.holds(t, s.visitor(t), "somebody else", nil)
		s.do(t, c, with(s.m, session.Clear))
		s.holds(t, c, "cleared", map[string]any{})
		s.do(t, c, func(ctx *mist.Context) error { return s.m.RemoveSession(ctx) })
		s.holds(t, c, "removed", nil)
	})
}

// Typed keys and flash messages work across requests, a redirect between them.
func TestClientKeysAndFlashes(t *testing.T) {
	pears := basket{Items: []string{"pears", "tea"}}
	everyClientSite(t, nil, func(t *testing.T, s *clientSite) {
		c := s.visitor(t)
		s.start(t, c, nil)
		s.do(t, c, func(ctx *mist.Context) error {
			v, err := s.m.GetSession(ctx)
			if err != nil {
				return err
			}
			err = errors.Join(
				basketKey.Set(ctx.Request.Context(), v, pears),
				session.AddFlash(ctx.Request.Context(), v, "saved"),
				session.AddFlash(ctx.Request.Context(), v, "mailed"))
			ctx.Header("Location", "/do")
			ctx.RespStatusCode = http.StatusSeeOther
			return err
		})
		for _, want := range []string{"saved mailed", ""} {
			s.do(t, c, with(s.m, func(c context.Context, v session.Session) error {
				got, ok, err := basketKey.Get(c, v)
				messages, errF := session.Flashes(c, v)
				if all := strings.Join(messages, " "); all != want || !ok || fmt.Sprint(got) != fmt.Sprint(pears) {
					err = errors.Join(err, fmt.Errorf("got %v, %t and messages %q, want %q", got, ok, all, want))
				}
				return errors.Join(err, errF)
			}))
		}
	})
}

// FromContext finds the session behind the Middleware, also after somebody replaced the
// request, and it is that of GetSession.
func TestClientFromContext(t *testing.T) {
	everyClientSite(t, nil, func(t *testing.T, s *clientSite) {
		c := s.visitor(t)
		s.start(t, c, map[string]any{"a": 1})
		for _, first := range []bool{true, false} {
			s.do(t, c, func(ctx *mist.Context) error {
				replaced(ctx)
				v, err := session.FromContext(ctx.Request.Context())
				if !s.middleware {
					return is("FromContext without the Middleware", err, session.ErrNotFound)
				}
				if err != nil {
					return err
				}
				if first {
					err = v.Set(ctx.Request.Context(), "b", 2)
				}
				replaced(ctx)
				if same, errG := s.m.GetSession(ctx); same != v {
					err = errors.Join(err, errG, errors.New("GetSession: another object"))
				}
				return errors.Join(err, shows(ctx.Request.Context(), "FromContext", v, map[string]any{"a": 1, "b": 2}))
			})
		}
	})
}

// RequireCSRF lets a form and a script through that have the token, and nobody else.
func TestClientCSRF(t *testing.T) {
	everyClientSite(t, nil, func(t *testing.T, s *clientSite) {
		c := s.visitor(t)
		s.start(t, c, nil)
		var token string
		s.do(t, c, with(s.m, func(c context.Context, v session.Session) (err error) {
			token, err = session.CSRFToken(c, v)
			return err
		}))
		post := func(r *http.Request) { r.Method = http.MethodPost }
		for name, want := range map[string]struct {
			edit func(r *http.Request)
			ran  bool
		}{
			"header": {func(r *http.Request) { r.Header.Set(session.CSRFHeader, token) }, true},
			"form": {func(r *http.Request) {
				webtest.SetForm(r, webtest.FormType, url.Values{session.CSRFField: {token}}.Encode())
			}, true},
			"none":  {func(*http.Request) {}, !s.cookies}, // no browser sends a header by itself
			"wrong": {func(r *http.Request) { r.Header.Set(session.CSRFHeader, strings.Repeat("A", len(token))) }, !s.cookies},
			"cross-site": {func(r *http.Request) {
				r.Header.Set(session.CSRFHeader, token)
				r.Header.Set("Sec-Fetch-Site", "cross-site")
			}, !s.cookies},
		} {
			ran := false
			resp := s.do(t, c, func(ctx *mist.Context) error {
				s.m.RequireCSRF(nil)(func(*mist.Context) { ran = true })(ctx)
				return nil
			}, post, want.edit)
			if ran != want.ran || ran != (resp.StatusCode == http.StatusOK) {
				t.Errorf("%s: ran %t with status %d, want %t", name, ran, resp.StatusCode, want.ran)
			}
		}
	})
}

// A login keeps the cart, and its own timeouts; levels and guards see it.
func TestClientLogin(t *testing.T) {
	everyClientSite(t, nil, func(t *testing.T, s *clientSite) {
		c := s.visitor(t)
		s.start(t, c, map[string]any{"cart": "pears"})
		l := session.Login{
			User: "ada", Level: session.Authenticated, IdleTimeout: 14 * day, AbsoluteTimeout: 30 * day, Persistent: true,
			Values: map[string]any{"theme": "dark"},
		}
		kept := func(resp *http.Response, what string) {
			t.Helper()
			if n := given(resp); n != 1 {
				t.Errorf("%s gave the client %d lines, want 1", what, n)
			}
			for _, cookie := range resp.Cookies() {
				if age := time.Duration(cookie.MaxAge) * time.Second; age <= 29*day || age > 30*day {
					t.Errorf("%s: got Max-Age %v, want 30 days", what, age)
				}
			}
		}
		kept(s.do(t, c, func(ctx *mist.Context) error {
			before, err := s.m.GetSession(ctx)
			if err != nil {
				return err
			}
			after, err := s.m.LoginWith(ctx, l)
			if err != nil {
				return err
			}
			if now, err := s.m.GetSession(ctx); now != after || err != nil {
				return fmt.Errorf("GetSession after the login: another session, %w", err)
			}
			return is("a write to the anonymous session", before.Set(ctx.Request.Context(), "a", 1), session.ErrNotFound)
		}), "Login")
		kept(s.do(t, c, set(s.m, "n", 1)), "Set")
		s.holds(t, c, "logged in", map[string]any{"cart": "pears", "theme": "dark", "n": 1})
		var before session.Info
		s.do(t, c, with(s.m, func(_ context.Context, v session.Session) (err error) {
			before, err = session.Describe(v)
			if before.User != "ada" || !before.Persistent || before.IdleDeadline.Sub(before.LastSeen) != 14*day ||
				before.AbsoluteDeadline.Sub(before.AuthenticatedAt) != 30*day {
				err = errors.Join(err, errors.New("the session is not that of the login"))
			}
			return err
		}))
		kept(s.do(t, c, func(ctx *mist.Context) error {
			v, err := s.m.Reauthenticate(ctx, session.Authenticated+1)
			if err != nil {
				return err
			}
			after, err := session.Describe(v)
			if after.ID != before.ID || !after.AuthenticatedAt.After(before.AuthenticatedAt) || after.Level != session.Authenticated+1 {
				err = errors.Join(err, errors.New("Reauthenticate: not the same session, later and higher"))
			}
			return err
		}), "Reauthenticate")
		for name, guard := range map[string]struct {
			mist.Middleware
			user, nobody int
		}{
			"RequireSession":          {s.m.RequireSession(), 200, 401},
			"RequireLevel":            {s.m.RequireLevel(session.Authenticated + 1), 200, 401},
			"RequireLevel, a higher":  {s.m.RequireLevel(session.Authenticated + 2), 403, 401},
			"RequireFresh":            {s.m.RequireFresh(time.Hour), 200, 401},
			"RequireFresh, long past": {s.m.RequireFresh(time.Nanosecond), 403, 401},
		} {
			for _, who := range []struct {
				client *http.Client
				want   int
			}{{c, guard.user}, {s.visitor(t), guard.nobody}} {
				resp := s.do(t, who.client, func(ctx *mist.Context) error {
					guard.Middleware(func(*mist.Context) {})(ctx)
					return nil
				})
				if resp.StatusCode != who.want || given(resp) != 0 {
					t.Errorf("%s: got status %d and %d lines, want %d", name, resp.StatusCode, given(resp), who.want)
				}
			}
		}
	})
}

// A rotation, a refresh and a token that is due for renewal each give the client one new seal
// of the same session.
func TestClientRenewal(t *testing.T) {
	set := func(m *session.Manager, _ *sealed.Store) {
		m.RenewAfter, m.RefreshInterval = time.Nanosecond, time.Nanosecond
	}
	everyClientSite(t, set, func(t *testing.T, s *clientSite) {
		c := s.visitor(t)
		s.start(t, c, map[string]any{"a": 1})
		s.do(t, c, webtest.LogIn(s.m, "ada"))
		for name, renew := range map[string]func(ctx *mist.Context) error{"Rotate": s.m.RotateSession, "Refresh": s.m.RefreshSession} {
			var before session.Info
			s.do(t, c, with(s.m, func(_ context.Context, v session.Session) (err error) {
				before, err = session.Describe(v)
				return err
			}))
			if n := given(s.do(t, c, renew)); n != 1 {
				t.Errorf("%s gave the client %d lines, want 1", name, n)
			}
			s.holds(t, c, name, map[string]any{"a": 1})
			s.do(t, c, with(s.m, func(_ context.Context, v session.Session) error {
				after, err := session.Describe(v)
				if after.ID != before.ID || !after.RotatedAt.After(before.RotatedAt) || (name == "Refresh") != after.LastSeen.After(before.LastSeen) {
					err = errors.Join(err, fmt.Errorf("%s: got rotated %v, seen %v", name, after.RotatedAt.Sub(before.RotatedAt), after.LastSeen.Sub(before.LastSeen)))
				}
				return err
			}))
		}
		s.m.RefreshInterval = time.Hour // no request runs
		if n := given(s.do(t, c, s.m.RefreshSession)); n != 0 {
			t.Errorf("a refresh before its time gave the client %d lines, want none", n)
		}
	})
}

// What needs a list of sessions is ErrUnsupported, and what Revoke makes possible works.
func TestClientUsers(t *testing.T) {
	for _, revocable := range []bool{false, true} {
		set := func(_ *session.Manager, st *sealed.Store) {
			if ended := new(sealed.Revocations); revocable {
				st.Revoked, st.Revoke = ended.Revoked, ended.Revoke
			}
		}
		t.Run(fmt.Sprintf("revocable=%t", revocable), func(t *testing.T) {
			everyClientSite(t, set, func(t *testing.T, s *clientSite) {
				c, other, visitor := s.visitor(t), s.visitor(t), s.visitor(t)
				for _, client := range []*http.Client{c, other} {
					s.do(t, client, webtest.LogIn(s.m, "ada"))
				}
				s.do(t, visitor, webtest.LogIn(s.m, "bob"))
				want, alive := errors.ErrUnsupported, map[string]any{}
				if revocable {
					want, alive = nil, nil
				}
				_, errList := s.m.UserSessions(t.Context(), "ada")
				errOne := s.m.RemoveUserSession(t.Context(), "ada", "x")
				if err := errors.Join(is("UserSessions", errList, errors.ErrUnsupported), is("RemoveUserSession", errOne, errors.ErrUnsupported)); err != nil {
					t.Error(err)
				}
				resp := s.do(t, c, func(ctx *mist.Context) error {
					_, _, err := s.m.PasswordChanged(ctx, session.Login{User: "ada"})
					return is("PasswordChanged", err, want)
				})
				if n := given(resp); (n == 1) != revocable {
					t.Errorf("PasswordChanged gave the client %d lines", n)
				}
				s.holds(t, c, "whose password changed", map[string]any{})
				s.holds(t, other, "ada elsewhere", alive)
				s.do(t, c, func(ctx *mist.Context) error {
					_, err := s.m.RemoveUserSessions(ctx.Request.Context(), "ada")
					return is("RemoveUserSessions", err, want)
				})
				s.holds(t, c, "signed out everywhere", alive)
				s.holds(t, visitor, "bob", map[string]any{})
				s.do(t, visitor, func(ctx *mist.Context) error {
					_, err := s.m.LoginWith(ctx, session.Login{User: "bob", MaxSessions: 2})
					return is("a login with a limit", err, errors.ErrUnsupported)
				})
				s.holds(t, visitor, "after a login that was refused", map[string]any{})
			})
		})
	}
	m := &session.Manager{Store: clientStore("a"), Propagator: clientWays["cookie"](), MaxUserSessions: 2}
	(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
		if err := is("MaxUserSessions", webtest.LogIn(m, "ada")(ctx), errors.ErrUnsupported); err != nil {
			t.Error(err)
		}
	})
}
