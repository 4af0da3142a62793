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

// A mule is a cookie propagator that is broken where its hooks are set.
type mule struct {
	cookie.Propagator

	inject  func(id string, w http.ResponseWriter) error
	extract func(r *http.Request) (string, error)
	remove  func(w http.ResponseWriter) error
}

func (m *mule) Inject(id string, w http.ResponseWriter) error {
	if m.inject != nil {
		return m.inject(id, w)
	}
	return m.Propagator.Inject(id, w)
}

func (m *mule) Extract(r *http.Request) (string, error) {
	if m.extract != nil {
		return m.extract(r)
	}
	return m.Propagator.Extract(r)
}

func (m *mule) Remove(w http.ResponseWriter) error {
	if m.remove != nil {
		return m.remove(w)
	}
	return m.Propagator.Remove(w)
}

// TestPropagatorRulesCanFail holds every rule against a propagator that breaks
// it.
func TestPropagatorRulesCanFail(t *testing.T) {
	mules := brokenPropagators()
	for _, r := range propagatorRules() {
		t.Run(r.name, func(t *testing.T) {
			good := PropagatorHarness{New: func() session.Propagator { return &cookie.Propagator{} }}
			if err := r.check(good); err != nil {
				t.Errorf("a good propagator: %v", err)
			}
			if mules[r.name] == nil {
				t.Fatal("no propagator in the zoo breaks this rule")
			}
			bad := PropagatorHarness{New: func() session.Propagator {
				m := new(mule)
				mules[r.name](m)
				return m
			}}
			if r.check(bad) == nil {
				t.Error("the rule found nothing wrong")
			}
		})
		delete(mules, r.name)
	}
	for name := range mules {
		t.Errorf("the zoo has propagators for a rule that is not there: %s", name)
	}
}

func brokenPropagators() map[string]func(m *mule) {
	setCookie := func(id string, w http.ResponseWriter) error {
		http.SetCookie(w, &http.Cookie{Name: "__Host-Http-session", Value: id, Path: "/", Secure: true, HttpOnly: true})
		return nil
	}
	return map[string]func(m *mule){
		"Extract returns what Inject wrote to the response before": func(m *mule) {
			m.extract = func(r *http.Request) (string, error) {
				id, err := m.Propagator.Extract(r)
				return strings.ToLower(id), err
			}
		},
		"a request without an identifier gives ErrNotFound": func(m *mule) {
			m.extract = func(r *http.Request) (string, error) {
				id, err := m.Propagator.Extract(r)
				if errors.Is(err, http.ErrNoCookie) {
					err = nil
				}
				return id, err
			}
		},
		"the identifier that was injected last counts": func(m *mule) {
			m.inject = func(id string, w http.ResponseWriter) error {
				if w.Header().Get("Set-Cookie") != "" {
					return nil
				}
				return m.Propagator.Inject(id, w)
			}
		},
		"after Remove the next request has none": func(m *mule) {
			m.remove = func(http.ResponseWriter) error { return nil }
		},
		"after Remove and Inject the next request has the new one": func(m *mule) {
			m.inject = func(id string, w http.ResponseWriter) error {
				if strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
					return nil
				}
				return m.Propagator.Inject(id, w)
			}
		},
		"an identifier that cannot travel unchanged is refused and the header stays": func(m *mule) { m.inject = setCookie },
		"other headers of the response stay": func(m *mule) {
			m.inject = func(id string, w http.ResponseWriter) error {
				w.Header().Del("Set-Cookie")
				return m.Propagator.Inject(id, w)
			}
		},
		"a response that carries an identifier is not stored by caches": func(m *mule) { m.inject = setCookie },
		"Extract only reads": func(m *mule) {
			m.extract = func(r *http.Request) (string, error) {
				id, err := m.Propagator.Extract(r)
				r.Header.Del("Cookie")
				return id, err
			}
		},
		"concurrent requests do not mix": func(m *mule) {
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
		"a nil request or writer is an error": func(m *mule) {
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
			m := new(mule) // cookies in another header, to have the rest for free
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
