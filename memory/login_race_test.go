package memory_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/memory"
)

// TestLoginAgainstWrites: every write to the anonymous session that was
// acknowledged is in the new one, and every other one is told ErrNotFound.
func TestLoginAgainstWrites(t *testing.T) {
	const writers, rounds = 8, 80
	ctx := t.Context()
	for round := range rounds {
		st := new(memory.Store)
		token := generate(t, st, "id")
		var written [writers]int // the last value that was acknowledged
		var counted atomic.Int64
		var over atomic.Bool
		acknowledged := make(chan struct{}, writers)
		var wg sync.WaitGroup
		for i := range writers {
			s := load(t, st, "id")
			wg.Go(func() {
				for n := 1; ; n++ {
					late := over.Load()
					if err := s.Set(ctx, fmt.Sprint(i), n); err != nil {
						plain(t, "Set", err)
						return
					}
					if late {
						t.Error("a write after the login was acknowledged")
						return
					}
					written[i] = n
					select {
					case acknowledged <- struct{}{}:
					default:
					}
				}
			})
		}
		counter := load(t, st, "id")
		wg.Go(func() {
			for !over.Load() {
				err := session.Update(ctx, counter, "count", func(old any) (any, error) {
					n, _ := old.(int)
					return n + 1, nil
				})
				if err != nil {
					plain(t, "Update", err)
					return
				}
				counted.Add(1)
			}
		})
		for range round % (3 * writers) {
			<-acknowledged
		}
		s, err := st.Login(ctx, token, session.Login{User: "alice", ID: "new"})
		over.Store(true)
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[string]any)
		for i, n := range written {
			if n > 0 {
				want[fmt.Sprint(i)] = n
			}
		}
		if n := int(counted.Load()); n > 0 {
			want["count"] = n
		}
		holds(t, "what Login returned", s, want)
		holds(t, "the new session", load(t, st, "new"), want)
		if t.Failed() {
			return
		}
	}
}

// TestTwoLoginsAtOnce: of many logins from one anonymous session one has it, with
// its values, and the others find nothing. None of them is there twice.
func TestTwoLoginsAtOnce(t *testing.T) {
	const logins, rounds = 8, 80
	ctx := t.Context()
	for range rounds {
		st := &memory.Store{MaxSessions: 1}
		before, err := st.Generate(ctx, "id")
		if err != nil {
			t.Fatal(err)
		}
		if err := before.Set(ctx, "cart", "apples"); err != nil {
			t.Fatal(err)
		}
		var made [logins]session.Session
		var wg sync.WaitGroup
		for i := range logins {
			wg.Go(func() {
				s, err := st.Login(ctx, session.Token(before), session.Login{User: fmt.Sprint(i % 3), ID: fmt.Sprint("new", i)})
				if err != nil {
					plain(t, "Login", err)
					return
				}
				made[i] = s
			})
		}
		wg.Wait()
		n, listed := 0, 0
		for i, s := range made {
			if s != nil {
				n++
				holds(t, "the new session", load(t, st, fmt.Sprint("new", i)), map[string]any{"cart": "apples"})
			}
		}
		for i := range 3 {
			listed += len(ids(t, st, fmt.Sprint(i)))
		}
		if n != 1 || listed != 1 {
			t.Fatalf("%d logins succeeded, and %d sessions are listed, want one", n, listed)
		}
	}
}
