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

func noneAdopted() []rule {
	return []rule{
		{"a call with an unknown id creates no session", 0, unknownMakesNone},
		{"a token that the store did not issue names nothing", TokenStore, unknownToken},
		{"an id with special characters is refused or reaches no other session", 0, strangeIDs},
	}
}

func unknownMakesNone(ctx context.Context, e *env) error {
	id := uuid.NewString()
	if _, err := e.store.Get(ctx, id); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Get of an unknown id")
	}
	if err := e.store.Refresh(ctx, id); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Refresh of an unknown id")
	}
	if err := e.store.Remove(ctx, id); err != nil {
		return wrong(err, nil, "Remove of an unknown id")
	}
	if _, err := e.store.Get(ctx, id); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Get of an id after Get, Refresh and Remove of it")
	}
	_, err := e.generateID(ctx, id)
	return err
}

func unknownToken(ctx context.Context, e *env) error {
	id := uuid.NewString()
	carried := id + "." + strings.Repeat("B", 26)
	if _, err := e.tokens.Open(ctx, carried); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Open of a token of no session")
	}
	if _, err := e.tokens.Rotate(ctx, carried, time.Hour); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Rotate of a token of no session")
	}
	s, err := e.generateID(ctx, id)
	if err != nil {
		return err
	}
	if _, err := e.tokens.Open(ctx, carried); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Open with a secret that was sent before Generate made the session")
	}
	return e.alive(ctx, s)
}

func strangeIDs(ctx context.Context, e *env) error {
	witness, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	ids := []string{
		"", " ", "*", "?", "[a-z]", "{tag}", "a b", "a\nb", "a\r\nDEL x", "\x00", "é", "../up", "a.b", "a:b",
		witness.ID() + "*", witness.ID() + "\x00", "*" + witness.ID(), strings.Repeat("x", 100_000),
	}
	for _, id := range ids {
		made, err := e.store.Generate(ctx, id)
		switch {
		case errors.Is(err, session.ErrInvalidID):
			if _, err := e.store.Get(ctx, id); !errors.Is(err, session.ErrNotFound) {
				return wrong(err, session.ErrNotFound, "Get of the id %q, which Generate refused", short(id))
			}
			if err := e.store.Refresh(ctx, id); !errors.Is(err, session.ErrNotFound) {
				return wrong(err, session.ErrNotFound, "Refresh of the id %q, which Generate refused", short(id))
			}
		case err != nil:
			return unexpected(err, "no error or session.ErrInvalidID", "Generate of the id %q", short(id))
		default:
			if err := made.Set(ctx, "mine", true); err != nil {
				return wrong(err, nil, "Set by a session with the id %q", short(id))
			}
			if err := e.holds(ctx, made, "mine", true); err != nil {
				return err
			}
		}
		if err := e.store.Remove(ctx, id); err != nil {
			return wrong(err, nil, "Remove of the id %q", short(id))
		}
	}
	return errors.Join(e.holds(ctx, witness, "kept", 1), e.holds(ctx, witness, "mine", nil))
}

func notFoundIsNotFailure() []rule {
	return []rule{
		{"unknown, malformed, expired and removed look the same", 0, allLookTheSame},
		{"an ended context is not reported as ErrNotFound", 0, endedIsNotNotFound},
	}
}

func allLookTheSame(ctx context.Context, e *env) error {
	gone, err := e.generate(ctx)
	if err != nil {
		return err
	}
	if err := removed(ctx, e, gone); err != nil {
		return err
	}
	old, err := e.generate(ctx)
	if err != nil {
		return err
	}
	e.Advance(e.after(e.Idle))
	_, unknown := e.store.Get(ctx, uuid.NewString())
	if !errors.Is(unknown, session.ErrNotFound) {
		return wrong(unknown, session.ErrNotFound, "Get of an unknown id")
	}
	alike := func(err error, call, what string) error {
		switch {
		case !errors.Is(err, session.ErrNotFound):
			return wrong(err, session.ErrNotFound, "%s of %s", call, what)
		case err.Error() != unknown.Error():
			return unexpected(err, fmt.Sprintf("the text %q, as for an unknown id", unknown), "%s of %s", call, what)
		}
		return nil
	}
	for what, id := range map[string]string{
		"a removed session": gone.ID(), "an expired session": old.ID(), "an empty id": "", "a malformed id": "not an id",
	} {
		_, err := e.store.Get(ctx, id)
		if err := alike(err, "Get", what); err != nil {
			return err
		}
	}
	if e.tokens == nil {
		return nil
	}
	for what, carried := range map[string]string{
		"what a removed session's client carries": session.Token(gone), "what an expired session's client carries": session.Token(old),
		"an empty string": "", "a malformed string": "no id", "an id": gone.ID(),
	} {
		_, err := e.tokens.Open(ctx, carried)
		if err := alike(err, "Open", what); err != nil {
			return err
		}
	}
	return nil
}

// calls returns every call of a store and of s that takes a context, by name.
func (e *env) calls(s session.Session) map[string]func(ctx context.Context) error {
	calls := map[string]func(ctx context.Context) error{
		"Generate": func(ctx context.Context) error {
			_, err := e.store.Generate(ctx, uuid.NewString())
			return err
		},
		"Get": func(ctx context.Context) error {
			_, err := e.store.Get(ctx, s.ID())
			return err
		},
		"Refresh": func(ctx context.Context) error { return e.store.Refresh(ctx, s.ID()) },
		"Remove":  func(ctx context.Context) error { return e.store.Remove(ctx, s.ID()) },
		"Session.Get": func(ctx context.Context) error {
			_, err := s.Get(ctx, "kept")
			return err
		},
	}
	if e.tokens != nil {
		calls["Open"] = func(ctx context.Context) error {
			_, err := e.tokens.Open(ctx, session.Token(s))
			return err
		}
		calls["Rotate"] = func(ctx context.Context) error {
			_, err := e.tokens.Rotate(ctx, session.Token(s), time.Hour)
			return err
		}
	}
	if e.users != nil {
		calls["Login"] = func(ctx context.Context) error {
			_, err := e.users.Login(ctx, session.Token(s), ada())
			return err
		}
		calls["UserSessions"] = func(ctx context.Context) error {
			_, err := e.users.UserSessions(ctx, "ada")
			return err
		}
		calls["RemoveUserSessions"] = func(ctx context.Context) error {
			_, err := e.users.RemoveUserSessions(ctx, "ada")
			return err
		}
	}
	for name, write := range e.writes() {
		calls["Session."+name] = func(ctx context.Context) error { return write(ctx, s) }
	}
	return calls
}

func endedIsNotNotFound(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	late, cancelLate := context.WithDeadline(ctx, time.Now().Add(-time.Second))
	defer cancelLate()
	for name, call := range e.calls(s) {
		if err := call(canceled); !errors.Is(err, context.Canceled) || errors.Is(err, session.ErrNotFound) {
			return wrong(err, context.Canceled, "%s with a canceled context", name)
		}
		if err := call(late); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, session.ErrNotFound) {
			return wrong(err, context.DeadlineExceeded, "%s after the deadline of its context", name)
		}
	}
	l, err := e.load(ctx, s)
	if err != nil {
		return fmt.Errorf("after calls whose context had ended: %w", err)
	}
	return errors.Join(shows(ctx, l, "kept", 1), shows(ctx, l, "late", nil))
}

func bounded() []rule {
	return []rule{
		{"Update ends with its context", Updater, updateEnds},
		{"hostile tokens are not found", TokenStore, hostileTokens},
	}
}

func updateEnds(ctx context.Context, e *env) error {
	s, err := e.generateWith(ctx, "kept", 1)
	if err != nil {
		return err
	}
	during, cancel := context.WithCancel(ctx)
	defer cancel()
	err = session.Update(during, s, "kept", func(any) (any, error) {
		cancel()
		return 2, nil
	})
	if !errors.Is(err, context.Canceled) {
		return wrong(err, context.Canceled, "Update whose context ends while f runs")
	}
	return e.holds(ctx, s, "kept", 1)
}

func hostileTokens(ctx context.Context, e *env) error {
	s, err := e.generate(ctx)
	if err != nil {
		return err
	}
	good := session.Token(s)
	for _, carried := range []string{
		"", ".", "..", s.ID() + ".", "." + good, good + ".", good + " ", " " + good, good + "\x00", strings.ToLower(good), strings.ToUpper(good) + "1",
		good[:len(good)-1], good + "A", good[:len(good)/2] + good[len(good)/2+1:], good[:len(s.ID())] + ":" + good[len(s.ID())+1:], strings.Repeat(good, 1000),
		"\xff\xfe" + good, "é" + good, "*." + strings.Repeat("A", 26), strings.Repeat("A", 1<<20) + "." + strings.Repeat("A", 26),
	} {
		if _, err := e.tokens.Open(ctx, carried); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Open of a hostile token")
		}
		if _, err := e.tokens.Rotate(ctx, carried, 0); !errors.Is(err, session.ErrNotFound) {
			return wrong(err, session.ErrNotFound, "Rotate of a hostile token")
		}
	}
	return e.alive(ctx, s)
}

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
			for _, carried := range []string{"", session.Token(s), session.Token(hers)[1:]} {
				_, err := e.users.Login(ctx, carried, l)
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
