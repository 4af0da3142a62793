package redis_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// tokenShape matches what a store would look up.
var chaosTokenShape = regexp.MustCompile(`^([A-Za-z0-9_-]{1,128})\.[A-Z2-7]{26,64}$`)

// asks notes what a request will do, just before it is sent. token is the cookie
// that it carries.
func (m *chaosModel) asks(cl *chaosCall, token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	cl.at, cl.began = chaosAttempt{from: m.c.now(), to: chaosNever}, m.c.had()
	if cl.op == "login" {
		m.logins++
		return
	}
	t := m.tokens[token]
	if t == nil {
		return
	}
	cl.clientToken, cl.generations = t, len(t.account.tokens)
	t.sent = min(t.sent, cl.at.from)
	a, try := t.account, func() *chaosAttempt {
		n := cl.at
		cl.attempts = append(cl.attempts, &n)
		return &n
	}
	write := func(key, value string) {
		w := &chaosWrite{chaosAttempt: cl.at, value: value}
		cl.attempts = append(cl.attempts, &w.chaosAttempt)
		if len(a.registers[key]) == 0 {
			a.registers[key] = chaosRegister{{chaosAttempt: chaosAttempt{outcome: chaosDone}}}
		}
		a.registers[key] = append(a.registers[key], w)
	}
	switch {
	case cl.op == "write" && cl.key[0] == 't':
		a.tickets[cl.key] = &chaosTicket{put: try()}
	case cl.op == "write":
		write(cl.key, cl.n)
	case cl.op == "drop":
		write(cl.key, "")
	case cl.op == "pair":
		write("left", cl.n)
		write("right", cl.n)
	case cl.op == "count":
		if a.counters[cl.key] == nil {
			a.counters[cl.key] = &chaosCounter{answers: make(map[string]bool)}
		}
		a.counters[cl.key].attempts = append(a.counters[cl.key].attempts, try())
	case cl.op == "pop":
		if a.tickets[cl.key] == nil {
			a.tickets[cl.key] = &chaosTicket{}
		}
		cl.popped = &chaosPop{chaosAttempt: cl.at}
		cl.attempts = append(cl.attempts, &cl.popped.chaosAttempt)
		a.tickets[cl.key].pops = append(a.tickets[cl.key].pops, cl.popped)
	case cl.op == "refresh":
		a.refreshes = append(a.refreshes, try())
	case cl.op == "logout":
		a.logouts = append(a.logouts, try())
	}
}

// answered judges the answer to a request, before the visitor's jar sees it; err
// means that there was none.
func (m *chaosModel) answered(cl *chaosCall, resp *http.Response, body []byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.c.now()
	took := m.c.had() - cl.began
	m.longest = max(m.longest, took)
	if took > chaosBound {
		m.c.violate(8, "%s took %v", cl, took)
	}
	cl.ended = now
	if err != nil {
		m.count(cl, "none")
		for _, a := range cl.attempts {
			a.settle(chaosUnknown, now)
		}
		return
	}
	cl.status = resp.StatusCode
	m.count(cl, strconv.Itoa(cl.status))
	var page *chaosPage
	if len(body) > 0 {
		if err := json.Unmarshal(body, &page); err != nil {
			m.c.violate(1, "%s: the answer is none: %v", cl, err)
			return
		}
	}
	o := chaosUnknown
	switch {
	case cl.status == http.StatusOK:
		o = chaosDone
	case page == nil: // RequireSession did not let it pass
		o = chaosRefused
	}
	cl.at.settle(o, now)
	for _, a := range cl.attempts {
		a.settle(o, now)
	}
	switch cl.status {
	case http.StatusOK, http.StatusUnauthorized, http.StatusGone, http.StatusServiceUnavailable:
	default:
		m.c.violate(7, "%s: status %d", cl, cl.status)
	}
	m.judgeCookies(cl, resp)
	switch {
	case cl.op == "login":
		lost := cl.status == http.StatusGone && m.mayBeLost(cl.at.from, now) // between two steps of it
		if cl.status != http.StatusOK && cl.status != http.StatusServiceUnavailable && !lost {
			m.c.violate(7, "%s: status %d", cl, cl.status)
		}
	case cl.clientToken == nil:
		m.judgeStranger(cl, page)
	default:
		m.judgeVisitor(cl, page)
	}
}

// judgeCookies judges what an answer sets.
func (m *chaosModel) judgeCookies(cl *chaosCall, resp *http.Response) {
	set := resp.Cookies()
	if len(set) != len(resp.Header["Set-Cookie"]) || len(set) > 1 {
		m.c.violate(7, "%s: %d cookies are set", cl, len(set))
		return
	}
	kind := ""
	if len(set) == 1 {
		kind = "set"
		if set[0].MaxAge < 0 {
			kind = "cleared"
		}
	}
	want := ""
	if cl.status == http.StatusOK {
		want = map[string]string{"login": "set", "rotate": "set", "logout": "cleared"}[cl.op]
	}
	if kind != want {
		m.c.violate(7, "%s: status %d, and the cookie is %q, want %q", cl, cl.status, kind, want)
		return
	}
	switch {
	case kind != "set":
	case cl.op == "login":
		m.judgeLogin(cl, set[0].Value)
	case cl.clientToken != nil:
		m.judgeRotation(cl, set[0].Value)
	}
}

// judgeLogin judges the token of a new session.
func (m *chaosModel) judgeLogin(cl *chaosCall, token string) {
	shape := chaosTokenShape.FindStringSubmatch(token)
	if shape == nil || m.tokens[token] != nil || m.ids[shape[1]] == 0 || token == cl.cookie {
		m.c.violate(6, "%s: a token that the server did not make just now", cl)
		return
	}
	m.open(cl.owner, cl.marker, shape[1], token, cl.at)
}

// judgeRotation judges the token that a rotation answered with.
func (m *chaosModel) judgeRotation(cl *chaosCall, token string) {
	a := cl.clientToken.account
	t := m.tokens[token]
	if t == nil {
		if shape := chaosTokenShape.FindStringSubmatch(token); shape == nil || shape[1] != a.id {
			m.c.violate(1, "%s: a token of another session", cl)
			return
		}
		t = m.give(a, token)
	}
	if t.account != a {
		m.c.violate(1, "%s: a token of another session", cl)
	} else if t.index < cl.generations-1 {
		m.c.violate(7, "%s: token %d, though %d was known before", cl, t.index, cl.generations-1)
	}
}

// judgeStranger judges the answer to a cookie that nobody was given, or to none.
func (m *chaosModel) judgeStranger(cl *chaosCall, page *chaosPage) {
	switch {
	case page != nil && page.Marker != "":
		m.c.violate(1, "%s: shown the session of %s", cl, page.Marker)
	case cl.status == http.StatusServiceUnavailable && cl.shaped():
	case cl.status != http.StatusUnauthorized:
		m.c.violate(6, "%s: status %d", cl, cl.status)
	}
}

// judgeVisitor judges the answer to a cookie of a session.
func (m *chaosModel) judgeVisitor(cl *chaosCall, page *chaosPage) {
	t, a := cl.clientToken, cl.clientToken.account
	if cl.status == http.StatusUnauthorized || cl.status == http.StatusGone {
		if !m.mayBeRefused(t, cl.ended) {
			m.c.violate(7, "%s: status %d, but nobody ended it", cl, cl.status)
		}
	}
	if page == nil {
		return // it was not let in
	}
	if why := m.refused(t, cl.at.from); why != "" {
		m.c.violate(2, "%s: let in, though %s", cl, why)
	}
	if page.Marker != a.marker {
		m.c.violate(1, "%s: shown the session of %s", cl, page.Marker)
	}
	t.seen = min(t.seen, cl.ended)
	if cl.status != http.StatusOK {
		return
	}
	switch cl.op {
	case "write", "pair", "drop", "count", "pop", "refresh", "rotate":
		if why := m.gone(a, page.Began); why != "" {
			m.c.violate(2, "%s: it was acknowledged, though %s", cl, why)
		}
	}
	switch cl.op {
	case "logout":
		m.closed = a
	case "count":
		m.judgeCount(cl, page.Result)
	case "pop":
		m.judgePop(cl, page.Result)
	case "read", "look":
		m.judgeValues(cl, page.Values)
	}
}

func (m *chaosModel) judgeCount(cl *chaosCall, answer string) {
	c := cl.clientToken.account.counters[cl.key]
	if c.answers[answer] {
		m.c.violate(3, "%s: two increments of %s made %s", cl, cl.key, answer)
	}
	c.answers[answer] = true
	m.judgeCounter(cl, cl.key, answer, chaosAttempt{from: cl.at.from, to: cl.ended})
}

func (m *chaosModel) judgeCounter(cl *chaosCall, key, value string, look chaosAttempt) {
	low, high := cl.clientToken.account.counters[key].bounds(look)
	if value == "" {
		value = "0"
	}
	if n, err := strconv.ParseInt(value, 10, 64); err != nil || n < low || n > high {
		m.c.violate(3, "%s: %s is %s, want %d to %d", cl, key, value, low, high)
	}
}

func (m *chaosModel) judgePop(cl *chaosCall, answer string) {
	t := cl.clientToken.account.tickets[cl.key]
	cl.popped.empty = answer == ""
	others := func(f func(p *chaosPop) bool) bool {
		return slices.ContainsFunc(t.pops, func(p *chaosPop) bool { return p != cl.popped && f(p) })
	}
	switch {
	case answer == "":
		taken := others(func(p *chaosPop) bool { return !p.empty && p.possibly(cl.ended) })
		if t.put != nil && t.put.surely(cl.at.from) && !taken {
			m.c.violate(3, "%s: %s is not there, and nobody has it", cl, cl.key)
		}
	case t.put == nil || answer != cl.key[1:]:
		m.c.violate(3, "%s: %s held %s", cl, cl.key, answer)
	case t.has(cl.popped) && others(t.has):
		m.c.violate(3, "%s: %s was popped twice", cl, cl.key)
	}
}

// judgeValues judges what a session shows.
func (m *chaosModel) judgeValues(cl *chaosCall, values map[string]string) {
	a, look := cl.clientToken.account, chaosAttempt{from: cl.at.from, to: cl.ended}
	for key, value := range values {
		if a.registers[key] == nil && a.counters[key] == nil && a.tickets[key] == nil {
			m.c.violate(3, "%s: %s is %s, though nobody wrote it", cl, key, value)
		}
	}
	if values["left"] != values["right"] {
		m.c.violate(3, "%s: half of what was written together: %s, %s", cl, values["left"], values["right"])
	}
	for key, r := range a.registers {
		if !r.explains(values[key], look) {
			m.c.violate(3, "%s: %s is %q, and the last that was acknowledged is %s", cl, key, values[key], r.last())
		}
	}
	for key := range a.counters {
		m.judgeCounter(cl, key, values[key], look)
	}
	for key, t := range a.tickets {
		m.judgeTicket(cl, key, t, values[key], look)
	}
}

func (m *chaosModel) judgeTicket(cl *chaosCall, key string, t *chaosTicket, value string, look chaosAttempt) {
	sure, possible := false, false
	for _, p := range t.pops {
		sure = sure || t.has(p) && p.surely(look.from)
		possible = possible || !p.empty && p.possibly(look.to)
	}
	switch {
	case value == "" && t.put != nil && t.put.surely(look.from) && !possible:
		m.c.violate(3, "%s: %s is not there, and nobody has it", cl, key)
	case value == "":
	case t.put == nil || value != key[1:]:
		m.c.violate(3, "%s: %s holds %s", cl, key, value)
	case sure:
		m.c.violate(3, "%s: %s is there, though it was popped", cl, key)
	}
}

// judgeRecords judges which sessions Redis holds.
func (m *chaosModel) judgeRecords(look chaosAttempt, records []chaosRecord) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]bool)
	for _, r := range records {
		id := strings.TrimPrefix(r.key, "session:")
		found[id] = true
		if m.ids[id] == 0 {
			m.c.violate(6, "a record under an id that the server did not choose")
		}
	}
	if len(found) > m.logins {
		m.c.violate(6, "%d records after %d logins", len(found), m.logins)
	}
	for _, a := range m.accounts {
		switch {
		case found[a.id] && m.ids[a.id] == 1 && m.gone(a, look.from) != "":
			m.c.violate(2, "session %d has a record, though %s", a.number, m.gone(a, look.from))
		case !found[a.id] && a.born.surely(look.from) && !m.mayBeGone(a, look.to):
			m.c.violate(3, "session %d has no record, but nobody ended it", a.number)
		}
	}
}

// last says what was acknowledged last.
func (r chaosRegister) last() string {
	for _, w := range slices.Backward(r) {
		if w.outcome == chaosDone {
			return fmt.Sprintf("%q", w.value)
		}
	}
	return "nothing"
}
