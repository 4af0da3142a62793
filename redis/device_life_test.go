package redis_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestBoundFull: of 64 good tokens, or refused challenges, none makes room for another.
func TestBoundFull(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	ctx := t.Context()
	fill := func(s session.Session, remember time.Duration) (proved []session.Session, err error) {
		for i := range 70 {
			p := aProof(fmt.Sprint(i))
			p.Remember = remember
			one, err := b.Prove(ctx, s.ID(), p)
			if err != nil {
				return proved, err
			}
			proved = append(proved, one)
		}
		return proved, nil
	}
	s := b.bind(b.login())
	b.opens("bound", session.Token(s), nil)
	b.pass(boundGrace) // what was before it is over
	proved, err := fill(s, 0)
	b.ends("tokens", err, session.ErrFull)
	if len(proved) != 64 {
		t.Errorf("got %d tokens more", len(proved))
	}
	for _, one := range append(proved, s) {
		b.opens("one of many", session.Token(one), nil)
	}
	b.pass(boundFor - boundGrace) // the first ends
	b.ends("tokens, one has ended", errorOf(b.Prove(ctx, s.ID(), aProof("room"))), nil)

	s = b.bind(b.login())
	b.opens("bound", session.Token(s), nil)
	b.pass(boundFor) // an old token that is good keeps all that are newer
	p := aProof("")
	p.Lifetime, p.Remember = time.Millisecond, time.Minute // so that few tokens are good
	for i := range 64 {
		p.Challenge = fmt.Sprint(i)
		if _, err := b.Prove(ctx, s.ID(), p); err != nil {
			t.Fatalf("challenge %d: %v", i, err)
		}
		b.pass(time.Millisecond)
	}
	p.Challenge = "one more"
	b.ends("challenges", errorOf(b.Prove(ctx, s.ID(), p)), session.ErrFull)
	b.pass(time.Minute - 64*time.Millisecond)
	b.ends("challenges, one is forgotten", errorOf(b.Prove(ctx, s.ID(), p)), nil)

	// So many rotations that nobody has followed are no room for a device, either.
	login := b.login()
	for range 64 {
		if login, err = b.Rotate(ctx, session.Token(login), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	b.ends("Bind", errorOf(b.Bind(ctx, session.Token(login), aProof(""))), session.ErrFull)
	if device := b.field(login, "b"); device != "" {
		t.Error("the Bind that was refused has bound it")
	}
}

// TestBoundRotates: nothing but a proof gives a bound session another token.
func TestBoundRotates(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	ctx, login := t.Context(), b.login()
	bound := b.bind(login)
	b.pass(time.Minute)
	proved := b.prove(bound)
	for what, s := range map[string]session.Session{"the newest": proved, "the one before": bound, "the oldest": login} {
		before := described(t, b.opens(what, session.Token(s), nil))
		rotated, err := b.Rotate(ctx, session.Token(s), time.Minute)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if session.Token(rotated) != session.Token(s) || described(t, rotated) != before {
			t.Errorf("%s: got another, %+v, was %+v", what, described(t, rotated), before)
		}
	}
	if err := errors.Join(b.Refresh(ctx, bound.ID()), proved.Set(ctx, "cart", "book")); err != nil {
		t.Error(err)
	}
	b.shows("after a refresh", described(t, b.opens("proved", session.Token(proved), nil)), b.now.Add(boundFor))
}

// TestBoundLogins: the next login of the session ends the binding.
func TestBoundLogins(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	ctx := t.Context()
	for _, l := range []session.Login{{User: "ada"}, {User: "ada", Reauthentication: true}} {
		login := b.login()
		bound := b.bind(login)
		proved := b.prove(bound)
		again, err := b.Login(ctx, session.Token(bound), l)
		if err != nil {
			t.Fatal(err)
		}
		if device, err := session.DeviceOf(again); device != "" || err != nil || described(t, again).Bound || !described(t, again).ProvedUntil.IsZero() || strings.HasSuffix(session.Token(again), "DEVICE") {
			t.Errorf("got the device %q, %v", device, err)
		}
		for what, s := range map[string]session.Session{"login": login, "bound": bound, "proved": proved} {
			b.opens(what, session.Token(s), session.ErrNotFound)
		}
		b.ends("Prove", errorOf(b.Prove(ctx, bound.ID(), aProof("after"))), session.ErrUnbound)
		b.opens("again", session.Token(again), nil)
		for _, field := range []string{"b", "q", "o", "x", "r"} {
			if b.field(bound, field) != "" {
				t.Errorf("the record keeps the field %s", field)
			}
		}
		b.opens("bound again", session.Token(b.bind(again)), nil)
		if _, err := b.RemoveUserSessions(ctx, "ada"); err != nil {
			t.Fatal(err)
		}
		b.ends("Prove after a revocation", errorOf(b.Prove(ctx, bound.ID(), aProof("after"))), session.ErrNotFound)
		b.pass(time.Second) // a login at the time of a revocation is refused
	}
}

// TestBoundAnonymous: a login takes a session that is bound, and gives it back as it was
// if it is refused.
func TestBoundAnonymous(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	ctx, s := t.Context(), generate(t, b.Store)
	if err := s.Set(ctx, "cart", "book"); err != nil {
		t.Fatal(err)
	}
	bound := b.bind(s)
	b.opens("bound", session.Token(bound), nil)
	b.login()
	full := session.Login{User: "ada", MaxSessions: 1}
	b.ends("Login, refused", errorOf(b.Login(ctx, session.Token(bound), full)), session.ErrUserLimit)
	b.shows("given back", described(t, b.opens("given back", session.Token(bound), nil)), b.now.Add(boundFor))
	proved := b.prove(bound)
	b.pass(boundFor)
	b.ends("Login, ended", errorOf(b.Login(ctx, session.Token(proved), session.Login{User: "bob"})), session.ErrNotFound)
	in, err := b.Login(ctx, session.Token(b.prove(bound)), session.Login{User: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	if device, err := session.DeviceOf(b.opens("bob", session.Token(in), nil)); device != "" || err != nil {
		t.Errorf("got the device %q, %v", device, err)
	}
	b.ends("Prove", errorOf(b.Prove(ctx, bound.ID(), aProof("after"))), session.ErrNotFound)

	s = generate(t, b.Store)
	if err := b.client.HSet(ctx, keyOf(b.Store, s.ID()), "b", "1795320063x85"+theDevice).Err(); err != nil {
		t.Fatal(err)
	}
	if err := errorOf(b.Login(ctx, session.Token(s), session.Login{User: "bob"})); endingOf(err) != endsUnreadable {
		t.Errorf("Login from what cannot be read: got %v", err)
	}
}

// TestBoundWithoutMark: where a record says that it is bound a token has an end, whatever
// it looks like.
func TestBoundWithoutMark(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	login := b.login()
	ends := b.now.Add(boundFor)
	if err := b.client.HSet(t.Context(), keyOf(b.Store, login.ID()), "b", fmt.Sprint(ends.UnixMilli(), theDevice)).Err(); err != nil {
		t.Fatal(err)
	}
	b.shows("bound", described(t, b.opens("bound", session.Token(login), nil)), ends)
	b.pass(boundFor - time.Millisecond)
	b.opens("at last", session.Token(login), nil)
	b.pass(time.Millisecond)
	b.opens("at its end", session.Token(login), session.ErrReused)
}

// TestBoundByChance: one secret in a billion ends as those of bound sessions do.
func TestBoundByChance(t *testing.T) {
	t.Parallel()
	b := newBinder(t)
	login := b.login()
	const secret = "ABCDEFGHIJKLMNOPQRSTDEVICE"
	sum := sha256.Sum256([]byte(secret))
	if err := b.client.HSet(t.Context(), keyOf(b.Store, login.ID()), "h", sum[:]).Err(); err != nil {
		t.Fatal(err)
	}
	clientToken := login.ID() + "." + secret
	same := b.opens("by chance", clientToken, nil)
	if info := described(t, same); info.Bound || !info.ProvedUntil.IsZero() {
		t.Errorf("got %+v, though nobody has bound it", info)
	}
	b.bind(same)
	b.shows("from before", described(t, b.opens("from before", clientToken, nil)), time.Time{})
}

// TestBoundStores looks at all that a server holds, and was sent.
func TestBoundStores(t *testing.T) {
	t.Parallel()
	w, client := wired(t, redistest.Start(t))
	st := &redis.Store{Client: client, OpTimeout: time.Minute}
	ctx := t.Context()
	s, err := st.Generate(ctx, "id")
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{"a challenge of its own"}
	keep := func(s session.Session, err error) {
		if err != nil {
			t.Fatal(err)
		}
		_, secret, _ := strings.Cut(session.Token(s), ".")
		secrets = append(secrets, secret)
	}
	keep(st.Bind(ctx, session.Token(s), aProof("")))
	keep(st.Prove(ctx, "id", aProof(secrets[0])))
	keep(st.Open(ctx, "id."+secrets[1]))
	var words []string
	for _, request := range w.take(t) {
		words = append(words, request...)
	}
	for _, stored := range storedWords(t, client) {
		words = append(words, stored...)
	}
	for i, secret := range secrets {
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(word, secret) }) {
			t.Errorf("secret %d was sent to the server, or is stored", i)
		}
	}
	if keys, err := client.Keys(ctx, "*").Result(); len(keys) != 1 || err != nil {
		t.Errorf("got the keys %q, %v, want one", keys, err)
	}
}
