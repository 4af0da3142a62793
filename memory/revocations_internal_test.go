package memory

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
)

// revokes revokes the sessions of n users that nobody knows.
func (st *Store) revokes(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if _, err := st.RemoveUserSessions(t.Context(), fmt.Sprint("nobody-", i)); err != nil {
			t.Fatal(err)
		}
	}
}

// logs returns the error of a login of a user whose check began then.
func (st *Store) logs(t *testing.T, user string, began time.Time) error {
	t.Helper()
	s, err := st.Generate(t.Context(), uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	_, err = st.Login(t.Context(), session.Token(s), session.Login{User: user, Began: began})
	return err
}

// Revocations of users without sessions take no more memory than a bound, and none of
// them is undone by that.
func TestRevocationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &Store{}
		before := time.Now()
		if err := st.logs(t, "ada", before); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n, err := st.RemoveUserSessions(t.Context(), "ada"); n != 1 || err != nil {
			t.Fatalf("got %d, %v", n, err)
		}
		time.Sleep(time.Second)
		between := time.Now()
		time.Sleep(time.Second)
		st.revokes(t, 10_000) // fewer than the bound
		time.Sleep(time.Second)
		if err := st.logs(t, "bob", before); err != nil {
			t.Errorf("a login before revocations of others that are remembered: %v", err)
		}
		var start, end runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&start)
		st.revokes(t, 100_000)
		runtime.GC()
		runtime.ReadMemStats(&end)
		t.Logf("100000 revocations take %.1f MB", float64(int64(end.HeapAlloc)-int64(start.HeapAlloc))/1e6)
		for i := range st.users {
			if us := &st.users[i]; len(us.byName.entries) > maxRevocations+2 || // two have sessions
				us.revoked.Len() > maxRevocations {
				t.Fatalf("a part of the index has %d accounts, %d revocations, want %d at most", len(us.byName.entries), us.revoked.Len(), maxRevocations)
			}
		}
		if err := st.logs(t, "ada", before); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("a login that a forgotten revocation has overtaken: got %v, want ErrRevoked", err)
		}
		if err := st.logs(t, "nobody-0", between); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("another one: got %v, want ErrRevoked", err)
		}
		if err := st.logs(t, "ada", time.Now()); err != nil {
			t.Errorf("a login after it: %v", err)
		}
		time.Sleep(2 * session.BeganLimit)
		for range shardCount { // the calls that follow tidy up
			st.Sweep()
		}
		for i := range st.users {
			if us := &st.users[i]; us.revoked.Len() > 0 || len(us.byName.entries) > 0 {
				t.Fatalf("hours later a part of the index has %d accounts, %d revocations", len(us.byName.entries), us.revoked.Len())
			}
		}
	})
}
