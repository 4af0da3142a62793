package sessionotel_test

import (
	"context"
	"fmt"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessionotel"
)

// Calls of the store are spans and durations; events are counted, are in the span
// of their request, and are logged, too.
func ExampleStore() {
	log, count := session.LogEvents(nil), sessionotel.Events(nil)
	m := &session.Manager{
		Store:      &sessionotel.Store{Store: &memory.Store{}},
		Propagator: &cookie.Propagator{},
		OnEvent: func(ctx context.Context, event session.Event) {
			log(ctx, event)
			count(ctx, event)
		},
	}
	fmt.Println(m.Check())
	// Output: <nil>
}
