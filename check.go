package session

import (
	"errors"
	"reflect"

	"github.com/dormoron/mist"
)

// Check reports what is wrong with the Manager, its Store and its Propagator, and names the
// field. Call it at start-up. Nil: all methods work. Check uses no network.
func (m *Manager) Check() error {
	if m == nil {
		return errNoManager
	}
	if isNil(m.Store) {
		return errors.New("session: Manager.Store is nil")
	}
	if isNil(m.Propagator) {
		return errors.New("session: Manager.Propagator is nil")
	}
	for st := m.Store; ; {
		w, ok := st.(interface{ Unwrap() Store })
		if !ok {
			break
		}
		if st = w.Unwrap(); isNil(st) {
			return errors.New("session: Manager.Store wraps a nil Store")
		}
	}
	if m.RotateGrace < 0 || m.RotateGrace > maxRotateGrace {
		return errors.New("session: Manager.RotateGrace is negative or over a day")
	}
	if m.RefreshInterval < 0 {
		return errors.New("session: Manager.RefreshInterval is negative")
	}
	if m.RenewAfter < 0 {
		return errors.New("session: Manager.RenewAfter is negative")
	}
	if m.MaxUserSessions < 0 {
		return errors.New("session: Manager.MaxUserSessions is negative")
	}
	if _, client := unwrap[ClientStore](m.Store); client && m.MaxUserSessions > 0 {
		return unsupported("Manager.MaxUserSessions with a store that cannot count sessions")
	}
	if err := check(m.Store); err != nil {
		return err
	}
	if err := check(m.Propagator); err != nil {
		return err
	}
	return m.checkDevices()
}

// check calls the Check method of v, if v has one.
func check[V any](v V) error {
	if c, ok := unwrap[interface{ Check() error }](v); ok {
		return c.Check()
	}
	return nil
}

// isNil reports whether v is nil, or an interface that holds a nil pointer, map or
// function.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Chan, reflect.Slice:
		return r.IsNil()
	default:
		return false
	}
}

// usable validates the arguments of a call and, on first use, the Manager.
func (m *Manager) usable(ctx *mist.Context, writes bool) error {
	switch {
	case m == nil:
		return errNoManager
	case ctx == nil:
		return errNoContext
	case ctx.Request == nil:
		return errNoRequest
	case writes && ctx.ResponseWriter == nil:
		return errNoWriter
	}
	return m.ready()
}

// ready runs Check until it has passed once.
func (m *Manager) ready() error {
	if m == nil {
		return errNoManager
	}
	if m.checked.Load() != nil {
		return nil
	}
	if err := m.Check(); err != nil {
		return err
	}
	m.checked.Store(m.capabilities())
	return nil
}

// capabilities holds the store's capabilities that every request needs. ready looks them up
// once, so that requests need not follow every Unwrap.
type capabilities struct {
	tokens TokenStore
	client ClientStore
}

func (m *Manager) capabilities() *capabilities {
	if c := m.checked.Load(); c != nil {
		return c
	}
	c := &capabilities{}
	c.tokens, _ = unwrap[TokenStore](m.Store)
	c.client, _ = unwrap[ClientStore](m.Store)
	return c
}
