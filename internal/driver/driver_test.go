package driver_test

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/driver"
)

var errOpened = errors.New("opened")

func open(driver.Options) (session.Store, io.Closer, error) { return nil, nil, errOpened }

func TestRegister(t *testing.T) {
	if driver.Lookup("driver-test") != nil {
		t.Error("a scheme is known before its store registers")
	}
	driver.Register(open, "driver-test", "driver-test+tls")
	for _, scheme := range []string{"driver-test", "driver-test+tls"} {
		if _, _, err := driver.Lookup(scheme)(driver.Options{}); !errors.Is(err, errOpened) {
			t.Errorf("%s: got %v, want the function that was registered", scheme, err)
		}
	}
}

func TestRegisterPanics(t *testing.T) {
	driver.Register(open, "driver-twice")
	for name, register := range map[string]func(){
		"twice":       func() { driver.Register(open, "driver-twice") },
		"in one call": func() { driver.Register(open, "driver-same", "driver-same") },
		"nil":         func() { driver.Register(nil, "driver-nil") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("got no panic")
				}
			}()
			register()
		})
	}
}

func TestRegisterConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 32 {
		scheme := fmt.Sprintf("driver-many-%d", i)
		wg.Go(func() {
			driver.Register(open, scheme)
			if driver.Lookup(scheme) == nil {
				t.Errorf("%s is not known after it was registered", scheme)
			}
		})
	}
	wg.Wait()
}
