// These tests run in one goroutine, and the race detector makes them ten times slower.

//go:build !race

package token

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A modelled secret is what the documentation says of one.
type modelled struct {
	secret string
	bound  bool
	ends   int64 // of a bound one
	grace  int64 // of another, from then on
	seen   int64 // when a later one was first shown; forever: not yet
}

// A model is a session's secrets, oldest first, and the challenges that were answered.
type model struct {
	all    []modelled
	device string
	used   map[string]int64
}

func (m *model) newest() *modelled { return &m.all[len(m.all)-1] }

func (m *model) good(i int, now int64) bool {
	switch s := m.all[i]; {
	case s.bound:
		return now < s.ends
	case i == len(m.all)-1 || s.seen == forever:
		return true
	default:
		return now < s.seen+s.grace
	}
}

// show notes that the i-th was shown.
func (m *model) show(i int, now int64) {
	for j := range m.all[:i] {
		m.all[j].seen = min(m.all[j].seen, now)
	}
}

// full reports whether no other secret has a place. Of a session that is not bound those
// count, too, that lead from an older one to the newest.
func (m *model) full(now int64) bool {
	n := 0
	for i := range m.all[:len(m.all)-1] {
		if m.good(i, now) || n > 0 && m.device == "" {
			n++
		}
	}
	return n >= MaxGenerations
}

func (m *model) add(secret string, bound bool, ends, grace int64) {
	m.newest().grace = grace
	m.all = append(m.all, modelled{secret, bound, ends, 0, forever})
}

// lives runs the life of a session that bytes stand for, and the model beside it.
func lives(t *testing.T, life []byte) (ways map[string]int) {
	t.Helper()
	now, ways := int64(0), make(map[string]int)
	s, m := Secrets{Newest: Hash(firstSecret)}, model{all: []modelled{{firstSecret, false, 0, 0, forever}}, used: make(map[string]int64)}
	for step := range slices.Chunk(life, 4) {
		step = append(slices.Clone(step), 0, 0, 0)
		op, on, arg := step[0], int(step[1]), int64(step[2])
		i := len(m.all) - 1 - on%min(len(m.all), 70)
		now += int64(step[3] % 16)
		secret := m.all[i].secret
		switch op % 8 {
		case 0, 1: // shown
			match, ok := s.Match(secret, now)
			if want := m.good(i, now); ok != want {
				t.Fatalf("at %d: secret %d of %d is good: got %t, want %t", now, i, len(m.all), ok, want)
			}
			if !ok {
				ways["refused"]++
				break
			}
			ways["shown"]++
			m.show(i, now)
			want := secret
			if m.device == "" {
				want = m.newest().secret
			}
			if match.Newest != want || match.Ends != m.all[i].ends {
				t.Fatalf("at %d: secret %d of %d stands for another one, or until %d, want %d", now, i, len(m.all), match.Ends, m.all[i].ends)
			}
		case 2, 3: // rotated
			full := m.full(now)
			next := s.Rotate(m.newest().secret, arg, now)
			if changed := next != m.newest().secret; changed != (m.device == "" && !full) {
				t.Fatalf("at %d: rotated: got %t, bound %t, full %t", now, changed, m.device != "", full)
			} else if changed {
				m.add(next, false, 0, arg)
				ways["rotated"]++
			}
		case 4: // bound, once they are many
			if on < 200 && m.device == "" {
				break
			}
			want := error(nil)
			if m.device != "" {
				want = ErrBound
			} else if m.full(now) {
				want = ErrFull
			}
			next := NewBoundSecret()
			if err := s.Bind("device", next, now+1+arg, 4*arg, now); !errors.Is(err, want) {
				t.Fatalf("at %d: Bind: got %v, want %v", now, err, want)
			}
			if ways[fmt.Sprint("bind ", want)]++; want == nil {
				m.device = "device"
				m.add(next, true, now+1+arg, 4*arg)
			}
		default:
			m.prove(t, &s, step, now, ways)
		}
		m.compare(t, &s, now)
		var read Secrets
		if read.Newest = s.Newest; !read.SetOld(s.Old()) || !bytes.Equal(read.Old(), s.Old()) {
			t.Fatalf("at %d: what was stored is not what is read", now)
		}
		s = read
	}
	return ways
}

func (m *model) prove(t *testing.T, s *Secrets, step []byte, now int64, ways map[string]int) {
	t.Helper()
	p := Proof{Device: "device", Challenge: fmt.Sprint(step[1]), Until: now + int64(step[2])}
	if step[1] > 250 {
		p.Device = "another"
	}
	until, remembered := m.used[p.Challenge], 0
	for _, until := range m.used {
		if now < until {
			remembered++
		}
	}
	want := error(nil)
	switch {
	case m.device != p.Device:
		want = ErrUnbound
	case now < until:
		want = ErrReplayed
	case remembered >= MaxGenerations || m.full(now):
		want = ErrFull
	}
	next, ends := NewBoundSecret(), now+1+int64(step[1]^step[2])
	if err := s.Prove(p, next, ends, now); !errors.Is(err, want) {
		t.Fatalf("at %d: Prove: got %v, want %v", now, err, want)
	}
	if ways[fmt.Sprint("prove ", want)]++; want == nil {
		m.show(len(m.all)-1, now)
		m.used[p.Challenge] = p.Until
		m.add(next, true, ends, 0)
	}
}

func (m *model) compare(t *testing.T, s *Secrets, now int64) {
	t.Helper()
	for i, known := range m.all {
		got, want := s.Accepts(known.secret, now), m.good(i, now)
		if got != want {
			t.Fatalf("at %d: secret %d of %d is good: got %t, want %t", now, i, len(m.all), got, want)
		}
		if !got && len(m.all) <= maxDead+1 && !s.Reused(known.secret) {
			t.Fatalf("at %d: secret %d of %d is forgotten", now, i, len(m.all))
		}
	}
	if s.Device() != m.device || s.Ends() != m.newest().ends || s.Reused(NewBoundSecret()) {
		t.Fatalf("at %d: device, or end %d of the newest, which is %d", now, s.Ends(), m.newest().ends)
	}
}

// TestSecretsModel: random lives are those of the model.
func TestSecretsModel(t *testing.T) {
	ways := make(map[string]int)
	for seed := range uint64(80) {
		random := rand.New(rand.NewPCG(seed, 1))
		life := make([]byte, 4*250)
		for i := range life {
			life[i] = byte(random.Uint32())
			if i%4 == 3 && seed%2 == 0 {
				life[i] = byte(random.Uint32N(40) / 39) // little time passes
			}
		}
		for way, n := range lives(t, life) {
			ways[way] += n
		}
	}
	for _, way := range []string{"shown", "refused", "rotated", "bind <nil>", "prove <nil>"} {
		if ways[way] == 0 {
			t.Errorf("no life had: %s", way)
		}
	}
	for _, err := range []error{ErrBound, ErrFull, ErrUnbound, ErrReplayed} {
		if ways[fmt.Sprint("bind ", err)]+ways[fmt.Sprint("prove ", err)] == 0 {
			t.Errorf("no life had: %v", err)
		}
	}
}

// FuzzSecrets looks for a life that is not that of the model.
func FuzzSecrets(f *testing.F) {
	f.Add([]byte{4, 255, 40, 1, 7, 1, 90, 3, 7, 2, 90, 0, 0, 1, 0, 9, 7, 1, 5, 5})
	f.Fuzz(func(t *testing.T, life []byte) { lives(t, life[:min(len(life), 4000)]) })
}
