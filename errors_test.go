package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
)

var sentinels = map[string]error{
	"ErrNotFound":      session.ErrNotFound,
	"ErrMultiple":      session.ErrMultiple,
	"ErrExists":        session.ErrExists,
	"ErrInvalidID":     session.ErrInvalidID,
	"ErrFull":          session.ErrFull,
	"ErrValue":         session.ErrValue,
	"ErrTooLarge":      session.ErrTooLarge,
	"ErrHeaderWritten": session.ErrHeaderWritten,
}

// TestErrorsSurviveWrapping also shows that no error matches another one.
func TestErrorsSurviveWrapping(t *testing.T) {
	for name, sentinel := range sentinels {
		for how, wrapped := range map[string]error{
			"as it is": sentinel,
			"Errorf":   fmt.Errorf("store: %w", sentinel),
			"twice":    fmt.Errorf("manager: %w", fmt.Errorf("store: %w", sentinel)),
			"two":      fmt.Errorf("%w: %w", io.EOF, sentinel),
			"Join":     errors.Join(io.EOF, fmt.Errorf("store: %w", sentinel)),
		} {
			if !errors.Is(wrapped, sentinel) {
				t.Errorf("%s, %s: got no match", name, how)
			}
			for other, target := range sentinels {
				want := name == other || name == "ErrMultiple" && other == "ErrNotFound"
				if got := errors.Is(wrapped, target); got != want {
					t.Errorf("%s, %s, as %s: got %v, want %v", name, how, other, got, want)
				}
			}
			for _, foreign := range []error{errors.ErrUnsupported, http.ErrNoCookie, context.Canceled, context.DeadlineExceeded} {
				if errors.Is(wrapped, foreign) {
					t.Errorf("%s, %s: got a match with %v", name, how, foreign)
				}
			}
		}
	}
}

// The marks must be in no error: an id, a secret, the text of a key and of a value.
const (
	markID     = "MARK-ID"
	markSecret = "MARKSECRETABCDEFGHIJKLMNOP"
	markKey    = "MARK-KEY"
	markValue  = "MARK-VALUE"
)

type (
	markedStranger struct{ V string }
	marked         struct {
		V    string
		lost string
	}
)

// provoked returns errors of this module, each caused by a mistake or an attack.
func provoked(t *testing.T) map[string]struct{ err, want error } {
	t.Helper()
	ctx := t.Context()
	session.Register[marked]()
	ended, cancel := context.WithCancel(ctx)
	cancel()
	store, full := &memory.Store{}, &memory.Store{MaxSessions: 1}
	s, err := store.Generate(ctx, markID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := full.Generate(ctx, "other"); err != nil {
		t.Fatal(err)
	}
	if err := s.Set(ctx, markKey, markValue); err != nil {
		t.Fatal(err)
	}
	number := session.NewKey[int](markKey)
	plain := struct{ session.Session }{s}

	p := &cookie.Propagator{Name: "sid"}
	get := func(cookies ...string) *http.Request {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header["Cookie"] = cookies
		return req
	}
	m := &session.Manager{Store: store, Propagator: p, NewID: func() string { return markID }}
	manage := func(req *http.Request, f func(*mist.Context) (session.Session, error)) error {
		_, err := f(&mist.Context{Request: req, ResponseWriter: httptest.NewRecorder()})
		return err
	}
	second := func(_ any, err error) error { return err }
	typed := func(_ int, _ bool, err error) error { return err }

	all := map[string]struct{ err, want error }{
		"store: Get":                   {second(store.Get(ctx, markID+"x")), session.ErrNotFound},
		"store: Get of a malformed id": {second(store.Get(ctx, markID+"\r\n")), session.ErrNotFound},
		"store: Open":                  {second(store.Open(ctx, markID+"."+markSecret)), session.ErrNotFound},
		"store: Open of no token":      {second(store.Open(ctx, markID+";"+markSecret)), session.ErrNotFound},
		"store: Rotate":                {second(store.Rotate(ctx, markID+"."+markSecret, 0)), session.ErrNotFound},
		"store: Refresh":               {store.Refresh(ctx, markID+"x"), session.ErrNotFound},
		"store: Generate again":        {second(store.Generate(ctx, markID)), session.ErrExists},
		"store: Generate malformed":    {second(store.Generate(ctx, markID+" ")), session.ErrInvalidID},
		"store: Generate one too many": {second(full.Generate(ctx, markID)), session.ErrFull},
		"store: ended context":         {second(store.Get(ended, markID)), context.Canceled},
		"session: ended context":       {s.Set(ended, markKey, markValue), context.Canceled},
		"value: stranger":              {s.Set(ctx, markKey, markedStranger{markValue}), session.ErrValue},
		"value: would lose a part":     {s.Set(ctx, markKey, marked{markValue, markValue}), session.ErrValue},
		"value: map of strangers":      {s.Set(ctx, markKey, map[string]any{markValue: markedStranger{markValue}}), session.ErrValue},
		"value: too large":             {s.Set(ctx, markKey, strings.Repeat(markValue, 1<<17)), session.ErrTooLarge},
		"value: key too large":         {s.Set(ctx, strings.Repeat(markKey, 100), markValue), session.ErrTooLarge},
		"key: Get":                     {typed(number.Get(ctx, s)), session.ErrValue},
		"key: Pop":                     {typed(number.Pop(ctx, s)), session.ErrValue},
		"key: Update":                  {number.Update(ctx, s, func(int) (int, error) { return 0, nil }), session.ErrValue},
		"capability: Delete":           {session.Delete(ctx, plain, markKey), errors.ErrUnsupported},
		"capability: Pop":              {second(session.Pop(ctx, plain, markKey)), errors.ErrUnsupported},
		"capability: SetAll":           {session.SetAll(ctx, plain, map[string]any{markKey: markValue}), errors.ErrUnsupported},
		"cookie: Inject":               {p.Inject(markID+"."+markSecret+"\r\n", httptest.NewRecorder()), session.ErrInvalidID},
		"cookie: Inject too large":     {p.Inject(strings.Repeat(markSecret, 1000), httptest.NewRecorder()), session.ErrInvalidID},
		"cookie: none":                 {second(p.Extract(get("other=" + markSecret))), http.ErrNoCookie},
		"cookie: quoted":               {second(p.Extract(get(`sid="` + markSecret + `"`))), session.ErrNotFound},
		"cookie: two":                  {second(p.Extract(get("sid="+markID, "sid="+markSecret))), session.ErrMultiple},
		"manager: unknown token":       {manage(get("sid="+markID+"."+markSecret), m.GetSession), session.ErrNotFound},
		"manager: no token":            {manage(get("sid="+markID+"."+markSecret+"!"), m.GetSession), session.ErrNotFound},
		"manager: two cookies":         {manage(get("sid="+markID, "sid="+markSecret), m.GetSession), session.ErrMultiple},
		"manager: id in use":           {manage(get(), m.InitSession), session.ErrExists},
	}
	if err := store.Remove(ctx, markID); err != nil {
		t.Fatal(err)
	}
	all["session: Set after Remove"] = struct{ err, want error }{s.Set(ctx, markKey, markValue), session.ErrNotFound}
	all["session: Delete after Remove"] = struct{ err, want error }{session.Delete(ctx, s, markKey), session.ErrNotFound}
	all["store: bad field"] = struct{ err, want error }{(&memory.Store{IdleTimeout: -time.Second}).Refresh(ctx, markID), nil}
	return all
}

// TestErrorsMatchAndAreQuiet: each error matches the documented one, and none repeats
// its input.
func TestErrorsMatchAndAreQuiet(t *testing.T) {
	for name, tt := range provoked(t) {
		if tt.err == nil || tt.want != nil && !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, tt.err, tt.want)
			continue
		}
		for _, text := range []string{tt.err.Error(), fmt.Sprintf("%+v", tt.err), fmt.Sprintf("%#v", tt.err)} {
			for _, mark := range []string{markID, markSecret, markKey, markValue} {
				if strings.Contains(text, mark) {
					t.Errorf("%s: %.200q repeats %s", name, text, mark)
				}
			}
		}
	}
}

// TestErrNotFoundTellsNothing: callers cannot tell an unknown session from one that has
// expired, was removed or was opened with a wrong token.
func TestErrNotFoundTellsNothing(t *testing.T) {
	store, ctx := &memory.Store{}, t.Context()
	for _, id := range []string{"removed", "live"} {
		if _, err := store.Generate(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Remove(ctx, "removed"); err != nil {
		t.Fatal(err)
	}
	texts := map[string]bool{}
	for _, token := range []string{"unknown." + markSecret, "removed." + markSecret, "live." + markSecret, "live", ""} {
		_, err := store.Open(ctx, token)
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", err)
			continue
		}
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("got %v, want one text", texts)
	}
}
