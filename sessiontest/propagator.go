package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
)

// A PropagatorHarness tells [TestPropagator] how to make propagators.
type PropagatorHarness struct {
	// New returns a propagator.
	New func() session.Propagator

	// Carry does what a client does with the header of a response before it
	// sends its next request. If it is nil, the client keeps cookies, as a
	// browser does.
	Carry func(response http.Header, next *http.Request)
}

// A propagatorRule is one promise of a propagator.
type propagatorRule struct {
	name  string
	check func(h PropagatorHarness) error
}

// TestPropagator runs the conformance suite on the propagators of h, with a subtest
// for each rule.
func TestPropagator(t *testing.T, h PropagatorHarness) {
	t.Helper()
	if h.New == nil || h.New() == nil {
		t.Fatal("sessiontest: PropagatorHarness.New is nil, or returned nil")
	}
	for _, r := range propagatorRules() {
		t.Run(r.name, func(t *testing.T) {
			t.Helper() // a failure names the line that calls TestPropagator
			if err := h.check(r); err != nil {
				t.Error(violation(err, r.name, ""))
			}
		})
	}
}

// injected has the shape of a token, and belongs to no session.
const injected = "1b4e28ba-2fa1-41d2-883f-0016d3cca427.AAAABBBBCCCCDDDDEEEEFFFFGG"

func propagatorRules() []propagatorRule {
	return []propagatorRule{
		{"Extract returns what Inject wrote to the response before", comesBack},
		{"a request without an identifier gives ErrNotFound", noneIsNotFound},
		{"the identifier that was injected last counts", lastCounts},
		{"after Remove the next request has none", removeForgets},
		{"after Remove and Inject the next request has the new one", removeThenInject},
		{"an identifier that cannot travel unchanged is refused and the header stays", cannotTravel},
		{"other headers of the response stay", othersStay},
		{"a response that carries an identifier is not stored by caches", notCached},
		{"Extract only reads", extractReads},
		{"concurrent requests do not mix", propagatorTogether},
		{"a nil request or writer is an error", missingParts},
	}
}

func (h PropagatorHarness) check(r propagatorRule) error { return distinct(r.check(h)) }

// round runs the writes on one response and returns the client's next request.
func (h PropagatorHarness) round(writes ...func(w http.ResponseWriter) error) (*http.Request, error) {
	next := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	rec := httptest.NewRecorder()
	for _, write := range writes {
		if err := write(rec); err != nil {
			return nil, err
		}
	}
	if h.Carry != nil {
		h.Carry(rec.Header(), next)
		return next, nil
	}
	last := make(map[string]*http.Cookie)
	for _, c := range (&http.Response{Header: rec.Header()}).Cookies() {
		last[c.Name] = c
	}
	for _, c := range last {
		if c.MaxAge >= 0 {
			next.AddCookie(c)
		}
	}
	return next, nil
}

func inject(p session.Propagator, id string) func(w http.ResponseWriter) error {
	return func(w http.ResponseWriter) error {
		if err := p.Inject(id, w); err != nil {
			return wrong(err, nil, "Inject")
		}
		return nil
	}
}

func remove(p session.Propagator) func(w http.ResponseWriter) error {
	return func(w http.ResponseWriter) error {
		if err := p.Remove(w); err != nil {
			return wrong(err, nil, "Remove")
		}
		return nil
	}
}

func wantNone(p session.Propagator, next *http.Request) error {
	if _, err := p.Extract(next); !errors.Is(err, session.ErrNotFound) {
		return wrong(err, session.ErrNotFound, "Extract")
	}
	return nil
}

func wantCarried(p session.Propagator, next *http.Request, want string) error {
	got, err := p.Extract(next)
	if err != nil {
		return wrong(err, nil, "Extract")
	}
	if got != want {
		return errors.New("Extract: got another identifier, want the one that was injected last")
	}
	return nil
}

func comesBack(h PropagatorHarness) error {
	for _, id := range []string{injected, "x", strings.Repeat("x", 155), "plain-id_!#$%&'()*+./:<=>?@[]^`{|}~"} {
		p := h.New()
		next, err := h.round(inject(p, id))
		if err != nil {
			return err
		}
		if err := wantCarried(p, next, id); err != nil {
			return err
		}
	}
	return nil
}

func noneIsNotFound(h PropagatorHarness) error {
	p := h.New()
	next, err := h.round()
	if err != nil {
		return err
	}
	if err := wantNone(p, next); err != nil {
		return err
	}
	return wantNone(p, &http.Request{})
}

func lastCounts(h PropagatorHarness) error {
	p := h.New()
	next, err := h.round(inject(p, "first"), inject(p, "second"), inject(p, injected))
	if err != nil {
		return err
	}
	return wantCarried(p, next, injected)
}

func removeForgets(h PropagatorHarness) error {
	p := h.New()
	next, err := h.round(inject(p, injected), remove(p))
	if err != nil {
		return err
	}
	return wantNone(p, next)
}

func removeThenInject(h PropagatorHarness) error {
	p := h.New()
	next, err := h.round(remove(p), inject(p, injected))
	if err != nil {
		return err
	}
	return wantCarried(p, next, injected)
}

func cannotTravel(h PropagatorHarness) error {
	for _, id := range []string{
		"", " ", "a b", "a\r\nSet-Cookie: x=y", "a\nb", "a\x00b", "a;b", "a,b", `a"b`, `a\b`, "é", "\x7f", "\xff", strings.Repeat("x", 10_000),
	} {
		rec := httptest.NewRecorder()
		rec.Header().Set("X-Other", "stays")
		before := rec.Header().Clone()
		p := h.New()
		err := p.Inject(id, rec)
		if err == nil && id != "" { // allowed if the identifier travels unchanged, as in some headers
			next, err := h.round(inject(p, id))
			if err != nil {
				return err
			}
			if err := wantCarried(p, next, id); err != nil {
				return fmt.Errorf("after Inject of %q: %w", short(id), err)
			}
			continue
		}
		if !errors.Is(err, session.ErrInvalidID) {
			return wrong(err, session.ErrInvalidID, "Inject of %q", short(id))
		}
		if !reflect.DeepEqual(rec.Header(), before) {
			return fmt.Errorf("Inject of %q, which was refused: got a changed header, want the header as it was", short(id))
		}
	}
	return nil
}

func othersStay(h PropagatorHarness) error {
	p := h.New()
	rec := httptest.NewRecorder()
	rec.Header().Set("X-Other", "stays")
	rec.Header().Add("Set-Cookie", "other=stays; Path=/")
	rec.Header().Add("Vary", "Accept")
	if err := errors.Join(p.Inject(injected, rec), p.Remove(rec)); err != nil {
		return wrong(err, nil, "Inject or Remove")
	}
	for name, want := range map[string]string{"X-Other": "stays", "Set-Cookie": "other=stays; Path=/", "Vary": "Accept"} {
		if !strings.Contains(strings.Join(rec.Header()[name], "\n"), want) {
			return fmt.Errorf("after Inject and Remove: got the header %s without the application's own value, want the value to stay", name)
		}
	}
	return nil
}

func notCached(h PropagatorHarness) error {
	p := h.New()
	for _, write := range []func(w http.ResponseWriter) error{inject(p, injected), remove(p)} {
		rec := httptest.NewRecorder()
		rec.Header().Set("Cache-Control", "public, max-age=3600")
		if err := write(rec); err != nil {
			return err
		}
		if got := rec.Header().Get("Cache-Control"); !strings.Contains(got, "no-store") {
			return fmt.Errorf("Cache-Control of the response: got %q, want no-store in it", got)
		}
	}
	return nil
}

func extractReads(h PropagatorHarness) error {
	p := h.New()
	next, err := h.round(inject(p, injected))
	if err != nil {
		return err
	}
	before := next.Header.Clone()
	for range 2 {
		if err := wantCarried(p, next, injected); err != nil {
			return err
		}
	}
	if !reflect.DeepEqual(next.Header, before) {
		return errors.New("Extract: got a request with another header afterwards, want the header as it was")
	}
	return nil
}

func propagatorTogether(h PropagatorHarness) error {
	p := h.New()
	// All inject before any extracts, so that shared state is found in every
	// order of the goroutines.
	var next [many]*http.Request
	id := func(i int) string { return fmt.Sprint("visitor-", i) }
	err := together(func(i int) (err error) {
		next[i], err = h.round(inject(p, id(i)))
		return err
	})
	if err != nil {
		return err
	}
	return together(func(i int) error {
		for range 20 {
			if err := wantCarried(p, next[i], id(i)); err != nil {
				return err
			}
		}
		return nil
	})
}

func missingParts(h PropagatorHarness) error {
	p := h.New()
	if _, err := p.Extract(nil); err == nil || errors.Is(err, session.ErrNotFound) {
		return unexpected(err, ownError, "Extract of a nil request")
	}
	if p.Inject(injected, nil) == nil || p.Remove(nil) == nil {
		return errors.New("Inject or Remove with a nil writer: got no error, want one")
	}
	return nil
}
