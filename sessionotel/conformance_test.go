package sessionotel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessionotel"
	"github.com/mist-contrib/session/sessiontest"
)

// An issuingStore notes the secrets that it issues.
type issuingStore struct {
	session.DeviceStore
	*issued
}

type issued struct {
	mu      sync.Mutex
	secrets []string
}

func (i *issued) note(s session.Session, err error) (session.Session, error) {
	if err == nil {
		_, secret, _ := strings.Cut(session.Token(s), ".")
		i.mu.Lock()
		defer i.mu.Unlock()
		i.secrets = append(i.secrets, secret)
	}
	return s, err
}

func (s issuingStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return s.note(s.DeviceStore.Generate(ctx, id))
}

func (s issuingStore) Rotate(ctx context.Context, token string, grace time.Duration) (session.Session, error) {
	return s.note(s.DeviceStore.Rotate(ctx, token, grace))
}

func (s issuingStore) Login(ctx context.Context, token string, l session.Login) (session.Session, error) {
	return s.note(s.DeviceStore.Login(ctx, token, l))
}

func (s issuingStore) Bind(ctx context.Context, token string, p session.Proof) (session.Session, error) {
	return s.note(s.DeviceStore.Bind(ctx, token, p))
}

func (s issuingStore) Prove(ctx context.Context, id string, p session.Proof) (session.Session, error) {
	return s.note(s.DeviceStore.Prove(ctx, id, p))
}

// leaks counts the places of text that are eight characters of a secret.
func (i *issued) leaks(text string) (n int) {
	pieces := make(map[string]bool)
	for _, secret := range i.secrets {
		for j := range len(secret) - 7 {
			pieces[secret[j:j+8]] = true
		}
	}
	for j := range len(text) - 7 {
		if pieces[text[j:j+8]] {
			n++
		}
	}
	return n
}

// A wrapped store passes the whole conformance suite, and nothing that is recorded
// of it has a secret in it.
func TestConformance(t *testing.T) {
	tel, made := &telemetry{}, &issued{}
	sessiontest.TestStore(t, sessiontest.Harness{
		Idle: 30 * time.Minute, Absolute: 12 * time.Hour,
		Capabilities: sessiontest.AllCapabilities,
		New: func(*testing.T) session.Store {
			return &sessionotel.Store{
				Store:          issuingStore{&memory.Store{}, made},
				TracerProvider: tel, MeterProvider: tel.meters(),
			}
		},
	})
	recorded := tel.all()
	t.Logf("%d secrets, %d bytes recorded", len(made.secrets), len(recorded))
	if n := made.leaks(recorded); n > 0 {
		t.Errorf("%d pieces of secrets were recorded", n)
	}
	if len(made.secrets) < 100 || len(recorded) < 10_000 {
		t.Error("too little happened: this shows nothing")
	}
}

// A tokenStore is memory without users, a plainStore without all that is optional.
type (
	tokenStore struct{ session.TokenStore }
	plainStore struct{ session.Store }
)

func (s plainStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return plain(s.Store.Generate(ctx, id))
}

func (s plainStore) Get(ctx context.Context, id string) (session.Session, error) {
	return plain(s.Store.Get(ctx, id))
}

func plain(s session.Session, err error) (session.Session, error) {
	if err != nil {
		return nil, err
	}
	return struct{ session.Session }{s}, nil
}

// A wrapped store can do what the one behind it can, and no more.
func TestConformanceOfLess(t *testing.T) {
	for name, c := range map[string]struct {
		capabilities sessiontest.Capability
		store        func() session.Store
	}{
		"no users": {sessiontest.AllCapabilities &^ sessiontest.UserStore, func() session.Store { return tokenStore{&memory.Store{}} }},
		"plain":    {0, func() session.Store { return plainStore{&memory.Store{}} }},
		"faults on the way": {sessiontest.AllCapabilities, func() session.Store {
			return &sessiontest.FaultStore{Store: &memory.Store{}}
		}},
		"twice": {sessiontest.AllCapabilities, func() session.Store {
			return &sessionotel.Store{Store: &memory.Store{}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			sessiontest.TestStore(t, sessiontest.Harness{
				Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Capabilities: c.capabilities,
				New: func(*testing.T) session.Store { return &sessionotel.Store{Store: c.store()} },
			})
		})
	}
}

// The wrapper does not go round a store in between.
func TestStoreOverFaults(t *testing.T) {
	faults := &sessiontest.FaultStore{Store: &memory.Store{}, Plan: func(sessiontest.Call) sessiontest.Fault { return sessiontest.FailBefore }}
	st := &sessionotel.Store{Store: faults}
	us := users(t, st)
	for name, call := range operations(t, st, fakeSession{sessiontest.ErrFault}) {
		if err := call(t.Context()); !errors.Is(err, sessiontest.ErrFault) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if us != users(t, st) {
		t.Error("asked twice, it is not the same")
	}
}

// A countingStore stands before a store that can do more, as a wrapper may.
type countingStore struct {
	session.TokenStore

	opened *int
}

func (s countingStore) Open(ctx context.Context, token string) (session.Session, error) {
	*s.opened++
	return s.TokenStore.Open(ctx, token)
}

func (s countingStore) Unwrap() session.Store { return s.TokenStore }

// Tokens are opened where the Manager would open them, recorded, with users and
// without.
func TestStoreOpens(t *testing.T) {
	for name, open := range map[string]func(inner session.TokenStore) session.Store{
		"no users":                func(inner session.TokenStore) session.Store { return tokenStore{inner} },
		"users behind the tokens": func(inner session.TokenStore) session.Store { return inner },
	} {
		opened, tel := 0, &telemetry{}
		m := &session.Manager{
			Store: &sessionotel.Store{
				Store:          open(countingStore{&memory.Store{}, &opened}),
				TracerProvider: tel, MeterProvider: tel.meters(),
			},
			Propagator: &header.Propagator{},
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", "Bearer "+carried)
		if _, err := m.GetSession(&mist.Context{Request: r}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
		if got := fmt.Sprint(opened, tel.spans()); got != "1 [session.open operation=open id=id outcome=not_found]" {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

// The id of a plain store is what clients carry: no span has it. What is no id is
// in none either, whoever passes it.
func TestStoreHidesIdentifiers(t *testing.T) {
	tel := &telemetry{}
	st := &sessionotel.Store{Store: plainStore{&memory.Store{}}, TracerProvider: tel, MeterProvider: tel.meters()}
	s, err := st.Generate(t.Context(), "plain-identifier")
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Set(t.Context(), "key", "value")
	_ = st.Refresh(t.Context(), "plain-identifier")
	_, _ = st.Get(t.Context(), "plain-identifier")
	_ = st.Remove(t.Context(), "plain-identifier")

	st = &sessionotel.Store{Store: &memory.Store{}, TracerProvider: tel, MeterProvider: tel.meters()}
	us := users(t, st)
	for _, bad := range []string{"plain-identifier" + carried, "plain-identifier", "plain-identifier." + secret[:20], ""} {
		_, _ = us.Open(t.Context(), bad+" ")
		_, _ = us.Rotate(t.Context(), bad+" ", 0)
		_, _ = us.Login(t.Context(), bad+" ", session.Login{User: "plain-identifier"})
		_, _ = st.Get(t.Context(), bad+".")
	}
	recorded := tel.all()
	if strings.Contains(recorded, "plain-identifier") || strings.Contains(recorded, " id=") {
		t.Errorf("recorded:\n%s", recorded)
	}
	if n := strings.Count(recorded, "\n"); n < 30 {
		t.Errorf("only %d lines were recorded", n)
	}
}

// Check finds what is wrong with the store behind the wrapper.
func TestManagerCheck(t *testing.T) {
	var nobody *memory.Store
	for name, c := range map[string]struct {
		store session.Store
		good  bool
	}{
		"good":          {&memory.Store{}, true},
		"misconfigured": {&memory.Store{IdleTimeout: -1}, false},
		"nil":           {nil, false},
		"nil pointer":   {nobody, false},
		"nil inside":    {&sessionotel.Store{}, false},
	} {
		m := &session.Manager{Store: &sessionotel.Store{Store: c.store}, Propagator: &cookie.Propagator{}}
		if err := m.Check(); (err == nil) != c.good {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
