package sealed

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
)

func (r *Revocations) size() int {
	n := len(r.ids) + len(r.users)
	for _, cuts := range []map[string]cutoff{r.ids, r.users} {
		for _, c := range cuts {
			n += len(c.except)
		}
	}
	return n
}

// TestRevocationsBounded: what nobody needs any more goes, also where there was much.
func TestRevocationsBounded(t *testing.T) {
	t.Parallel()
	many := often(100_000)
	synctest.Test(t, func(t *testing.T) {
		var ended Revocations
		revoke := func(i int, until time.Time) {
			r := Revocation{ID: fmt.Sprint("id-", i), Until: until}
			if i%2 == 0 {
				r = Revocation{User: fmt.Sprint("user ", i), Before: time.Now(), Except: []string{"id"}, Until: until}
			}
			if err := ended.Revoke(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		for i := range many {
			revoke(i, time.Now().Add(-1))
		}
		if got := ended.size(); got > 3000 {
			t.Errorf("%d of %d are left that had expired", got, many)
		}
		// As many that live: all are kept. When they have expired as many again take their place.
		for i := range many {
			revoke(i, time.Now().Add(time.Hour))
		}
		if got := len(ended.ids) + len(ended.users); got < many {
			t.Errorf("%d are left of %d that live", got, many)
		}
		if ended.sweep < many {
			t.Errorf("it looks again when there are %d, and would find nothing each time", ended.sweep)
		}
		time.Sleep(time.Hour + 1)
		for i := range 2 * many {
			revoke(many+i, time.Now().Add(-1))
		}
		if got := ended.size(); got > 3000 {
			t.Errorf("%d of %d are left after they have expired", got, 3*many)
		}
	})
}

// TestRevocationsExcept: a user who signs out everywhere else again and again takes no
// more room than once.
func TestRevocationsExcept(t *testing.T) {
	var ended Revocations
	start := time.Now()
	for i := range 10_000 {
		r := Revocation{User: "alice", Before: start.Add(time.Duration(i)), Except: []string{fmt.Sprint("id-", i)}, Until: start.Add(time.Hour)}
		if err := ended.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if got := ended.size(); got > 2 {
		t.Errorf("a user takes %d entries", got)
	}
}

// TestUntil: nothing is forgotten before the last time that anybody named, in whatever
// order they came.
func TestUntil(t *testing.T) {
	t.Parallel()
	many := often(500)
	synctest.Test(t, func(t *testing.T) {
		var ended Revocations
		start := time.Now()
		info := func(i int) (id, user session.Info) {
			return session.Info{ID: fmt.Sprint("id-", i), User: "nobody"}, session.Info{ID: "id", User: fmt.Sprint("user ", i)}
		}
		revoke := func(i int, after time.Duration) {
			id, user := info(i)
			for _, r := range []Revocation{{ID: id.ID}, {User: user.User, Before: start}} {
				r.Until = start.Add(after)
				if err := ended.Revoke(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i := range many { // session i may be forgotten after i seconds
			after := time.Duration(i) * time.Second
			switch i % 3 {
			case 0:
				revoke(i, after)
			case 1:
				revoke(i, after)
				revoke(i, after/2)
			default:
				revoke(i, after/2)
				revoke(i, after)
			}
		}
		for second := range many {
			// So many that were never needed make it look for what to forget.
			ended.sweep = 0
			for i := range minSweep {
				if err := ended.Revoke(t.Context(), Revocation{ID: fmt.Sprint("x-", i), Until: start.Add(-1)}); err != nil {
					t.Fatal(err)
				}
			}
			for i := second; i < many; i++ {
				id, user := info(i)
				for _, info := range []session.Info{id, user} {
					if got, err := ended.Revoked(t.Context(), info); !got || err != nil {
						t.Fatalf("after %d seconds: number %d: got %t, %v", second, i, got, err)
					}
				}
			}
			if got := len(ended.ids) + len(ended.users); second > many/2 && got > 2*(many-second)+2*minSweep {
				t.Fatalf("after %d seconds: %d are left", second, got)
			}
			time.Sleep(time.Second)
		}
	})
}
