package sealed_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// Few of each, so that they meet often.
var (
	someIDs   = []string{"a", "b", "c", ""}
	someUsers = []string{"alice", "bob"}
)

func someTime(r *rand.Rand) time.Time { return time.Unix(1_000_000_000, int64(r.IntN(6))) }

// someRevocation returns any of an id or a user.
func someRevocation(r *rand.Rand) sealed.Revocation {
	rev := sealed.Revocation{User: someUsers[r.IntN(2)], Until: time.Now().Add(time.Hour)}
	if r.IntN(8) > 0 {
		rev.Before = someTime(r)
	}
	if r.IntN(3) == 0 {
		rev.ID = someIDs[r.IntN(3)]
	}
	for range r.IntN(4) {
		rev.Except = append(rev.Except, someIDs[r.IntN(4)])
	}
	return rev
}

func someSession(r *rand.Rand) session.Info {
	return session.Info{ID: someIDs[r.IntN(4)], User: someUsers[r.IntN(2)], AuthenticatedAt: someTime(r), RotatedAt: someTime(r)}
}

// endedBy reports whether any of the revocations ends the session: all that Revocations
// has to know.
func endedBy(revocations []sealed.Revocation, info session.Info) bool {
	for i := range revocations {
		if revocations[i].Ends(info) {
			return true
		}
	}
	return false
}

// TestRevocationsModel: in whatever order they come, a session has ended if any
// Revocation ends it.
func TestRevocationsModel(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var ended sealed.Revocations
		var told []sealed.Revocation
		for range 1 + r.IntN(12) {
			rev := someRevocation(r)
			if err := ended.Revoke(t.Context(), rev); err != nil {
				t.Fatal(err)
			}
			told = append(told, rev)
			for range 20 {
				info := someSession(r)
				got, err := ended.Revoked(t.Context(), info)
				if want := endedBy(told, info); err != nil || got != want {
					t.Fatalf("seed %d: %+v: got %t, %v, want %t after\n%+v", seed, info, got, err, want, told)
				}
			}
		}
	}
}

// TestRevocationsAtOnce: many who tell and ask at once lose nothing, and what has ended
// never comes back.
func TestRevocationsAtOnce(t *testing.T) {
	var (
		ended sealed.Revocations
		mu    sync.Mutex
		told  []sealed.Revocation
		wg    sync.WaitGroup
	)
	for seed := range uint64(16) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, 2))
			var mine []sealed.Revocation
			for i := range 200 {
				rev := someRevocation(r)
				rev.User = fmt.Sprintf("user %d", r.IntN(20))
				if rev.ID != "" {
					rev.ID = fmt.Sprintf("id-%d", r.IntN(20))
				}
				if err := ended.Revoke(t.Context(), rev); err != nil {
					t.Error(err)
				}
				mine = append(mine, rev)
				info := someSession(r)
				info.User, info.ID = fmt.Sprintf("user %d", r.IntN(20)), fmt.Sprintf("id-%d", r.IntN(20))
				got, err := ended.Revoked(t.Context(), info)
				if err != nil || endedBy(mine, info) && !got {
					t.Errorf("goroutine %d, step %d: %+v: got %t, %v", seed, i, info, got, err)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			told = append(told, mine...)
		})
	}
	wg.Wait()
	r := rand.New(rand.NewPCG(1, 3))
	for range 5000 {
		info := someSession(r)
		info.User, info.ID = fmt.Sprintf("user %d", r.IntN(20)), fmt.Sprintf("id-%d", r.IntN(20))
		if got, err := ended.Revoked(t.Context(), info); err != nil || got != endedBy(told, info) {
			t.Fatalf("%+v: got %t, %v, want %t", info, got, err, !got)
		}
	}
}

// TestRevocationsZero: the zero value knows of nothing that ended.
func TestRevocationsZero(t *testing.T) {
	var ended sealed.Revocations
	if got, err := ended.Revoked(t.Context(), session.Info{ID: "id", User: "alice"}); got || err != nil {
		t.Errorf("got %t, %v", got, err)
	}
}

// TestRevocationEnds: what a Revocation is about.
func TestRevocationEnds(t *testing.T) {
	now := time.Unix(1_000_000_000, 0)
	info := session.Info{ID: "id", User: "alice", AuthenticatedAt: now, RotatedAt: now.Add(time.Minute)}
	for _, tt := range []struct {
		name string
		r    sealed.Revocation
		want bool
	}{
		{"the id", sealed.Revocation{ID: "id"}, true},
		{"another id", sealed.Revocation{ID: "other"}, false},
		{"another id of the user", sealed.Revocation{ID: "other", User: "alice"}, false},
		{"the id, logged in before", sealed.Revocation{ID: "id", Before: now.Add(1)}, true},
		{"the id, logged in then", sealed.Revocation{ID: "id", Before: now}, false},
		{"the id, an exception of users alone", sealed.Revocation{ID: "id", Except: []string{"id"}}, true},
		{"the user", sealed.Revocation{User: "alice"}, true},
		{"another user", sealed.Revocation{User: "bob"}, false},
		{"the user, logged in before", sealed.Revocation{User: "alice", Before: now.Add(1)}, true},
		{"the user, logged in then", sealed.Revocation{User: "alice", Before: now}, false},
		{"the user, but not this one", sealed.Revocation{User: "alice", Except: []string{"other", "id"}}, false},
		{"the user, but not others", sealed.Revocation{User: "alice", Except: []string{"other", ""}}, true},
	} {
		if got := tt.r.Ends(info); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
	}
}
