package memory_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// A limit keeps whoever can cause sessions from filling the memory. No live
// session is dropped for a new one.
func ExampleStore() {
	ctx := context.Background()
	store := &memory.Store{MaxSessions: 1}
	_, err := store.Generate(ctx, "first")
	fmt.Println(err)
	_, err = store.Generate(ctx, "second")
	fmt.Println(errors.Is(err, session.ErrFull))
	// Output:
	// <nil>
	// true
}
