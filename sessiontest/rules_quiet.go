package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

func quiet() []rule {
	return []rule{
		{"no error holds a token, an id or a value", 0, errorsAreQuiet},
		{"no goroutine outlives a call", 0, noGoroutine},
	}
}

func errorsAreQuiet(ctx context.Context, e *env) error {
	const value = "a private value"
	s, err := e.generateWith(ctx, "kept", value)
	if err != nil {
		return err
	}
	secrets := []string{s.ID(), value}
	if e.tokens != nil {
		secrets = append(secrets, secret(session.Token(s)))
	}
	errs := make(map[string][]error) // by call
	tell := func(call string, err error) { errs[call] = append(errs[call], err) }
	_, err = e.store.Generate(ctx, s.ID())
	tell("Generate of a live id", err)
	tell("Set of a value that cannot be stored", s.Set(ctx, "kept", unregistered{value}))
	tell("Set of a long key", s.Set(ctx, strings.Repeat(value, 100), value))
	if e.users != nil {
		l := session.Login{User: value, ID: uuid.NewString()}
		hers, err := e.member(ctx, l)
		if err != nil {
			return err
		}
		secrets = append(secrets, l.ID, session.Token(hers))
		for _, values := range []map[string]any{nil, {"kept": unregistered{value}}, {strings.Repeat(value, 100): value}} {
			l.Values = values
			for _, token := range []string{"", session.Token(s), session.Token(hers)[1:]} {
				_, err := e.users.Login(ctx, token, l)
				tell("Login", err)
			}
		}
	}
	if err := removed(ctx, e, s); err != nil {
		return err
	}
	for name, call := range e.calls(s) {
		tell(name+" of an ended session", call(ctx))
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	for name, call := range e.calls(s) {
		tell(name+" with a canceled context", call(canceled))
	}
	for call, errs := range errs {
		text := fmt.Sprint(errs)
		if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(text, secret) }) {
			return fmt.Errorf("%s: got an error that shows a token, an id or a value, want none of them", call)
		}
	}
	return nil
}

// secret returns the part of a token that only its client knows.
func secret(token string) string {
	if _, secret, ok := strings.Cut(token, "."); ok {
		return secret
	}
	return token
}

func noGoroutine(ctx context.Context, e *env) error {
	const stores, strangers = 16, 4 // strangers are other goroutines of the program that start meanwhile
	for range stores {
		one := &env{Harness: e.Harness, store: e.fresh()}
		one.tokens, _ = capability[session.TokenStore](one.store)
		one.users, _ = capability[session.UserStore](one.store)
		s, err := one.generateWith(ctx, "kept", 1)
		if err != nil {
			return err
		}
		for name, call := range one.calls(s) {
			if err := call(ctx); err != nil && !errors.Is(err, session.ErrNotFound) && !errors.Is(err, errors.ErrUnsupported) {
				return unexpected(err, "no error or session.ErrNotFound", "%s", name)
			}
		}
	}
	// The goroutines of the calls themselves may be about to end.
	more := 0
	for range 200 {
		if more = runtime.NumGoroutine() - e.goroutines; more <= strangers+(stores+1)*e.Goroutines {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("after %d stores were made and used: got %d more goroutines, want at most %d", stores, more, strangers+(stores+1)*e.Goroutines)
}
