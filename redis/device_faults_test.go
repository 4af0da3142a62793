package redis_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestBoundLostReplies: a reply that is lost once harms nobody, as go-redis asks again, and
// the second answer is that of the first. One that is lost for good leaves who is logged
// in with a good token, and the device with another try.
func TestBoundLostReplies(t *testing.T) {
	t.Parallel()
	for name, dial := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, direct := single(t)
			loadScripts(t, direct)
			proxy := redistest.NewProxy(t, server.Addr)
			proxy.Match(ours)
			ctx, truth, client := t.Context(), &redis.Store{Client: direct, OpTimeout: time.Minute}, dial(t, proxy.Addr)
			store := &redis.Store{Client: client, OpTimeout: time.Minute}
			for i := range 10 {
				made, err := truth.Generate(ctx, fmt.Sprint(i))
				if err != nil {
					t.Fatal(err)
				}
				proxy.LoseReply(1)
				bound, err := store.Bind(ctx, session.Token(made), aProof(""))
				if err != nil {
					t.Fatalf("Bind: %v", err)
				}
				open(t, truth, session.Token(made)) // nobody has shown the new one
				open(t, truth, session.Token(bound))
				proxy.LoseReply(1)
				proved, err := store.Prove(ctx, made.ID(), aProof("1"))
				if err != nil {
					t.Fatalf("Prove: %v", err)
				}
				for _, s := range []session.Session{made, bound, proved} {
					open(t, truth, session.Token(s))
				}
				for field, want := range map[string]int{"o": 2 * 62, "q": 21} {
					if n, err := direct.Do(ctx, "hstrlen", keyOf(truth, made.ID()), field).Int(); n != want || err != nil {
						t.Errorf("field %s has %d bytes (%v), want %d: it was done once", field, n, err, want)
					}
				}
				if _, err := store.Prove(ctx, made.ID(), aProof("1")); !errors.Is(err, session.ErrReplayed) {
					t.Errorf("the same proof once more: got %v, want ErrReplayed", err)
				}
			}
			lostForGood(t, truth, func(call func(st *redis.Store) error) error {
				proxy.LoseReply(1 << 30)
				defer proxy.LoseReply(0)
				return call(&redis.Store{Client: client, OpTimeout: 100 * time.Millisecond})
			})
		})
	}
}

// lostForGood makes calls that fail.
func lostForGood(t *testing.T, truth *redis.Store, fails func(call func(st *redis.Store) error) error) {
	t.Helper()
	made := generate(t, truth)
	for what, call := range map[string]func(st *redis.Store) error{
		"Bind": func(st *redis.Store) error { return errorOf(st.Bind(t.Context(), session.Token(made), aProof(""))) },
		"Open": func(st *redis.Store) error { return errorOf(st.Open(t.Context(), session.Token(made)+"DEVICE")) },
	} {
		if err := fails(call); err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrBound) {
			t.Errorf("%s: got %v, want a failure", what, err)
		}
		open(t, truth, session.Token(made))
	}
	made = generate(t, truth)
	bound, err := truth.Bind(t.Context(), session.Token(made), aProof(""))
	if err != nil {
		t.Fatal(err)
	}
	err = fails(func(st *redis.Store) error { return errorOf(st.Prove(t.Context(), made.ID(), aProof("lost"))) })
	if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrUnbound) {
		t.Errorf("Prove: got %v, want a failure", err)
	}
	open(t, truth, session.Token(bound))
	proved, err := truth.Prove(t.Context(), made.ID(), aProof("another"))
	if err != nil {
		t.Fatalf("Prove with another challenge: %v", err)
	}
	open(t, truth, session.Token(proved))
}

// TestBoundServerKilled: a server that is killed, and comes back with what it acknowledged,
// has logged nobody out.
func TestBoundServerKilled(t *testing.T) {
	t.Parallel()
	server, client := single(t, "--appendonly", "yes", "--appendfsync", "always")
	st := &redis.Store{Client: client, OpTimeout: time.Minute}
	lostForGood(t, st, func(call func(st *redis.Store) error) error {
		server.Kill()
		err := call(&redis.Store{Client: client, OpTimeout: 300 * time.Millisecond})
		server.Restart(t)
		await(t, "the server", func() bool { return client.Ping(t.Context()).Err() == nil })
		return err
	})
}

// TestBoundLateCopies: what comes late, because go-redis has sent it twice, changes nothing
// after a login of the same session, or a logout.
func TestBoundLateCopies(t *testing.T) {
	t.Parallel()
	w, client := wired(t, redistest.Start(t))
	st := &redis.Store{Client: client, OpTimeout: time.Minute}
	ctx := t.Context()
	s, err := st.Login(ctx, "", session.Login{User: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	copied := func(call func() error) (words []any) {
		w.take(t)
		if err := call(); err != nil {
			t.Fatal(err)
		}
		requests := w.take(t)
		for _, word := range requests[len(requests)-1] { // the first was told that the script is not known
			words = append(words, word)
		}
		return words
	}
	bind := copied(func() error { return errorOf(st.Bind(ctx, session.Token(s), aProof(""))) })
	prove := copied(func() error { return errorOf(st.Prove(ctx, s.ID(), aProof("1"))) })
	const theRecord = "the record"
	arrives := func(when string, words []any, want any) {
		t.Helper()
		before := client.HGetAll(ctx, keyOf(st, s.ID())).String()
		got, err := client.Do(ctx, words...).Result()
		if _, record := got.([]any); err != nil || record != (want == theRecord) || !record && got != want {
			t.Errorf("%s: got %T, %v, want %v", when, got, err, want)
		}
		if after := client.HGetAll(ctx, keyOf(st, s.ID())).String(); after != before {
			t.Errorf("%s: the copy has changed the record", when)
		}
	}
	arrives("Bind after a proof", bind, int64(-7))
	arrives("Prove once more", prove, theRecord)
	proved, err := st.Prove(ctx, s.ID(), aProof("2"))
	if err != nil {
		t.Fatal(err)
	}
	arrives("Prove after another", prove, theRecord)
	if s, err = st.Login(ctx, session.Token(proved), session.Login{User: "ada"}); err != nil {
		t.Fatal(err)
	}
	arrives("Bind after a login", bind, int64(0))
	arrives("Prove after a login", prove, int64(-8))
	if err := st.Remove(ctx, s.ID()); err != nil {
		t.Fatal(err)
	}
	arrives("Bind after a logout", bind, int64(0))
	arrives("Prove after a logout", prove, int64(0))
}

// TestBoundTogether: of proofs at once each gets a good token, of the same proof one does.
func TestBoundTogether(t *testing.T) {
	t.Parallel()
	_, client := single(t)
	st := &redis.Store{Client: client, OpTimeout: patience}
	for range 20 {
		made := generate(t, st)
		binds := together(t, 8, func(ctx context.Context, _ int) (session.Session, error) {
			return st.Bind(ctx, session.Token(made), aProof(""))
		}, session.ErrBound)
		same := together(t, 8, func(ctx context.Context, _ int) (session.Session, error) {
			return st.Prove(ctx, made.ID(), aProof("same"))
		}, session.ErrReplayed)
		own := together(t, 8, func(ctx context.Context, i int) (session.Session, error) {
			return st.Prove(ctx, made.ID(), aProof(fmt.Sprint(i)))
		}, nil)
		if len(binds) != 1 || len(same) != 1 || len(own) != 8 {
			t.Fatalf("%d have bound it, %d had the same proof, %d their own", len(binds), len(same), len(own))
		}
		for _, s := range append(append(binds, same...), own...) {
			if got := open(t, st, session.Token(s)); session.Token(got) != session.Token(s) {
				t.Error("it leads to another token")
			}
		}
	}
}

// together calls f n times at once, and returns the sessions that it got. Another error
// than that is one.
func together(t *testing.T, n int, f func(ctx context.Context, i int) (session.Session, error), want error) (all []session.Session) {
	t.Helper()
	got, errs := make([]session.Session, n), make([]error, n)
	atOnce(n, func(i int) { got[i], errs[i] = f(t.Context(), i) })
	for i, err := range errs {
		switch {
		case err == nil:
			all = append(all, got[i])
		case want == nil || !errors.Is(err, want):
			t.Errorf("got %v, want %v", err, want)
		}
	}
	return all
}
