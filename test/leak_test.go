package session_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/header"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

// A leak is all secrets that were given out, and all that was written where no
// secret may be.
type leak struct {
	mu      sync.Mutex
	secrets []string
	written map[string]int // how often
}

const (
	leakLength = 8                // so many characters of a secret are a leak
	leakCookie = "__Host-session" // a browser can bind it to its device
)

func (l *leak) issue(secret string) {
	if _, after, ok := strings.Cut(secret, "."); ok {
		secret = after // the id before it is public
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.secrets = append(l.secrets, secret)
}

func (l *leak) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written[string(p)]++
	return len(p), nil
}

// tell writes v in all the ways in which a program might, and an error with all
// that it wraps.
func (l *leak) tell(v any) {
	_, _ = fmt.Fprintf(l, "%v\n%+v\n%#v\n", v, v, v)
	switch e := v.(type) {
	case interface{ Unwrap() error }:
		if err := e.Unwrap(); err != nil {
			l.tell(err)
		}
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			l.tell(err)
		}
	}
}

// search returns a function that counts the pieces of secrets in a text.
func (l *leak) search() func(text string) (leaks int) {
	pieces := make(map[string]bool)
	for _, secret := range l.secrets {
		for i := range len(secret) - leakLength + 1 {
			pieces[secret[i:i+leakLength]] = true
		}
	}
	return func(text string) (leaks int) {
		for i := range max(0, len(text)-leakLength+1) {
			if pieces[text[i:i+leakLength]] {
				leaks++
			}
		}
		return leaks
	}
}

// An issuingStore notes the secrets that it issues, also those whose answer gets
// lost.
type issuingStore struct {
	session.DeviceStore
	*leak
}

func (s issuingStore) note(made session.Session, err error) (session.Session, error) {
	if err == nil {
		s.issue(session.Token(made))
	}
	return made, err
}

func (s issuingStore) Generate(ctx context.Context, id string) (session.Session, error) {
	return s.note(s.DeviceStore.Generate(ctx, id))
}

func (s issuingStore) Open(ctx context.Context, token string) (session.Session, error) {
	return s.note(s.DeviceStore.Open(ctx, token))
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
	s.issue(p.Challenge)
	return s.note(s.DeviceStore.Prove(ctx, id, p))
}

// A leaky is one run of the script: an application with a store that may fail, and
// visitors who do everything.
type leaky struct {
	*testing.T
	*session.Manager
	*leak

	faults *sessiontest.FaultStore
	spy    *webtest.Recorder
	busy   atomic.Bool // OnEvent takes a second
}

func newLeaky(t *testing.T, l *leak, plan func(sessiontest.Call) sessiontest.Fault) *leaky {
	t.Helper()
	store := &memory.Store{IdleTimeout: time.Hour, AbsoluteTimeout: 3 * time.Hour}
	faults := &sessiontest.FaultStore{Store: issuingStore{store, l}, Plan: plan}
	spy, made := &webtest.Recorder{}, 0
	e := &leaky{T: t, leak: l, faults: faults, spy: spy}
	e.Manager = &session.Manager{
		Store: faults,
		Propagator: &webtest.SpyPropagator{Recorder: spy, Propagator: session.Chain{
			&cookie.Propagator{Name: leakCookie}, &header.Propagator{},
		}},
		NewID:           func() string { made++; return fmt.Sprint("session-", made) },
		RenewAfter:      time.Minute,
		MaxUserSessions: 2,
		DeviceBound:     10 * time.Minute,
		OnEvent: func(ctx context.Context, event session.Event) {
			if e.busy.Load() {
				time.Sleep(time.Second)
			}
			l.tell(event)
			if event.Cause != nil {
				l.tell(event.Cause)
			}
			session.LogEvents(nil)(ctx, event)
		},
	}
	return e
}

// visit sends a request and tells all of the answer but its cookies; a panic of
// the handler, too.
func (l *leaky) visit(b *webtest.Browser, edit func(r *http.Request), handler func(ctx *mist.Context) error) {
	ctx, cancel := context.WithTimeout(l.Context(), time.Second)
	defer cancel()
	req := b.Request(ctx)
	if edit != nil {
		edit(req)
	}
	rec := httptest.NewRecorder()
	webtest.Wrap(func(ctx *mist.Context) {
		defer func() {
			if v := recover(); v != nil {
				l.tell(v)
			}
		}()
		if err := handler(ctx); err != nil {
			l.tell(err)
		}
	}, l.Middleware())(&mist.Context{Request: req, ResponseWriter: rec})
	resp := rec.Result()
	for _, c := range resp.Cookies() {
		if b.Cookies == nil {
			b.Cookies = make(map[string]string)
		}
		b.Cookies[c.Name] = c.Value
	}
	h := maps.Clone(resp.Header)
	delete(h, "Set-Cookie")
	delete(h, "Authorization") // of package header, for the program that logs in
	l.tell(h)
	l.tell(rec.Body.String())
}

// The whole use of the module, without a fault and then with every fault at every
// call of the store, tells nobody a secret: no error, log line, event, panic or
// answer has eight characters of one (R46, T-L7, invariant 10).
func TestNothingLeaks(t *testing.T) {
	l := &leak{written: make(map[string]int)}
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{AddSource: true, Level: slog.LevelDebug})))
	log.SetOutput(l)
	defer func() {
		slog.SetDefault(before)
		log.SetOutput(os.Stderr)
	}()
	runs := 0
	run := func(plan func(sessiontest.Call) sessiontest.Fault) (calls int) {
		synctest.Test(t, func(t *testing.T) {
			e := newLeaky(t, l, plan)
			for _, step := range leakScript() {
				step(e)
			}
			calls, runs = len(e.faults.Calls()), runs+1
		})
		return calls
	}
	calls := run(nil)
	for n := range calls {
		for _, kind := range []sessiontest.Fault{sessiontest.FailBefore, sessiontest.FailAfter, sessiontest.Hang} {
			run(func(c sessiontest.Call) sessiontest.Fault {
				if c.N == n+1 {
					return kind
				}
				return sessiontest.None
			})
		}
	}
	run(func(sessiontest.Call) sessiontest.Fault { return sessiontest.FailAfter })

	search, kinds := l.search(), ""
	for text := range l.written {
		if n := search(text); n > 0 {
			t.Errorf("%d pieces of secrets; it begins with %.40q", n, webtest.Tokens.ReplaceAllString(text, "TOKEN"))
		}
		kinds += text
	}
	t.Logf("%d runs of %d calls, %d secrets, %d texts", runs, calls, len(l.secrets), len(l.written))
	for _, kind := range kindsOfEvents(t) {
		if !strings.Contains(kinds, `"kind":"`+kind+`"`) {
			t.Errorf("there was no event %q", kind)
		}
	}
	for _, secret := range l.secrets {
		if search("x"+secret[5:13]+"x") == 0 {
			t.Fatal("a leak would not be found")
		}
	}
	if calls < 40 || len(l.secrets) < 1000 {
		t.Error("too little happened: this shows nothing")
	}
}

// kindsOfEvents returns all kinds of events that there are.
func kindsOfEvents(t *testing.T) (kinds []string) {
	t.Helper()
	source, err := os.ReadFile("../event.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`EventKind += "(\w+)"`).FindAllSubmatch(source, -1) {
		kinds = append(kinds, string(found[1]))
	}
	if len(kinds) < 20 {
		t.Errorf("got the kinds of events %q, want 20 or more", kinds)
	}
	return kinds
}
