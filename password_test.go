package session_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// changePassword sends a request that changes the password of a user, through the Middleware.
func changePassword(t *testing.T, b *webtest.Browser, m *session.Manager, l session.Login) (info session.Info, ended int) {
	t.Helper()
	b.Visit(t, m.Middleware()(func(ctx *mist.Context) {
		s, n, err := m.PasswordChanged(ctx, l)
		info, ended = webtest.Describe(t)(s, err), n
		if now, err := m.GetSession(ctx); now != s || err != nil {
			t.Errorf("afterwards GetSession gives another session (%v)", err)
		}
	}))
	return info, ended
}

// A logged-in user changes the password. This session goes on with a new token. All
// other sessions end, and a copy of the cookie no longer works.
func TestPasswordChangedByTheUser(t *testing.T) {
	m := webtest.NewManager()
	phone, laptop, bob := &webtest.Browser{}, &webtest.Browser{}, &webtest.Browser{}
	bob.SignIn(t, m, "bob")
	phone.SignIn(t, m, "ada")
	laptop.Begin(t, m)
	before := laptop.Enter(t, m, session.Login{
		User: "ada", Level: 3, IdleTimeout: 24 * time.Hour, AbsoluteTimeout: 48 * time.Hour, Persistent: true,
	})
	stolen := laptop.Tab()

	after, ended := changePassword(t, laptop, m, session.Login{User: "ada"})
	if after.ID != before.ID || after.User != "ada" || after.Level != 3 || !after.Persistent ||
		after.AbsoluteDeadline.Sub(after.LastSeen) != 48*time.Hour || laptop.Cart(t, m) != "apples" {
		t.Errorf("got %+v, want the session from before, with its values and timeouts", after)
	}
	if ended != 1 {
		t.Errorf("got %d sessions ended, want 1", ended)
	}
	phone.IsNobody(t, m)
	stolen.IsNobody(t, m)
	if got := bob.Describe(t, m).User; got != "bob" {
		t.Errorf("got %q, want bob as before", got)
	}
}

// A visitor who forgot the password sets another one and is then logged in. The cart
// stays, and all sessions with the old password have ended.
func TestPasswordChangedByAReset(t *testing.T) {
	m := webtest.NewManager()
	thief, visitor, bob := &webtest.Browser{}, &webtest.Browser{}, &webtest.Browser{}
	thief.SignIn(t, m, "ada")
	visitor.Begin(t, m)
	planted := visitor.Tab()
	info, ended := changePassword(t, visitor, m, session.Login{User: "ada", Persistent: true, AbsoluteTimeout: 48 * time.Hour})
	if info.User != "ada" || !info.Persistent || visitor.Cart(t, m) != "apples" || ended != 1 {
		t.Errorf("got %+v and %d ended, want ada's session with the cart, and 1", info, ended)
	}
	thief.IsNobody(t, m)
	planted.IsNobody(t, m)

	// A change over the session of another user ends that session, as with Login.
	bob.SignIn(t, m, "bob")
	if info, _ := changePassword(t, bob, m, session.Login{User: "ada"}); info.User != "ada" {
		t.Errorf("got %+v, want ada's session", info)
	}
	if list, err := m.UserSessions(t.Context(), "bob"); err != nil || len(list) != 0 {
		t.Errorf("bob has %d sessions, %v, want none", len(list), err)
	}
	visitor.IsNobody(t, m)
}

// Logins that have checked the old password come too late, and logins that check the
// new one do not. That includes logins in progress.
func TestPasswordChangedAgainstLogins(t *testing.T) {
	m := webtest.NewManager()
	old := make(chan struct{})
	var checked, logins sync.WaitGroup
	for range 16 {
		checked.Add(1)
		logins.Go(func() {
			b := &webtest.Browser{}
			b.Visit(t, m.Middleware()(func(ctx *mist.Context) {
				checked.Done() // the old password
				<-old
				if _, err := m.Login(ctx, "ada"); !errors.Is(err, session.ErrRevoked) {
					t.Errorf("a login with the old password: got %v, want ErrRevoked", err)
				}
			}))
			b.IsNobody(t, m)
		})
	}
	checked.Wait()
	ada, later := &webtest.Browser{}, &webtest.Browser{}
	changePassword(t, ada, m, session.Login{User: "ada"})
	close(old)
	logins.Wait()
	later.Enter(t, m, session.Login{User: "ada"})
	if list, err := m.UserSessions(t.Context(), "ada"); err != nil || len(list) != 2 {
		t.Errorf("ada has %d sessions, %v, want those after the change, 2", len(list), err)
	}
	// After many concurrent changes at least one browser is logged in.
	for range 16 {
		logins.Go(func() {
			ada.Tab().Visit(t, func(ctx *mist.Context) { _, _, _ = m.PasswordChanged(ctx, session.Login{User: "ada"}) })
		})
	}
	logins.Wait()
	if list, err := m.UserSessions(t.Context(), "ada"); err != nil || len(list) == 0 {
		t.Errorf("after many changes at once ada has %d sessions, %v", len(list), err)
	}
}

// Errors in the arguments are found before anything happens.
func TestPasswordChangedRefused(t *testing.T) {
	m := webtest.NewManager()
	phone := &webtest.Browser{}
	phone.SignIn(t, m, "ada")
	const two = webtest.CookieName + "=a.ABCDEFGHIJKLMNOPQRSTUVWXYZ; " + webtest.CookieName + "=b.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for name, test := range map[string]struct {
		m     *session.Manager
		l     session.Login
		first func(ctx *mist.Context)
		want  error
	}{
		"no user":       {m, session.Login{}, nil, session.ErrInvalidUser},
		"bad timeouts":  {m, session.Login{User: "ada", IdleTimeout: -1}, nil, nil},
		"header is out": {m, session.Login{User: "ada"}, func(ctx *mist.Context) { ctx.ResponseWriter.WriteHeader(200) }, session.ErrHeaderWritten},
		"two cookies":   {m, session.Login{User: "ada"}, func(ctx *mist.Context) { ctx.Request.Header.Set("Cookie", two) }, session.ErrMultiple},
		"no user store": {&session.Manager{Store: &webtest.PlainStore{Recorder: &webtest.Recorder{}}, Propagator: m.Propagator}, session.Login{User: "ada"}, nil, errors.ErrUnsupported},
	} {
		header := (&webtest.Browser{}).Answer(t.Context(), test.m.Middleware()(func(ctx *mist.Context) {
			if test.first != nil {
				test.first(ctx)
			}
			s, ended, err := test.m.PasswordChanged(ctx, test.l)
			if err == nil || test.want != nil && !errors.Is(err, test.want) || s != nil || ended != 0 {
				t.Errorf("%s: got %v, want %v", name, err, test.want)
			}
		})).Header
		if got := webtest.SetCookies(header); got != nil {
			t.Errorf("%s: got Set-Cookie %q", name, got)
		}
	}
	if got := phone.Describe(t, m).User; got != "ada" {
		t.Errorf("got %q, want ada as before", got)
	}

	// If the store fails at any call, the login state of the client is unchanged.
	for i, op := range []string{"Open", "RemoveUserSessions", "Login"} {
		down := &webtest.OutageError{}
		st := &failingUsers{Store: &memory.Store{}}
		m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
		ada := &webtest.Browser{}
		ada.SignIn(t, m, "ada")
		st.op, st.err = op, down
		header := ada.Tab().Visit(t, func(ctx *mist.Context) {
			if _, _, err := m.PasswordChanged(ctx, session.Login{User: "ada"}); !errors.Is(err, down) {
				t.Errorf("%s: got %v, want the outage", op, err)
			}
		})
		if got := webtest.SetCookies(header); got != nil {
			t.Errorf("%d %s: got Set-Cookie %q", i, op, got)
		}
		st.err = nil
		if got := ada.Describe(t, m).User; got != "ada" {
			t.Errorf("%s: got %q, want ada as before", op, got)
		}
	}
}

// A failingUsers fails in one of its methods.
type failingUsers struct {
	*memory.Store
	op  string
	err error
}

func (s *failingUsers) fails(op string) error {
	if s.op == op {
		return s.err
	}
	return nil
}

func (s *failingUsers) Open(ctx context.Context, token string) (session.Session, error) {
	if err := s.fails("Open"); err != nil {
		return nil, err
	}
	return s.Store.Open(ctx, token)
}

func (s *failingUsers) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	if err := s.fails("Login"); err != nil {
		return nil, err
	}
	return s.Store.Login(ctx, token, l)
}

func (s *failingUsers) RemoveUserSessions(ctx context.Context, user string, except ...string) (int, error) {
	if err := s.fails("RemoveUserSessions"); err != nil {
		return 0, err
	}
	return s.Store.RemoveUserSessions(ctx, user, except...)
}

// Support staff who log in as a user keep their own session, in another cookie. The
// event of the login names both users, and the users of the two Managers do not mix.
func TestLogInAs(t *testing.T) {
	var (
		mu     sync.Mutex
		events []session.Event
	)
	onEvent := func(_ context.Context, e session.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == session.EventLogin || e.Kind == session.EventLoginRefused {
			e.Session = ""
			events = append(events, e)
		}
	}
	st := &memory.Store{}
	staff := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{Name: "__Host-staff"}, CtxSessionKey: "staff", OnEvent: onEvent}
	customers := &session.Manager{Store: st, Propagator: &cookie.Propagator{}, OnEvent: onEvent}
	both := func(handler mist.HandleFunc) mist.HandleFunc {
		return webtest.Wrap(handler, staff.Middleware(), customers.Middleware())
	}
	userOf := func(m *session.Manager, ctx *mist.Context) string {
		info, err := session.Describe(webtest.Loaded(t, m, ctx))
		if err != nil {
			t.Errorf("Describe: %v", err)
		}
		return info.User
	}

	customer, b := &webtest.Browser{}, &webtest.Browser{}
	customer.SignIn(t, customers, "ada")
	b.Visit(t, both(func(ctx *mist.Context) {
		if _, err := staff.Login(ctx, "grace"); err != nil {
			t.Errorf("staff: %v", err)
		}
	}))
	logInAs := func(ctx *mist.Context) {
		actor := userOf(staff, ctx)
		if _, err := customers.LoginWith(ctx, session.Login{User: "ada", Actor: actor, AbsoluteTimeout: time.Hour}); err != nil {
			t.Errorf("log in as: %v", err)
		}
	}
	b.Visit(t, both(staff.RequireLevel(session.Authenticated)(logInAs)))
	b.Visit(t, both(func(ctx *mist.Context) {
		if who, actor := userOf(customers, ctx), userOf(staff, ctx); who != "ada" || actor != "grace" {
			t.Errorf("got %q by %q, want ada by grace", who, actor)
		}
	}))
	// Without a session of staff the guard lets no request pass.
	if resp := customer.Answer(t.Context(), both(staff.RequireLevel(session.Authenticated)(logInAs))); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a customer: got status %d, want 401", resp.StatusCode)
	}
	b.Visit(t, both(func(ctx *mist.Context) {
		if err := customers.RemoveSession(ctx); err != nil {
			t.Errorf("back: %v", err)
		}
	}))
	b.Visit(t, both(func(ctx *mist.Context) {
		if got := userOf(staff, ctx); got != "grace" {
			t.Errorf("afterwards: got %q, want grace", got)
		}
		if _, err := customers.GetSession(ctx); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("afterwards: got %v, want no session of a customer", err)
		}
	}))
	if got := customer.Describe(t, customers).User; got != "ada" {
		t.Errorf("the customer is %q, want ada as before", got)
	}
	customers.MaxUserSessions = 1
	b.Visit(t, both(func(ctx *mist.Context) {
		if _, err := customers.LoginWith(ctx, session.Login{User: "ada", Actor: "grace"}); !errors.Is(err, session.ErrUserLimit) {
			t.Errorf("got %v, want ErrUserLimit", err)
		}
	}))
	want := []session.Event{
		{Kind: session.EventLogin, User: "ada"},
		{Kind: session.EventLogin, User: "grace"},
		{Kind: session.EventLogin, User: "ada", Actor: "grace"},
		{Kind: session.EventLoginRefused, User: "ada", Actor: "grace", Cause: session.ErrUserLimit},
	}
	if !slices.EqualFunc(events, want, func(got, want session.Event) bool {
		cause := errors.Is(got.Cause, want.Cause)
		got.Cause, want.Cause = nil, nil
		return cause && got == want
	}) {
		t.Errorf("got events %+v, want %+v", events, want)
	}
}
