package redis_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// verify shows every token that anybody was ever given. All that is answered is
// judged as always; here it has to be an answer.
func (c *chaos) verify() {
	tokens := make(chan *chaosToken)
	var all sync.WaitGroup
	for i := range 8 {
		v := newChaosVisitor(c, i)
		all.Go(func() {
			for t := range tokens {
				v.confirm(t)
			}
		})
	}
	for _, t := range c.model.all() {
		tokens <- t
	}
	close(tokens)
	all.Wait()
}

// outage asks for every page while the server is paused, and until all have
// answered, however long that takes.
func (c *chaos) outage() {
	tokens := c.model.living()
	c.server.Pause()
	var all sync.WaitGroup
	for i, op := range chaosOps {
		cl := &chaosCall{kind: "outage", op: op, n: "1", marker: "nobody"}
		cl.key = map[string]string{"write": "k0", "drop": "k0", "count": "c0", "pop": "t0"}[op]
		if len(tokens) > 0 {
			cl.cookie = tokens[i%len(tokens)]
		}
		v := newChaosVisitor(c, i)
		all.Go(func() {
			v.do(cl, v.bare)
			if cl.status != http.StatusServiceUnavailable && cl.cookie != "" {
				c.violate(7, "%s: status %d while the server was paused", cl, cl.status)
			}
		})
	}
	answered := make(chan struct{})
	go func() {
		all.Wait()
		close(answered)
	}()
	for end := c.had() + chaosBound; ; {
		select {
		case <-answered:
		case <-time.After(10 * time.Millisecond):
			if c.had() < end {
				continue
			}
			c.violate(8, "no answer within %v while the server was paused", chaosBound)
		}
		break
	}
	c.server.Resume()
	all.Wait()
}

// living returns the newest tokens of sessions that nobody ended.
func (m *chaosModel) living() (tokens []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, a := range m.accounts {
		if !m.mayBeGone(a, chaosNever) {
			tokens = append(tokens, a.tokens[len(a.tokens)-1].token)
		}
	}
	return tokens
}

// confirm reads a session with a token until Redis answers.
func (v *chaosVisitor) confirm(t *chaosToken) {
	end := v.c.had() + chaosBound
	for {
		cl := &chaosCall{kind: "verify", op: "read", cookie: t.token}
		v.do(cl, v.bare)
		switch {
		case cl.status == http.StatusOK, cl.status == http.StatusUnauthorized:
			return
		case v.c.had() > end || v.c.givenUp.Load():
			v.c.givenUp.Store(true)
			v.c.violate(8, "%s: no answer after the end of all faults, status %d", cl, cl.status)
			return
		}
	}
}

// all returns the tokens of all sessions, the newest of each last.
func (m *chaosModel) all() []*chaosToken {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []*chaosToken
	for _, a := range m.accounts {
		all = append(all, a.tokens...)
	}
	return all
}

// tokenOf draws one of the tokens that a visitor was given lately.
func (m *chaosModel) tokenOf(v *chaosVisitor) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	owned := m.owned[v.number]
	if len(owned) == 0 {
		return ""
	}
	return owned[len(owned)-1-v.random.IntN(min(len(owned), 30))].token
}

// ticketOf draws a ticket of the session that a visitor has, or that a cookie
// names: mostly one that may be there still.
func (m *chaosModel) ticketOf(v *chaosVisitor, cookie string) string {
	if cookie == "" {
		cookie = v.cookie()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	const none = "t0"
	t := m.tokens[cookie]
	if t == nil || len(t.account.tickets) == 0 {
		return none
	}
	keys := slices.Sorted(maps.Keys(t.account.tickets))
	for range 5 {
		key := keys[v.random.IntN(len(keys))]
		if len(t.account.tickets[key].pops) == 0 {
			return key
		}
	}
	return keys[v.random.IntN(len(keys))]
}

func (m *chaosModel) count(cl *chaosCall, status string) {
	if m.counts[cl.kind] == nil {
		m.counts[cl.kind] = make(map[string]int)
	}
	m.counts[cl.kind][status]++
}

// acknowledged returns how often an operation was.
func (m *chaosModel) acknowledged(op string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[op]["200"]
}

// summary says what all requests were answered.
func (m *chaosModel) summary() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	sum, all := make(map[string]int), 0
	for _, kind := range slices.Sorted(maps.Keys(m.counts)) {
		fmt.Fprintf(&b, "\n%28s %v", kind, m.counts[kind])
		for status, n := range m.counts[kind] {
			sum[status] += n
			all += n
		}
	}
	return fmt.Sprintf("%d requests %v, the longest took %v; %d sessions, %d tokens%s",
		all, sum, m.longest.Round(time.Millisecond), len(m.accounts), len(m.tokens), b.String())
}
