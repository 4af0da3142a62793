package redis_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/redis"
)

// A duel runs programs on a memory.Store and a redis.Store, which must not be
// told apart. Its timeouts are long, so that no answer depends on the time.
type duel struct {
	client goredis.UniversalClient
	before func() // each step; nil: nothing
	runs   int
	ended  map[string]int // how often an operation ended how
}

func newDuel(tb testing.TB) *duel {
	tb.Helper()
	session.Register[couple]()
	session.Register[*couple]()
	session.Register[label]()
	session.Register[[]string]()
	session.Register[map[string]int]()
	return &duel{client: newClient(tb, unhurried(redistest.Start(tb).Addr)), ended: make(map[string]int)}
}

// patient is the URL of a server on a machine under load.
func unhurried(addr string) string {
	return "redis://" + addr + "?dial_timeout=30s&read_timeout=30s&write_timeout=30s&pool_timeout=30s"
}

// run runs a program and reports its steps up to the one that tells the stores
// apart; nothing where there is none.
func (d *duel) run(ctx context.Context, program []byte) (report string) {
	d.runs++
	defer d.client.FlushDB(ctx)
	ours, its := &rival{store: &memory.Store{}}, &rival{
		store: &redis.Store{Client: d.client, Prefix: fmt.Sprintf("%d:", d.runs), OpTimeout: time.Minute},
	}
	var log strings.Builder
	// same makes one call on both.
	same := func(name string, call func(sd *rival) outcome) bool {
		want, got := call(ours).named(ours), call(its).named(its)
		if !got.equal(want) {
			fmt.Fprintf(&log, "%s\n\tmemory: %v\n\tredis:  %v\n", name, want, got)
			return false
		}
		fmt.Fprintf(&log, "%s: %v\n", name, want)
		for i := range ours.objects {
			if want, got := ours.shows(ctx, i), its.shows(ctx, i); !got.equal(want) {
				fmt.Fprintf(&log, "then object %d shows\n\tmemory: %v\n\tredis:  %v\n", i, want, got)
				return false
			}
		}
		op, _, _ := strings.Cut(name, ":")
		d.ended[op+" "+strings.Join(want.errors, " ")]++
		return true
	}
	for n, st := range stepsOf(program) {
		op := operations[int(st.op)%len(operations)]
		stepCtx, how := st.context(ctx)
		if d.before != nil {
			d.before()
		}
		if !same(fmt.Sprintf("%s: step %d of %+v %s", op.name, n, st, how), func(sd *rival) outcome { return op.do(stepCtx, sd, st) }) {
			return log.String()
		}
	}
	for i := range len(goodIDs) + len(ours.ids) {
		if !same("at the end Get", func(sd *rival) outcome {
			s, err := sd.store.Get(ctx, slices.Concat(goodIDs, sd.ids)[i])
			return sd.keep(s, err, progStep{})
		}) {
			return log.String()
		}
	}
	for i := range ours.tokens {
		if !same(fmt.Sprintf("at the end Open: token %d", i), func(sd *rival) outcome {
			s, err := sd.store.Open(ctx, sd.tokens[i])
			return sd.keep(s, err, progStep{})
		}) {
			return log.String()
		}
	}
	return ""
}

// shows is what an object shows.
func (sd *rival) shows(ctx context.Context, i int) outcome {
	if sd.objects[i] == nil {
		return skipped
	}
	all, err := shownBy(ctx, sd.objects[i])
	o := failedWith(err)
	o.value = all
	return o
}

func shownBy(ctx context.Context, s session.Session) (map[string]any, error) {
	all, err := session.All(ctx, s)
	if err != nil {
		return nil, err
	}
	return maps.Collect(all), nil
}

// shrunk takes steps out of a program while it still fails without them.
func shrunk(program []byte, fails func([]byte) bool) []byte {
	for size := len(program) / stepSize / 2; size > 0; size /= 2 {
		for at := 0; at+size*stepSize <= len(program); {
			less := slices.Concat(program[:at], program[at+size*stepSize:])
			if fails(less) {
				program = less
			} else {
				at += size * stepSize
			}
		}
	}
	return program
}

// randomProgram is the one that a seed stands for.
func randomProgram(seed uint64, steps int) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	program := make([]byte, steps*stepSize)
	for i := range program {
		program[i] = byte(random.Uint32())
	}
	return program
}

// play runs a program, and makes it short if it fails.
func (d *duel) play(t *testing.T, name string, program []byte) {
	t.Helper()
	report := d.run(t.Context(), program)
	if report == "" {
		return
	}
	small := shrunk(program, func(p []byte) bool { return d.run(t.Context(), p) != "" })
	if again := d.run(t.Context(), small); again != "" {
		report = again
	}
	t.Fatalf("%s, in short %q:\n%s", name, small, report)
}

// TestDifferential runs random programs, always the same.
func TestDifferential(t *testing.T) {
	t.Parallel()
	d := newDuel(t)
	for seed := range uint64(40) {
		d.play(t, fmt.Sprintf("seed %d", seed), randomProgram(seed, 150))
	}
	for _, op := range operations {
		if d.ended[op.name+" "] == 0 {
			t.Errorf("no program had a %s that succeeded", op.name)
		}
	}
	for _, way := range []string{
		"Generate ErrExists", "Generate ErrInvalidID", "Open ErrNotFound", "Get ErrNotFound", "Refresh ErrNotFound", "Rotate ErrNotFound", "Rotate another",
		"Set ErrValue", "Set ErrTooLarge", "Set ErrNotFound", "SetAll ErrValue", "SetAll ErrTooLarge", "SetAll ErrNotFound", "Delete ErrNotFound",
		"Clear ErrNotFound", "Pop ErrNotFound", "Update ErrNotFound", "Update ErrValue", "Update ErrTooLarge", "Update the function's",
		"Update ErrNotFound the function's", "Update Canceled", "Set Canceled", "Open DeadlineExceeded", "Session.Get another",
		"at the end Open ", "at the end Open ErrNotFound", "Open ErrNotFound ErrReused", "Login ErrNotFound", "Login ErrNotFound ErrRevoked", "Login ErrUserLimit",
		"Login ErrInvalidUser", "Login another", "Login ErrExists", "Login ErrValue", "Login ErrTooLarge", "UserSessions ErrInvalidUser", "RemoveUserSessions ErrInvalidUser",
	} {
		if d.ended[way] == 0 {
			t.Errorf("no program had: %s", way)
		}
	}
}

// TestDifferentialOnCluster runs some where sessions and indexes are on servers of
// their own.
func TestDifferentialOnCluster(t *testing.T) {
	t.Parallel()
	d := newDuel(t)
	_, d.client = cluster(t)
	for seed := range uint64(12) {
		d.play(t, fmt.Sprintf("seed %d", 4000+seed), randomProgram(4000+seed, 150))
	}
	for _, op := range []string{"Login ", "UserSessions ", "RemoveUserSessions ", "Login ErrNotFound ErrRevoked", "Login ErrUserLimit"} {
		if d.ended[op] == 0 {
			t.Errorf("no program had: %s", op)
		}
	}
}

// FuzzDifferential lets the fuzzer write the programs.
func FuzzDifferential(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomProgram(seed, 40))
	}
	d := newDuel(f)
	f.Fuzz(func(t *testing.T, program []byte) {
		// And some steps more that follow from these: the fuzzer spends most of its
		// time on making programs shorter that it has seen.
		seed := uint64(crc32.ChecksumIEEE(program))
		d.play(t, "program", slices.Concat(program[:min(len(program), 60*stepSize)], randomProgram(seed, 20)))
	})
}
