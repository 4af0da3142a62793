package sessiontest

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
)

// A brokenPropagator is a cookie propagator. The hooks that are set take the place of its
// methods.
type brokenPropagator struct {
	cookie.Propagator

	inject  func(id string, w http.ResponseWriter) error
	extract func(r *http.Request) (string, error)
	remove  func(w http.ResponseWriter) error
}

func (m *brokenPropagator) Inject(id string, w http.ResponseWriter) error {
	if m.inject != nil {
		return m.inject(id, w)
	}
	return m.Propagator.Inject(id, w)
}

func (m *brokenPropagator) Extract(r *http.Request) (string, error) {
	if m.extract != nil {
		return m.extract(r)
	}
	return m.Propagator.Extract(r)
}

func (m *brokenPropagator) Remove(w http.ResponseWriter) error {
	if m.remove != nil {
		return m.remove(w)
	}
	return m.Propagator.Remove(w)
}

// TestPropagatorRulesCanFail holds every rule against a propagator that breaks
// it.
func TestPropagatorRulesCanFail(t *testing.T) {
	broken := brokenPropagators()
	for _, r := range propagatorRules() {
		t.Run(r.name, func(t *testing.T) {
			good := PropagatorHarness{New: func() session.Propagator { return &cookie.Propagator{} }}
			if err := r.check(good); err != nil {
				t.Errorf("a good propagator: %v", err)
			}
			if broken[r.name] == nil {
				t.Fatal("no propagator breaks this rule")
			}
			bad := PropagatorHarness{New: func() session.Propagator {
				m := new(brokenPropagator)
				broken[r.name](m)
				return m
			}}
			if r.check(bad) == nil {
				t.Error("the rule found nothing wrong")
			}
		})
		delete(broken, r.name)
	}
	for name := range broken {
		t.Errorf("there are propagators for an unknown rule: %s", name)
	}
}

func brokenPropagators() map[string]func(m *brokenPropagator) {
	setCookie := func(id string, w http.ResponseWriter) error {
		http.SetCookie(w, &http.Cookie{Name: "__Host-Http-session", Value: id, Path: "/", Secure: true, HttpOnly: true})
		return nil
	}
	return map[string]func(m *brokenPropagator){
		"Extract returns what Inject wrote to the response before": func(m *brokenPropagator) {
			m.extract = func(r *http.Request) (string, error) {
				id, err := m.Propagator.Extract(r)
				return strings.ToLower(id), err
			}
		},
		"a request without an identifier gives ErrNotFound": func(m *brokenPropagator) {
			m.extract = func(r *http.Request) (string, error) {
				id, err := m.Propagator.Extract(r)
				if errors.Is(err, http.ErrNoCookie) {
					err = nil
				}
				return id, err
			}
		},
		"the identifier that was injected last counts": func(m *brokenPropagator) {
			m.inject = func(id string, w http.ResponseWriter) error {
				if w.Header().Get("Set-Cookie") != "" {
					return nil
				}
				return m.Propagator.Inject(id, w)
			}
		},
		"after Remove the next request has none": func(m *brokenPropagator) {
			m.remove = func(http.ResponseWriter) error { return nil }
		},
		"after Remove and Inject the next request has the new one": func(m *brokenPropagator) {
			m.inject = func(id string, w http.ResponseWriter) error {
				if strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
					return nil
				}
				return m.Propagator.Inject(id, w)
			}
		},
		"an identifier that cannot travel unchanged is refused and the header stays": func(m *brokenPropagator) { m.inject = setCookie },
		"other headers of the response stay": func(m *brokenPropagator) {
			m.inject = func(id string, w http.ResponseWriter) error {
				w.Header().Del("Set-Cookie")
				return m.Propagator.Inject(id, w)
			}
		},
		"a response that carries an identifier is not stored by caches": func(m *brokenPropagator) { m.inject = setCookie },
		"Extract only reads": func(m *brokenPropagator) {
			m.extract = func(r *http.Request) (string, error) {
				id, err := m.Propagator.Extract(r)
				r.Header.Del("Cookie")
				return id, err
			}
		},
		"concurrent requests do not mix": func(m *brokenPropagator) {
			var last atomic.Value
			m.inject = func(id string, w http.ResponseWriter) error {
				last.Store(id)
				return m.Propagator.Inject(id, w)
			}
			m.extract = func(*http.Request) (string, error) {
				id, _ := last.Load().(string)
				return id, nil
			}
		},
		"a nil request or writer is an error": func(m *brokenPropagator) {
			m.extract = func(r *http.Request) (string, error) {
				if r == nil {
					return "", session.ErrNotFound
				}
				return m.Propagator.Extract(r)
			}
		},
	}
}

// TestCarry: a propagator that is no cookie tells how its client carries.
func TestCarry(t *testing.T) {
	TestPropagator(t, PropagatorHarness{
		New: func() session.Propagator {
			m := new(brokenPropagator) // cookies in another header, to have the rest for free
			m.extract = func(r *http.Request) (string, error) {
				if r == nil {
					return "", errors.New("no request")
				}
				return m.Propagator.Extract(&http.Request{Header: http.Header{"Cookie": r.Header["X-Session"]}})
			}
			return m
		},
		Carry: func(response http.Header, next *http.Request) {
			for _, c := range (&http.Response{Header: response}).Cookies() {
				if c.MaxAge >= 0 {
					next.Header.Set("X-Session", c.Name+"="+c.Value)
				}
			}
		},
	})
}
