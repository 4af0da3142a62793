package redis_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

const chaosNever = time.Duration(math.MaxInt64)

// A chaosOutcome is what is known of an attempt.
type chaosOutcome int

const (
	chaosUnderWay chaosOutcome = iota
	chaosDone                  // it took effect before the answer
	chaosUnknown               // it may have, and may yet for a while
	chaosRefused               // it never will
)

// A chaosAttempt is something that was asked for. It takes effect between from and
// to, if it does.
type chaosAttempt struct {
	from, to time.Duration
	outcome  chaosOutcome
}

func (a *chaosAttempt) settle(o chaosOutcome, now time.Duration) {
	a.outcome, a.to = o, now
	if o == chaosUnknown {
		a.to += chaosLag
	}
}

// surely reports whether it took effect before a time.
func (a *chaosAttempt) surely(before time.Duration) bool {
	return a.outcome == chaosDone && a.to < before
}

// possibly reports whether it may have taken effect before a time.
func (a *chaosAttempt) possibly(before time.Duration) bool {
	return a.outcome != chaosRefused && a.from < before
}

// A chaosRegister is all that was written under a key, the first is nothing.
type chaosRegister []*chaosWrite

type chaosWrite struct {
	chaosAttempt

	value string // empty: taken out
}

// explains reports whether somebody who looks can see a value: it was written,
// and nothing that was acknowledged came between.
func (r chaosRegister) explains(value string, look chaosAttempt) bool {
	for _, w := range r {
		if w.value == value && w.possibly(look.to) && !r.replaced(w, look) {
			return true
		}
	}
	return false
}

func (r chaosRegister) replaced(w *chaosWrite, look chaosAttempt) bool {
	for _, later := range r {
		if later.surely(look.from) && later.from > w.to {
			return true
		}
	}
	return false
}

// A chaosCounter is all the increments of a key.
type chaosCounter struct {
	attempts []*chaosAttempt
	answers  map[string]bool // that were given
}

// bounds returns what somebody who looks can see.
func (c *chaosCounter) bounds(look chaosAttempt) (low, high int64) {
	for _, a := range c.attempts {
		if a.surely(look.from) {
			low++
		}
		if a.possibly(look.to) {
			high++
		}
	}
	return low, high
}

// A chaosTicket is a value that is put once and popped once.
type chaosTicket struct {
	put  *chaosAttempt // nil: never
	pops []*chaosPop
}

type chaosPop struct {
	chaosAttempt

	empty bool // it found nothing
}

// has reports whether a pop has the ticket for good. It has not where it was
// faster than the answer to the put: the client repeats a put whose answer is
// lost, and the ticket comes again.
func (t *chaosTicket) has(p *chaosPop) bool {
	return p.outcome == chaosDone && !p.empty && t.put != nil && t.put.surely(p.from)
}

// A chaosAccount is a session as its visitor knows it.
type chaosAccount struct {
	number    int
	owner     int
	marker    string
	id        string
	born      chaosAttempt
	logouts   []*chaosAttempt
	refreshes []*chaosAttempt
	tokens    []*chaosToken // oldest first
	registers map[string]chaosRegister
	counters  map[string]*chaosCounter
	tickets   map[string]*chaosTicket
}

// A chaosToken is a token that a visitor was given.
type chaosToken struct {
	account *chaosAccount
	index   int // in account.tokens
	token   string
	sent    time.Duration // when it was shown first
	seen    time.Duration // when an answer first proved that the store has seen it
}

// A chaosModel is what is known of all sessions.
type chaosModel struct {
	c *chaos

	mu       sync.Mutex
	draws    *rand.Rand
	ids      map[string]int // that newID gave away, how often
	logins   int            // that were asked for
	accounts []*chaosAccount
	closed   *chaosAccount // that was logged out last
	owned    [chaosVisitors][]*chaosToken
	tokens   map[string]*chaosToken
	kills    []*chaosAttempt // of a server that forgets
	counts   map[string]map[string]int
	longest  time.Duration
}

func (m *chaosModel) init(c *chaos) {
	m.c, m.draws = c, c.random(drawsID)
	m.ids, m.tokens, m.counts = make(map[string]int), make(map[string]*chaosToken), make(map[string]map[string]int)
}

// newID makes ids for the Manager. Some are taken, and some were: no session may
// suffer from that.
func (m *chaosModel) newID() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	id, now := uuid.NewString(), m.c.now()
	switch n := m.draws.IntN(100); {
	case n < 5:
		if owned := m.owned[n%chaosKeepers]; len(owned) > 0 && !m.mayBeGone(owned[len(owned)-1].account, now) {
			id = owned[len(owned)-1].account.id
		}
	case n < 30 && m.closed != nil && m.closed.quiet(now):
		id, m.closed = m.closed.id, nil // once: who has it next may not be quiet
	}
	m.ids[id]++
	return id
}

// quiet reports whether nothing is on its way that goes by the id alone. What
// else there is must not come through to another session of the same id.
func (a *chaosAccount) quiet(now time.Duration) bool {
	return !slices.ContainsFunc(append(a.refreshes, a.logouts...), func(t *chaosAttempt) bool {
		return t.outcome == chaosUnderWay || t.outcome == chaosUnknown && t.to > now
	})
}

// killing notes that the server is about to be killed; done, that it was.
func (m *chaosModel) killing() (done func()) {
	if m.c.persistent {
		return func() {}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	k := &chaosAttempt{from: m.c.now(), to: chaosNever}
	m.kills = append(m.kills, k)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		k.settle(chaosDone, m.c.now())
	}
}

// mayBeGone reports whether a session may have ended before a time.
func (m *chaosModel) mayBeGone(a *chaosAccount, before time.Duration) bool {
	for _, l := range a.logouts {
		if l.possibly(before) {
			return true
		}
	}
	return m.mayBeLost(a.born.from, before)
}

// mayBeLost reports whether the server may have forgotten everything between two
// times.
func (m *chaosModel) mayBeLost(after, before time.Duration) bool {
	return slices.ContainsFunc(m.kills, func(k *chaosAttempt) bool { return k.from < before && k.to > after })
}

// gone says why a session must have ended before a time; nothing: it may live.
func (m *chaosModel) gone(a *chaosAccount, before time.Duration) string {
	for _, l := range a.logouts {
		if l.surely(before) {
			return "logged out"
		}
	}
	for _, k := range m.kills {
		if k.surely(before) && a.born.to < k.from {
			return "lost"
		}
	}
	return ""
}

// mayBeRefused reports whether a token may be good no more before a time.
func (m *chaosModel) mayBeRefused(t *chaosToken, before time.Duration) bool {
	for _, later := range t.account.tokens[t.index+1:] {
		if later.sent < before-chaosGrace+chaosSlack {
			return true
		}
	}
	return m.mayBeGone(t.account, before)
}

// refused says why a token must be good no more at a time.
func (m *chaosModel) refused(t *chaosToken, at time.Duration) string {
	for _, later := range t.account.tokens[t.index+1:] {
		if later.seen != chaosNever && later.seen+chaosGrace+chaosSlack < at {
			return "replaced"
		}
	}
	return m.gone(t.account, at)
}

// open notes a session that a login was answered with.
func (m *chaosModel) open(owner int, marker, id, token string, born chaosAttempt) {
	a := &chaosAccount{
		number: len(m.accounts), owner: owner, marker: marker, id: id, born: born,
		registers: make(map[string]chaosRegister), counters: make(map[string]*chaosCounter), tickets: make(map[string]*chaosTicket),
	}
	m.accounts = append(m.accounts, a)
	m.give(a, token)
}

// give notes a token that a session has from now on.
func (m *chaosModel) give(a *chaosAccount, token string) *chaosToken {
	t := &chaosToken{account: a, index: len(a.tokens), token: token, sent: chaosNever, seen: chaosNever}
	a.tokens = append(a.tokens, t)
	m.tokens[token] = t
	m.owned[a.owner] = append(m.owned[a.owner], t)
	return t
}
