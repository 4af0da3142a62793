package session

import (
	"errors"
	"reflect"

	"github.com/dormoron/mist"
)

// Check reports what is wrong with the Manager, its Store and its Propagator,
// naming the field; call it at start-up. Nil: all methods work. It asks no
// store anything over the network.
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
		return unsupported("Manager.MaxUserSessions, with a store that cannot count sessions")
	}
	if c, ok := unwrap[checker](m.Store); ok {
		if err := c.Check(); err != nil {
			return err
		}
	}
	if c, ok := unwrap[checker](m.Propagator); ok {
		if err := c.Check(); err != nil {
			return err
		}
	}
	return m.checkDevices()
}

// A checker knows at start-up whether it can work.
type checker interface {
	Check() error
}

// isNil also finds the nil pointer, map or function inside an interface that is
// not nil.
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

// usable is the validation on first use.
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

// ready is Check, until it has passed once.
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

// capabilities holds what each request asks of the store. ready finds it once, because a
// request would follow every Unwrap.
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
