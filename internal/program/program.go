// Package program runs random programs of calls on a memory.Store and on a store under
// test. Both must give the same answers, and the package compares every answer.
package program

import (
	"context"
	"math/rand/v2" //nolint:depguard // a printed seed must reproduce its program
	"slices"
	"testing"
	"time"
)

// A Step is one call, the same on both stores: the operation, its target and its
// arguments. A program is a sequence of steps.
type Step struct{ Op, On, Key, Value, Ctx, Variant byte }

const stepSize = 6

// Steps reads a program. Any bytes are a program.
func Steps(program []byte) []Step {
	var all []Step
	for b := range slices.Chunk(program, stepSize) {
		b = append(slices.Clone(b), make([]byte, stepSize-len(b))...)
		all = append(all, Step{b[0], b[1], b[2], b[3], b[4], b[5]})
	}
	return all
}

// Random returns the program for a seed.
func Random(seed uint64, steps int) []byte {
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // see above
	program := make([]byte, steps*stepSize)
	for i := range program {
		program[i] = byte(random.Uint32()) //nolint:gosec // the lowest bits
	}
	return program
}

// fills is the variant of SetAll that fills a session.
const fills = 219

// Full returns a program for a seed. Its calls write to one session, which is almost as
// large as a session can be.
func Full(seed uint64, steps int) []byte {
	program := append([]byte{Op("Generate"), 0, 0, 0, 0, 0}, Random(seed, steps)...)
	ops := []string{"SetAll", "Set", "Update", "Set", "Pop", "Set", "Delete", "Update"}
	for i := 1; i <= steps; i++ {
		st := program[i*stepSize : (i+1)*stepSize]
		st[0], st[1], st[4] = Op(ops[(i-1)%len(ops)]), 0, 0
		switch {
		case i == 1:
			st[5] = fills
		case st[5]%16 == 6: // ends the session
			st[5]++
			fallthrough
		case st[2]%4 != 0: // small values come and go
			st[2] = 2 + st[2]%12
		}
	}
	return program
}

// Head returns the first steps of a program.
func Head(program []byte, steps int) []byte { return program[:min(len(program), steps*stepSize)] }

// Play runs a program. If it fails, Play reduces it first.
func Play(t *testing.T, name string, program []byte, run func(program []byte) (report string)) {
	t.Helper()
	report := run(program)
	if report == "" {
		return
	}
	small := Shrink(program, func(p []byte) bool { return run(p) != "" })
	if again := run(small); again != "" {
		report = again
	}
	t.Fatalf("%s, in short %q:\n%s", name, small, report)
}

// Shrink removes steps from a program as long as the program still fails.
func Shrink(program []byte, fails func([]byte) bool) []byte {
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

// Context returns the context for a step, and says what is wrong with it.
func (st Step) Context(ctx context.Context) (made context.Context, wrong string) {
	switch {
	case st.Ctx >= 248:
		return nil, "nil context"
	case st.Ctx >= 240:
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, "canceled"
	case st.Ctx >= 232:
		ctx, cancel := context.WithDeadline(ctx, time.Unix(1, 0))
		cancel()
		return ctx, "too late"
	}
	return ctx, ""
}
