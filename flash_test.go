package session_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sessiontest"
)

func addFlash(t *testing.T, s session.Session, messages ...string) {
	t.Helper()
	for _, message := range messages {
		if err := session.AddFlash(t.Context(), s, message); err != nil {
			t.Errorf("AddFlash: %v", err)
		}
	}
}

func flashes(t *testing.T, s session.Session) []string {
	t.Helper()
	messages, err := session.Flashes(t.Context(), s)
	if err != nil {
		t.Errorf("Flashes: %v", err)
	}
	return messages
}

// Messages are shown once and in order, to the same request or to a later one.
func TestFlashes(t *testing.T) {
	s, load := generated(t)
	if got := flashes(t, s); got != nil {
		t.Errorf("got %q, want none", got)
	}
	want := []string{"saved", "", "saved", "three\x00\n<b>\xff"}
	for name, reader := range map[string]func() session.Session{"same": func() session.Session { return s }, "later": load} {
		addFlash(t, s, want...)
		r := reader()
		if got := flashes(t, r); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		for _, again := range []session.Session{r, load(), s} {
			if got := flashes(t, again); len(got) != 0 {
				t.Errorf("%s: got %q once more", name, got)
			}
		}
	}
	addFlash(t, load(), "one")
	addFlash(t, load(), "two") // by another request that did not see the first
	if got := flashes(t, load()); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("of two requests: got %q", got)
	}
}

// Of all concurrent requests exactly one gets each message, while others add more.
func TestFlashesTogether(t *testing.T) {
	const rounds, readers, writers = 20, 16, 4
	for range rounds {
		_, load := generated(t)
		addFlash(t, load(), "first")
		var (
			all  sync.WaitGroup
			mu   sync.Mutex
			seen = make(map[string]int)
			full atomic.Int32
		)
		take := func(s session.Session) {
			got := flashes(t, s)
			if len(got) > 0 {
				full.Add(1)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, message := range got {
				seen[message]++
			}
		}
		for range readers {
			s := load()
			all.Go(func() { take(s) })
		}
		for i := range writers {
			s := load()
			all.Go(func() { addFlash(t, s, fmt.Sprint("writer ", i)) })
		}
		all.Wait()
		if full.Load() == 0 {
			t.Error("nobody got the first")
		}
		take(load())
		for message, times := range seen {
			if times != 1 {
				t.Errorf("%q was read %d times", message, times)
			}
		}
		if len(seen) != 1+writers {
			t.Errorf("got %d messages, want %d", len(seen), 1+writers)
		}
	}
}

// If a session shows no message, Flashes does not ask the store. Otherwise it asks
// once.
func TestFlashesAskOnce(t *testing.T) {
	faults := &sessiontest.FaultStore{Store: &memory.Store{}}
	s, err := faults.Generate(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	calls := func(f func()) string {
		faults.Reset(faults.Plan)
		f()
		var ops []string
		for _, c := range faults.Calls() {
			if c.Op != "Session.Get" { // which shows what was loaded
				ops = append(ops, c.Op)
			}
		}
		return strings.Join(ops, " ")
	}
	if got := calls(func() { flashes(t, s) }); got != "" {
		t.Errorf("without messages: got calls %q", got)
	}
	if got := calls(func() { addFlash(t, s, "saved") }); got != "Session.Update" {
		t.Errorf("AddFlash: got calls %q", got)
	}
	if got := calls(func() { flashes(t, s) }); got != "Session.Pop" {
		t.Errorf("with messages: got calls %q", got)
	}
	if got := calls(func() { flashes(t, s) }); got != "" {
		t.Errorf("afterwards: got calls %q", got)
	}

	addFlash(t, s, "saved")
	faults.Plan = func(c sessiontest.Call) sessiontest.Fault {
		if c.Op == "Session.Get" {
			return sessiontest.None
		}
		return sessiontest.FailBefore
	}
	if got, err := session.Flashes(t.Context(), s); got != nil || !errors.Is(err, sessiontest.ErrFault) {
		t.Errorf("the store is down: got %q, %v", got, err)
	}
	if err := session.AddFlash(t.Context(), s, "more"); !errors.Is(err, sessiontest.ErrFault) {
		t.Errorf("the store is down: got %v", err)
	}
	faults.Plan = nil
	if got := flashes(t, s); !slices.Equal(got, []string{"saved"}) {
		t.Errorf("when it is up again: got %q", got)
	}
}

// If a session cannot do or keep something, the caller gets an error and loses no
// message.
func TestFlashesRefused(t *testing.T) {
	plain := &webtest.PlainSession{Handle: "plain"}
	if err := session.AddFlash(t.Context(), plain, "saved"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a plain session: got %v, want errors.ErrUnsupported", err)
	}
	if got, err := session.Flashes(t.Context(), plain); got != nil || err != nil {
		t.Errorf("a plain session: got %q, %v, want none", got, err)
	}
	plain.Values.Store("mist-contrib/session.flash", []string{"by hand"})
	if got, err := session.Flashes(t.Context(), plain); got != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a plain session: got %q, %v, want errors.ErrUnsupported", got, err)
	}

	s, load := generated(t)
	addFlash(t, s, "saved")
	if err := session.AddFlash(t.Context(), s, strings.Repeat("x", 1<<20)); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("too long: got %v, want ErrTooLarge", err)
	}
	if got := flashes(t, load()); !slices.Equal(got, []string{"saved"}) {
		t.Errorf("got %q", got)
	}
	if err := s.Set(t.Context(), "mist-contrib/session.flash", 7); err != nil {
		t.Fatal(err)
	}
	if got, err := session.Flashes(t.Context(), s); got != nil || !errors.Is(err, session.ErrValue) {
		t.Errorf("a value of somebody else: got %q, %v, want ErrValue", got, err)
	}
}

// Unread messages stay within a limit: AddFlash drops the oldest, so it does not fail
// for good.
func TestFlashesAreBounded(t *testing.T) {
	s, load := generated(t)
	for i := range 200 {
		addFlash(t, s, fmt.Sprint(i))
	}
	got := flashes(t, load())
	if len(got) != 64 || got[0] != "136" || got[63] != "199" {
		t.Errorf("got %d messages, from %q to %q, want the newest 64", len(got), got[0], got[len(got)-1])
	}

	const kib = 1 << 10
	addFlash(t, s, "small")
	for i := range 1500 { // to 1.5 MiB, past what a value may have
		addFlash(t, s, fmt.Sprint(i, strings.Repeat("x", kib-4)))
	}
	got = flashes(t, load())
	size := 0
	for _, m := range got {
		size += len(m)
	}
	if size > 16*kib || len(got) < 15 || !strings.HasPrefix(got[len(got)-1], "1499") {
		t.Errorf("got %d messages of %d bytes, want the newest, 16 KiB at most", len(got), size)
	}

	for _, long := range []int{16 * kib, 16*kib + 1, 500 * kib} {
		addFlash(t, s, "before", strings.Repeat("x", long))
		if got := flashes(t, load()); len(got) != 1 || len(got[0]) != long {
			t.Errorf("a message of %d bytes: got %d messages", long, len(got))
		}
	}
	addFlash(t, s, "kept")
	if err := session.AddFlash(t.Context(), s, strings.Repeat("x", 2<<20)); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("a message of 2 MiB: got %v, want ErrTooLarge", err)
	}
	if got := flashes(t, load()); !slices.Equal(got, []string{"kept"}) {
		t.Errorf("after that: got %d messages, want the one before", len(got))
	}
}
