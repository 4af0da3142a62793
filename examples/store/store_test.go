package store_test

import (
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/examples/store"
	"github.com/mist-contrib/session/sessiontest"
)

func TestConformance(t *testing.T) {
	const idle, absolute = time.Minute, time.Hour
	sessiontest.TestStore(t, sessiontest.Harness{
		New:  func(*testing.T) session.Store { return &store.Store{IdleTimeout: idle, AbsoluteTimeout: absolute} },
		Idle: idle, Absolute: absolute,
		Capabilities: sessiontest.AllCapabilities &^ (sessiontest.TokenStore | sessiontest.UserStore | sessiontest.DeviceStore),
	})
}

type cart struct{ Items map[string]int }

var cartKey = session.NewKey[cart]("cart")

func TestTypedKey(t *testing.T) {
	st := &store.Store{IdleTimeout: time.Minute, AbsoluteTimeout: time.Hour}
	s, err := st.Generate(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	if err := cartKey.Set(t.Context(), s, cart{map[string]int{"pear": 2}}); err != nil {
		t.Fatal(err)
	}
	if s, err = st.Get(t.Context(), "id"); err != nil {
		t.Fatal(err)
	}
	if c, ok, err := cartKey.Get(t.Context(), s); err != nil || !ok || c.Items["pear"] != 2 {
		t.Errorf("got %v, %v, %v", c, ok, err)
	}
}
