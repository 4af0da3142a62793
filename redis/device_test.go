package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

const (
	boundFor   = 10 * time.Minute
	boundGrace = 30 * time.Second
	theDevice  = "the device\x00\xff" // whatever it is
)

// aProof is one of the device. A store takes it once, but for Bind.
func aProof(challenge string) session.Proof {
	return session.Proof{Device: theDevice, Challenge: challenge, Remember: 5 * time.Minute, Lifetime: boundFor, Grace: boundGrace}
}

// A binder is a store on a server whose clock stands still until the test lets time
// pass.
type binder struct {
	*redis.Store
	t      *testing.T
	server *redistest.Server
	client goredis.UniversalClient
	now    time.Time // of the server
	proofs int
}

func newBinder(t *testing.T) *binder {
	t.Helper()
	server := redistest.StartSkewed(t, 0)
	client := newClient(t, unhurried(server.Addr))
	b := &binder{t: t, server: server, client: client, now: time.Now().Add(time.Hour).Truncate(time.Second)}
	b.Store = &redis.Store{Client: client, OpTimeout: time.Minute, IdleTimeout: 2 * time.Hour}
	b.pass(0)
	return b
}

func (b *binder) pass(d time.Duration) {
	b.t.Helper()
	b.now = b.now.Add(d)
	b.server.StopClock(b.now)
}

// login logs ada in, and shows the token, as a browser does before it registers.
func (b *binder) login() session.Session {
	b.t.Helper()
	s, err := b.Login(b.t.Context(), "", session.Login{User: "ada", Values: map[string]any{"cart": "book"}})
	if err != nil {
		b.t.Fatalf("Login: %v", err)
	}
	return b.opens("login", session.Token(s), nil)
}

func (b *binder) bind(s session.Session) session.Session {
	b.t.Helper()
	bound, err := b.Bind(b.t.Context(), session.Token(s), aProof(""))
	if err != nil {
		b.t.Fatalf("Bind: %v", err)
	}
	return bound
}

// prove answers a challenge that nobody else does.
func (b *binder) prove(s session.Session) session.Session {
	b.t.Helper()
	b.proofs++
	proved, err := b.Prove(b.t.Context(), s.ID(), aProof(fmt.Sprint("own ", b.proofs)))
	if err != nil {
		b.t.Fatalf("Prove: %v", err)
	}
	return proved
}

// opens opens a token, and checks what comes of it. What it opens carries that token.
func (b *binder) opens(what, clientToken string, want error) session.Session {
	b.t.Helper()
	s, err := b.Open(b.t.Context(), clientToken)
	b.ends("Open, "+what, err, want)
	if err != nil {
		return nil
	}
	if session.Token(s) != clientToken {
		b.t.Errorf("Open, %s: got another token", what)
	}
	if v, err := s.Get(b.t.Context(), "cart"); v != "book" || err != nil {
		b.t.Errorf("Open, %s: the cart holds %v, %v", what, v, err)
	}
	return s
}

// ends checks how a call has ended: no other reason for ErrNotFound will do.
func (b *binder) ends(what string, got, want error) {
	b.t.Helper()
	for _, reason := range []error{want, session.ErrNotFound, session.ErrReused, session.ErrUnproved} {
		if errors.Is(got, reason) != errors.Is(want, reason) {
			b.t.Errorf("%s: got %#v, want %#v", what, got, want)
			return
		}
	}
}

// shows checks what is said of a session that is bound, and by a token that ends then.
func (b *binder) shows(what string, info session.Info, until time.Time) {
	b.t.Helper()
	if !info.Bound || !info.ProvedUntil.Equal(until) || info.ProvedUntil.IsZero() != until.IsZero() {
		b.t.Errorf("%s: got Bound %t, ProvedUntil %v, want %v", what, info.Bound, info.ProvedUntil, until)
	}
}

func TestBind(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	before := b.login()
	ctx, old, was := t.Context(), session.Token(before), described(t, before)
	b.pass(time.Second)
	bound := b.bind(before)
	until, first := b.now.Add(boundFor), session.Token(bound)
	info := described(t, bound)
	b.shows("Bind", info, until)
	if !info.RotatedAt.Equal(b.now) || !info.IdleDeadline.Equal(was.IdleDeadline) || !info.AbsoluteDeadline.Equal(was.AbsoluteDeadline) || info.User != "ada" || bound.ID() != before.ID() {
		t.Errorf("got %+v, was %+v", info, was)
	}
	if device, err := session.DeviceOf(bound); device != theDevice || err != nil {
		t.Errorf("DeviceOf: got %q, %v", device, err)
	}
	if device, err := session.DeviceOf(before); device != "" || err != nil || was.Bound || !was.ProvedUntil.IsZero() {
		t.Errorf("before: got %q, %v, %+v", device, err, was)
	}

	// The old token is good until the new one was shown, and then for the grace.
	b.pass(time.Hour)
	b.shows("the old token", described(t, b.opens("old, nobody has the new one", old, nil)), time.Time{})
	b.ends("Open, ended unseen", errorOf(b.Open(ctx, first)), session.ErrUnproved)
	b.opens("old, still", old, nil)
	again := b.prove(bound) // the browser learns of the binding only here
	b.pass(boundGrace - time.Millisecond)
	b.opens("old, in its grace", old, nil)
	b.pass(time.Millisecond)
	b.opens("old, after its grace", old, session.ErrReused)
	b.opens("proved", session.Token(again), nil)

	for name, clientToken := range map[string]string{"again": session.Token(again), "of the old token": old, "ended": first, "unknown": bound.ID() + "." + strings.Repeat("A", 26), "malformed": "x"} {
		want := map[string]error{"again": session.ErrBound, "of the old token": session.ErrReused, "ended": session.ErrUnproved}[name]
		if want == nil {
			want = session.ErrNotFound
		}
		s, err := b.Bind(ctx, clientToken, session.Proof{Device: "another", Lifetime: boundFor})
		b.ends("Bind "+name, err, want)
		if s != nil {
			t.Errorf("Bind %s: got a session", name)
		}
	}
	if device, err := session.DeviceOf(b.opens("after all this", session.Token(again), nil)); device != theDevice || err != nil {
		t.Errorf("got the device %q, %v", device, err)
	}
}

// TestBindSeen: the first request with the new token starts the grace of the old one, also
// of those before.
func TestBindSeen(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	ctx, login := t.Context(), b.login()
	rotated, err := b.Rotate(ctx, session.Token(login), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	bound, err := b.Bind(ctx, session.Token(login), aProof("")) // with the oldest: the second was never shown
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Open(ctx, session.Token(login))
	if err != nil || session.Token(second) != session.Token(login) {
		t.Errorf("the oldest leads somewhere, %v", err)
	}
	b.shows("the oldest", described(t, second), time.Time{})
	b.opens("bound", session.Token(bound), nil)
	b.pass(boundGrace - time.Millisecond)
	b.opens("the second", session.Token(rotated), nil)
	b.pass(time.Millisecond)
	b.opens("the second, after its grace", session.Token(rotated), session.ErrReused)
	if _, err := b.Open(ctx, session.Token(login)); err != nil {
		t.Errorf("the oldest in its grace of a minute: %v", err)
	}
	b.pass(time.Minute - boundGrace)
	b.opens("the oldest, after it", session.Token(login), session.ErrReused)
	b.opens("bound still", session.Token(bound), nil)
}

func TestProve(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	ctx, bound := t.Context(), b.bind(b.login())
	was := described(t, bound)
	b.pass(8 * time.Minute)
	one, other := b.prove(bound), b.prove(bound)
	until := b.now.Add(boundFor)
	for what, s := range map[string]session.Session{"one": one, "the other": other} {
		info := described(t, b.opens(what, session.Token(s), nil))
		b.shows(what, info, until)
		b.shows(what+", as it was returned", described(t, s), until)
		if !info.RotatedAt.Equal(b.now) || !info.IdleDeadline.Equal(was.IdleDeadline) || !info.AbsoluteDeadline.Equal(was.AbsoluteDeadline) {
			t.Errorf("%s: got %+v, was %+v", what, info, was)
		}
	}
	b.shows("the first", described(t, b.opens("the first", session.Token(bound), nil)), was.ProvedUntil)
	byID, err := b.Get(ctx, bound.ID())
	if err != nil {
		t.Fatal(err)
	}
	b.shows("Get", described(t, byID), until)
	listed, err := b.UserSessions(ctx, "ada")
	if err != nil || len(listed) != 1 {
		t.Fatalf("UserSessions: got %d, %v", len(listed), err)
	}
	b.shows("UserSessions", listed[0], until)

	// Each ends to the millisecond, and none of them ends the session.
	b.pass(2*time.Minute - time.Millisecond)
	b.opens("the first at last", session.Token(bound), nil)
	b.pass(time.Millisecond)
	b.opens("the first at its end", session.Token(bound), session.ErrUnproved)
	b.pass(8*time.Minute - time.Millisecond)
	b.opens("one at last", session.Token(one), nil)
	b.pass(time.Millisecond)
	for what, s := range map[string]session.Session{"one": one, "the other": other} {
		b.opens(what+" at its end", session.Token(s), session.ErrUnproved)
		b.ends("Rotate", errorOf(b.Rotate(ctx, session.Token(s), time.Minute)), session.ErrNotFound)
		b.ends("Login", errorOf(b.Login(ctx, session.Token(s), session.Login{User: "ada"})), session.ErrNotFound)
	}
	b.opens("one of nobody", bound.ID()+"."+strings.Repeat("A", 26)+"DEVICE", session.ErrNotFound)
	late := b.prove(bound)
	b.opens("late", session.Token(late), nil)
	for range 20 { // those that ended long ago are not remembered
		b.pass(boundFor)
		if b.Refresh(ctx, bound.ID()) != nil {
			t.Fatal("the session has ended")
		}
		late = b.prove(bound)
	}
	b.opens("the latest", session.Token(late), nil)
	b.opens("the first, long ago", session.Token(bound), session.ErrNotFound)
	if o, x := b.field(bound, "o"), b.field(bound, "x"); len(o) != 62 || len(x) != 56 {
		t.Errorf("the record keeps %d and %d bytes of old tokens", len(o), len(x))
	}
	if q := b.field(bound, "q"); len(q) != 21 {
		t.Errorf("the record keeps %d bytes of challenges", len(q))
	}
}

// field is one of a session's record.
func (b *binder) field(s session.Session, name string) string {
	return b.client.HGet(b.t.Context(), keyOf(b.Store, s.ID()), name).Val()
}

func TestProveRefused(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	ctx, bound, unbound := t.Context(), b.bind(b.login()), b.login()
	if _, err := b.Prove(ctx, bound.ID(), aProof("once")); err != nil {
		t.Fatal(err)
	}
	stored := func() string {
		return fmt.Sprint(b.client.HGetAll(ctx, keyOf(b.Store, bound.ID())).Val(), b.client.HGetAll(ctx, keyOf(b.Store, unbound.ID())).Val())
	}
	before := stored()
	with := func(change func(p *session.Proof)) session.Proof {
		p := aProof("another")
		change(&p)
		return p
	}
	for _, c := range []struct {
		name string
		id   string
		p    session.Proof
		want error
	}{
		{"replayed", bound.ID(), aProof("once"), session.ErrReplayed},
		{"another device", bound.ID(), with(func(p *session.Proof) { p.Device = "another" }), session.ErrUnbound},
		{"another device, replayed", bound.ID(), with(func(p *session.Proof) { p.Device, p.Challenge = "another", "once" }), session.ErrUnbound},
		{"the start of the device", bound.ID(), with(func(p *session.Proof) { p.Device = theDevice[:4] }), session.ErrUnbound},
		{"more than the device", bound.ID(), with(func(p *session.Proof) { p.Device += "\x00" }), session.ErrUnbound},
		{"not bound", unbound.ID(), aProof("another"), session.ErrUnbound},
		{"nobody", "nobody", aProof("another"), session.ErrNotFound},
		{"malformed", "no id", aProof("another"), session.ErrNotFound},
		{"a token", session.Token(bound), aProof("another"), session.ErrNotFound},
	} {
		s, err := b.Prove(ctx, c.id, c.p)
		b.ends(c.name, err, c.want)
		if s != nil || stored() != before {
			t.Errorf("%s: got a session, or changed one", c.name)
		}
	}
	for name, p := range map[string]session.Proof{
		"no device":         with(func(p *session.Proof) { p.Device = "" }),
		"a long device":     with(func(p *session.Proof) { p.Device = strings.Repeat("d", 1025) }),
		"no lifetime":       with(func(p *session.Proof) { p.Lifetime = 0 }),
		"negative grace":    with(func(p *session.Proof) { p.Grace = -1 }),
		"negative remember": with(func(p *session.Proof) { p.Remember = -1 }),
	} {
		for call, err := range map[string]error{
			"Prove": errorOf(b.Prove(ctx, bound.ID(), p)),
			"Bind":  errorOf(b.Bind(ctx, session.Token(unbound), p)),
		} {
			if err == nil || errors.Is(err, session.ErrNotFound) || stored() != before {
				t.Errorf("%s, %s: got %v", call, name, err)
			}
		}
	}
	b.pass(5*time.Minute - time.Millisecond)
	b.ends("the challenge at last", errorOf(b.Prove(ctx, bound.ID(), aProof("once"))), session.ErrReplayed)
	b.pass(time.Millisecond) // and whoever checks proofs has refused it by now
	b.ends("the challenge is forgotten", errorOf(b.Prove(ctx, bound.ID(), aProof("once"))), nil)
	if err := b.Remove(ctx, bound.ID()); err != nil {
		t.Fatal(err)
	}
	b.ends("removed", errorOf(b.Prove(ctx, bound.ID(), aProof("last"))), session.ErrNotFound)
	b.opens("removed", session.Token(bound), session.ErrNotFound)
}
