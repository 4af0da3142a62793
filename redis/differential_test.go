package redis_test

import (
	"context"
	"flag"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/program"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

var (
	programs = flag.Uint64("programs", 40, "how many random programs TestDifferentialInTime runs")
	firstOne = flag.Uint64("program", 0, "the seed of the first of them")
)

// A comparison runs programs on a memory.Store and a redis.Store. Its timeouts are long, so
// that no answer depends on the time.
type comparison struct {
	program.Comparison
	client goredis.UniversalClient
}

func newComparison(tb testing.TB) *comparison {
	tb.Helper()
	return comparisonOn(tb, newClient(tb, unhurried(redistest.Start(tb).Addr)))
}

func comparisonOn(tb testing.TB, client goredis.UniversalClient) *comparison {
	tb.Helper()
	program.Register()
	return &comparison{client: client, Comparison: program.Comparison{Ended: make(map[string]int), New: newOther(client)}}
}

// newOther makes the other store of a comparison, each time with another prefix.
func newOther(client goredis.UniversalClient) func(ctx context.Context) session.DeviceStore {
	runs := 0
	return func(ctx context.Context) session.DeviceStore {
		client.FlushDB(ctx)
		runs++
		return timed(client, fmt.Sprintf("%d:", runs))
	}
}

// timed is a store with the timeouts of programs.
func timed(client goredis.UniversalClient, prefix string) *redis.Store {
	return &redis.Store{Client: client, Prefix: prefix, OpTimeout: time.Minute, IdleTimeout: program.Idle, AbsoluteTimeout: program.Absolute}
}

// unhurried is the URL of a server on a machine under load.
func unhurried(addr string) string {
	return "redis://" + addr + "?dial_timeout=30s&read_timeout=30s&write_timeout=30s&pool_timeout=30s"
}

// play runs a program, and makes it short if it fails.
func (d *comparison) play(t *testing.T, name string, p []byte) {
	t.Helper()
	program.Play(t, name, p, func(p []byte) (report string) { return d.Run(t.Context(), p) })
}

// playSeeds runs some random programs.
func (d *comparison) playSeeds(t *testing.T, first, many uint64) {
	t.Helper()
	for seed := first; seed < first+many; seed++ {
		d.play(t, fmt.Sprintf("seed %d", seed), program.Random(seed, 150))
	}
}

// TestDifferential runs random programs, always the same.
func TestDifferential(t *testing.T) {
	t.Parallel()
	d := newComparison(t)
	d.playSeeds(t, 0, 40)
	d.play(t, "a full session", program.Full(1, 100))
	d.CheckCoverage(t)
}

// TestDifferentialInTime lets time pass, for both stores only where a program says so: the
// process is in a bubble, and the clock of the server stands still. Redis keeps a key
// through the millisecond in which it ends.
func TestDifferentialInTime(t *testing.T) {
	t.Parallel()
	const skew = 30 * 365 * 24 * time.Hour
	program.Register()
	server := redistest.StartSkewed(t, 0)
	d := &program.Comparison{Ended: make(map[string]int), Skew: skew, Late: time.Millisecond, Unit: time.Millisecond, Pass: func(d time.Duration) {
		time.Sleep(d)
		server.StopClock(time.Now().Add(skew))
	}}
	for seed := *firstOne; seed < *firstOne+*programs; seed++ {
		program.Play(t, fmt.Sprintf("seed %d", seed), program.Random(seed, 150), func(p []byte) (report string) {
			synctest.Test(t, func(t *testing.T) {
				d.Pass(time.Hour) // logins look back
				d.New = newOther(newClient(t, unhurried(server.Addr)))
				report = d.Run(t.Context(), p)
			})
			return report
		})
	}
	if *firstOne == 0 && *programs >= 40 { // the ordinary ones
		d.CheckCoverage(t, "after a time Get ", "after a time Get ErrNotFound", "in time Set ", "in time Set ErrNotFound")
	}
}

// TestDifferentialOnCluster runs some where sessions and indexes are on servers of
// their own.
func TestDifferentialOnCluster(t *testing.T) {
	t.Parallel()
	_, client := cluster(t)
	d := comparisonOn(t, client)
	d.playSeeds(t, 4000, 12)
	for _, op := range []string{"Login ", "UserSessions ", "RemoveUserSessions ", "Login ErrNotFound ErrRevoked", "Login ErrUserLimit"} {
		if d.Ended[op] == 0 {
			t.Errorf("no program had: %s", op)
		}
	}
}

// FuzzDifferential lets the fuzzer write the programs.
func FuzzDifferential(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(program.Random(seed, 40))
	}
	d := newComparison(f)
	f.Fuzz(func(t *testing.T, p []byte) {
		// And some steps more that follow from these: the fuzzer spends most of its
		// time on making programs shorter that it has seen.
		seed := uint64(crc32.ChecksumIEEE(p))
		d.play(t, "program", slices.Concat(program.Head(p, 60), program.Random(seed, 20)))
	})
}
