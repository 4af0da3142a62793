package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
)

// After the binding the browser keeps the token a little shorter than it is valid, also
// that of a persistent login. The next login has its own lifetime.
func TestDeviceMaxAge(t *testing.T) {
	for bound, want := range map[time.Duration]int{
		time.Second: 1, 2 * time.Second: 1, 10 * time.Second: 9, time.Minute: 54, 5 * time.Minute: 270, 10 * time.Minute: 570, 24 * time.Hour: 86370,
	} {
		for _, p := range []*cookie.Propagator{{Name: boundName}, {Name: boundName, MaxAge: time.Hour}} {
			for _, persistent := range []bool{false, true} {
				m, _ := binding()
				m.DeviceBound, m.Propagator = bound, p
				b := &webtest.Browser{}
				l := session.Login{User: "alice", Persistent: persistent}
				first := maxAge(logIn(t, b, m, l))
				h, err := bindDevice(t, b, m)
				if got := maxAge(h); got != want || err != nil {
					t.Errorf("%v: got Max-Age %d, %v, want %d", bound, got, err, want)
				}
				h = b.Visit(t, func(ctx *mist.Context) { _, err = m.ProveDevice(ctx, idOf(b), (&verified{}).prove) })
				if got := maxAge(h); got != want || err != nil {
					t.Errorf("%v, proved: got Max-Age %d, %v, want %d", bound, got, err, want)
				}
				if again := maxAge(logIn(t, b, m, l)); again != first {
					t.Errorf("%v, the next login: got Max-Age %d, want %d", bound, again, first)
				}
			}
		}
	}
}

// maxAge returns the Max-Age of the one cookie of a response, and zero without Max-Age.
func maxAge(h http.Header) int {
	cookies := (&http.Response{Header: h}).Cookies()
	if len(cookies) != 1 {
		return -1
	}
	return cookies[0].MaxAge
}

// A refresh does not set the cookie while the browser may be registering, and never
// that of a bound session. It prolongs the session in both cases.
func TestDeviceRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, told := binding()
		m.Propagator, m.RenewAfter = &cookie.Propagator{Name: boundName, MaxAge: time.Hour}, time.Minute
		b := &webtest.Browser{}
		refresh := func() int {
			h := b.Visit(t, func(ctx *mist.Context) {
				if err := m.RefreshSession(ctx); err != nil {
					t.Errorf("RefreshSession: %v", err)
				}
			})
			return len(h["Set-Cookie"])
		}
		logIn(t, b, m, session.Login{User: "alice"})
		time.Sleep(10*time.Second - time.Millisecond)
		if n := refresh(); n != 0 {
			t.Errorf("a registration may be under way: got %d cookies", n)
		}
		time.Sleep(time.Millisecond)
		if n := refresh(); n != 1 {
			t.Errorf("no registration came: got %d cookies", n)
		}
		time.Sleep(time.Minute)
		before := b.Tab()
		if n := refresh(); n != 1 || before.Cookies[boundName] == b.Cookies[boundName] {
			t.Errorf("the token is old: got %d cookies", n)
		}
		if _, err := bindDevice(t, b, m); err != nil {
			t.Fatal(err)
		}
		told()
		last := b.Tab()
		for range 8 {
			time.Sleep(time.Minute)
			if n := refresh(); n != 0 {
				t.Errorf("bound: got %d cookies", n)
			}
			b.Rotate(t, m)
		}
		if b.Cookies[boundName] != last.Cookies[boundName] || told() != "" {
			t.Error("the token was renewed without a proof")
		}
		b.Visit(t, func(ctx *mist.Context) {
			s, err := m.GetSession(ctx)
			if err != nil {
				t.Fatal(err)
			}
			info, _ := session.Describe(s)
			if left := time.Until(info.IdleDeadline); left != 30*time.Minute || !info.Bound || time.Until(info.ProvedUntil) != 2*time.Minute {
				t.Errorf("the session has %v left, its token %v", left, time.Until(info.ProvedUntil))
			}
		})
	})
}

// After its end a token opens nothing, and the response does not touch the cookie.
// OnEvent gets the reason, handlers do not.
func TestDeviceEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, told := binding()
		m.Store = webtest.WrappedStore{Store: m.Store}
		b := &webtest.Browser{}
		logIn(t, b, m, session.Login{User: "alice"})
		if _, err := bindDevice(t, b, m); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		told()
		h := b.Visit(t, func(ctx *mist.Context) {
			for range 2 {
				if _, err := m.GetSession(ctx); err != session.ErrNotFound { //nolint:errorlint // and nothing more
					t.Errorf("got %v, want the plain ErrNotFound", err)
				}
			}
			for name, err := range map[string]error{
				"RotateSession": m.RotateSession(ctx), "RefreshSession": m.RefreshSession(ctx), "RemoveSession": m.RemoveSession(ctx),
			} {
				if !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: got %v", name, err)
				}
			}
			if _, err := m.BindDevice(ctx, (&verified{}).bind); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("BindDevice: got %v", err)
			}
		})
		if len(h["Set-Cookie"]) > 0 {
			t.Error("the response touches the cookie")
		}
		if got := told(); got != "unproved  session: not found" {
			t.Errorf("got %q", got)
		}
		v := &verified{}
		b.Visit(t, func(ctx *mist.Context) {
			if s, err := m.ProveDevice(ctx, idOf(b), v.prove); err != nil || s.ID() != idOf(b) {
				t.Fatalf("ProveDevice: %v", err)
			}
			if user, err := m.User(ctx); user != "alice" || err != nil {
				t.Errorf("the same request: got %q, %v", user, err)
			}
		})
		if v.device != "device" || v.challenges[0] != fmt.Sprint(time.Now().UnixNano()) {
			t.Error("verify was given another device or time")
		}
		if user, err := userOf(t, b, m); user != "alice" || err != nil {
			t.Errorf("got %q, %v", user, err)
		}
		if got := told(); got != "proved alice" {
			t.Errorf("got %q", got)
		}
	})
}

func TestProveDeviceRefused(t *testing.T) {
	m, told := binding()
	b := &webtest.Browser{}
	logIn(t, b, m, session.Login{User: "alice"})
	told()
	prove := func(id string, v *verified) (err error) {
		(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) { _, err = m.ProveDevice(ctx, id, v.prove) })
		return err
	}
	if err := prove(idOf(b), &verified{}); !errors.Is(err, session.ErrUnbound) || told() != "proof_refused  session: not bound to that device" {
		t.Errorf("unbound: got %v", err)
	}
	if _, err := bindDevice(t, b, m); err != nil {
		t.Fatal(err)
	}
	told()
	for _, id := range []string{"", "a b", "*", strings.Repeat("a", 129), b.Cookies[boundName]} {
		if err := prove(id, &verified{}); !errors.Is(err, session.ErrNotFound) || told() != "" {
			t.Errorf("an id of %d bytes: got %v", len(id), err)
		}
	}
	if err := prove("nobody", &verified{}); !errors.Is(err, session.ErrNotFound) || told() != "" {
		t.Errorf("unknown: got %v, or an event", err)
	}
	refused := errors.New("refused")
	if err := prove(idOf(b), &verified{err: refused}); !errors.Is(err, refused) || told() != "proof_refused alice refused" {
		t.Errorf("got %v", err)
	}
	full := &verified{}
	var err error
	for range 100 {
		if err = prove(idOf(b), full); err != nil {
			break
		}
	}
	if !errors.Is(err, session.ErrFull) || !strings.HasSuffix(told(), "; proof_refused alice session: store is full") {
		t.Errorf("got %v, want ErrFull", err)
	}
	if user, err := userOf(t, b, m); user != "alice" || err != nil {
		t.Errorf("got %q, %v", user, err)
	}
}

// RequireBound lets bound sessions pass. For a while it also lets sessions pass that
// the browser may still bind.
func TestRequireBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := binding()
		guard := m.RequireBound(5 * time.Minute)
		b, slow := &webtest.Browser{}, &webtest.Browser{}
		check := func(b *webtest.Browser, want int) {
			t.Helper()
			if got := guarded(t, b, nil, guard); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
		check(b, http.StatusUnauthorized)
		b.BeginNamed(t, m, "visitor")
		check(b, http.StatusUnauthorized)
		logIn(t, b, m, session.Login{User: "alice"})
		logIn(t, slow, m, session.Login{User: "bob"})
		check(b, http.StatusOK)
		first := b.Tab()
		if _, err := bindDevice(t, b, m); err != nil {
			t.Fatal(err)
		}
		check(first, http.StatusOK)
		check(b, http.StatusOK)
		lost := slow.Tab()
		if _, err := bindDevice(t, slow.Tab(), m); err != nil { // whose response got lost
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		check(b, http.StatusOK)
		check(lost, http.StatusForbidden)
		if user, err := userOf(t, lost, m); user != "bob" || err != nil {
			t.Errorf("got %q, %v: somebody was logged out", user, err)
		}
		check(first, http.StatusUnauthorized) // after its grace
		time.Sleep(5 * time.Minute)
		check(b, http.StatusUnauthorized)
		m.ErrorHandler = func(ctx *mist.Context, err error) {
			if !errors.Is(err, session.ErrUnbound) {
				t.Errorf("got %v", err)
			}
			ctx.ResponseWriter.WriteHeader(http.StatusTeapot)
		}
		check(lost, http.StatusTeapot)
	})
	for _, within := range []time.Duration{0, -1} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("got no panic")
				}
			}()
			(&session.Manager{}).RequireBound(within)
		}()
	}
	var none *session.Manager
	if got := guarded(t, &webtest.Browser{}, nil, none.RequireBound(1)); got != http.StatusServiceUnavailable {
		t.Errorf("no manager: got %d", got)
	}
}
