package redis_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// chaosOps are the pages of the site.
var chaosOps = []string{"login", "look", "read", "write", "pair", "drop", "count", "pop", "refresh", "rotate", "logout"}

// A chaosCall is one request.
type chaosCall struct {
	kind   string // by which it is counted
	op     string // a page
	owner  int
	key, n string
	wait   int
	marker string // that a login asks for
	cookie string // instead of what the jar has
	header []string

	// Of the model.
	at          chaosAttempt
	began       time.Duration // by the clock of had
	ended       time.Duration
	attempts    []*chaosAttempt
	popped      *chaosPop
	clientToken *chaosToken // nil: a cookie that nobody was given, or none
	generations int         // tokens of the session that were known
	status      int
}

// String names the call for a complaint; a token must not be in it.
func (cl *chaosCall) String() string {
	s := fmt.Sprintf("visitor %d, %s", cl.owner, cl.op)
	if cl.kind != cl.op {
		s = fmt.Sprintf("visitor %d, %s (%s)", cl.owner, cl.op, cl.kind)
	}
	if cl.key != "" {
		s += " " + cl.key
	}
	if t := cl.clientToken; t != nil {
		s += fmt.Sprintf(", token %d of %d of session %d (%s)", t.index, len(t.account.tokens), t.account.number, t.account.marker)
	}
	return s
}

// shaped reports whether the cookie is one that a store is asked about.
func (cl *chaosCall) shaped() bool {
	return len(cl.header) == 1 && chaosTokenShape.MatchString(strings.TrimPrefix(cl.header[0], "session="))
}

// A chaosVisitor is a person with a browser, which keeps cookies in a jar.
type chaosVisitor struct {
	c       *chaos
	number  int
	browser *http.Client
	bare    *http.Client // without a jar
	url     *url.URL
	random  *rand.Rand
	numbers *atomic.Int64 // of this visitor, all tabs
}

func newChaosVisitor(c *chaos, number int) *chaosVisitor {
	jar, _ := cookiejar.New(nil) // documented never to fail
	u, err := url.Parse(c.site.URL)
	if err != nil {
		c.t.Fatal(err)
	}
	t := chaosTransport{c}
	return &chaosVisitor{
		c: c, number: number, url: u, browser: &http.Client{Transport: t, Jar: jar}, bare: &http.Client{Transport: t},
		random: c.random(drawsVisitor + uint64(number)), numbers: new(atomic.Int64),
	}
}

// tab returns the same visitor with draws of its own, to act at the same time.
func (v *chaosVisitor) tab() *chaosVisitor {
	t := *v
	t.random = rand.New(rand.NewPCG(v.random.Uint64(), 0))
	return &t
}

// visit acts until the site closes.
func (v *chaosVisitor) visit() {
	for {
		select {
		case <-v.c.stop:
			return
		case <-time.After(chaosBetween(v.random, 0, 60*time.Millisecond)):
			v.act()
		}
	}
}

func (v *chaosVisitor) act() {
	cookie := v.cookie()
	switch n := v.random.IntN(100); {
	case cookie == "" && n < 80, n < 1 && v.number >= chaosKeepers:
		v.login(nil)
	case n < 5:
		v.do(&chaosCall{kind: "anonymous", op: v.pick("look", "read", "write", "count"), key: "k0", n: "1"}, v.bare)
	case n < 10:
		v.hostile(cookie)
	case n < 18:
		v.replay()
	case n < 23 && v.number >= chaosKeepers:
		v.leave()
	case n < 33:
		v.tabs(2+v.random.IntN(2), 0)()
	default:
		v.page("", v.browser, 0)
	}
}

// tabs opens pages at once. The site is in no hurry with them.
func (v *chaosVisitor) tabs(n, wait int) (done func()) {
	var tabs sync.WaitGroup
	for range n {
		t := v.tab()
		tabs.Go(func() { t.page("", t.browser, wait) })
	}
	return tabs.Wait
}

// leave logs out, mostly while other tabs are loading.
func (v *chaosVisitor) leave() {
	done := v.tabs(v.random.IntN(4), 50+v.random.IntN(350))
	time.Sleep(chaosBetween(v.random, 0, 50*time.Millisecond))
	v.do(&chaosCall{kind: "logout", op: "logout"}, v.browser)
	done()
}

func (v *chaosVisitor) pick(from ...string) string { return from[v.random.IntN(len(from))] }

// cookie returns what the jar has.
func (v *chaosVisitor) cookie() string {
	for _, c := range v.browser.Jar.Cookies(v.url) {
		return c.Value
	}
	return ""
}

// login logs in; with a header the browser carries that instead of its cookies.
func (v *chaosVisitor) login(header []string) {
	n := v.numbers.Add(1)
	cl := &chaosCall{kind: "login", op: "login", marker: fmt.Sprintf("visitor-%d-%d", v.number, n), header: header}
	if header != nil {
		cl.kind = "login with a planted cookie"
		v.do(cl, v.bare)
		return
	}
	v.do(cl, v.browser)
}

// page does something on a page for those who are logged in.
func (v *chaosVisitor) page(cookie string, browser *http.Client, wait int) {
	cl := &chaosCall{cookie: cookie, wait: wait, n: strconv.FormatInt(v.numbers.Add(1), 10)}
	cl.op = v.pick("read", "read", "look", "write", "write", "put", "put", "pair", "drop", "count", "count", "pop", "pop", "refresh", "rotate")
	switch cl.op {
	case "write", "drop":
		cl.key = v.pick("k0", "k1", "k2", "k3")
	case "put":
		cl.op, cl.key = "write", "t"+cl.n
	case "count":
		cl.key = v.pick("c0", "c1")
	case "pop":
		cl.key = v.c.model.ticketOf(v, cookie)
	}
	if wait == 0 && v.random.IntN(20) == 0 {
		cl.wait = v.random.IntN(400)
	}
	cl.kind = cl.op
	if cookie != "" {
		cl.kind = "replay"
	}
	v.do(cl, browser)
}

// replay shows a token of a session that ended, or that was replaced.
func (v *chaosVisitor) replay() {
	t := v.c.model.tokenOf(v)
	if t != "" {
		v.page(t, v.bare, 0)
	}
}

// hostile shows what nobody was given.
func (v *chaosVisitor) hostile(cookie string) {
	id, secret, ok := strings.Cut(cookie, ".")
	if !ok || len(secret) < 26 {
		id, secret = uuid.NewString(), "AAAAAAAAAAAAAAAAAAAAAAAAAA"
	}
	other := []byte(secret)
	for i := range other {
		other[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[v.random.IntN(32)]
	}
	values := []string{
		id + "." + string(other),
		uuid.NewString() + "." + secret,
		id + "." + secret + "A",
		id + "." + secret[1:],
		id + ".A" + secret[1:] + "7",
		strings.ToUpper(id) + "." + string(other),
		strings.Repeat("a", 128) + "." + secret,
		strings.Repeat("a", 129) + "." + secret,
		id, id + ".", "." + secret, "*." + secret, "session:" + id + "." + secret, id + "." + strings.ToLower(secret),
		`"` + cookie + `"`, "../" + cookie, cookie + "%00", strings.Repeat("A", 9000), "\xff", "a b", ",",
	}
	headers := [][]string{{"session=" + v.pick(values...)}}
	if v.random.IntN(10) == 0 {
		headers = [][]string{{"session=" + cookie + "; session=" + cookie}, {"session=" + cookie, "session=" + v.pick(values...)}}
	}
	header := headers[v.random.IntN(len(headers))]
	if v.random.IntN(10) == 0 {
		v.login(header)
		return
	}
	v.do(&chaosCall{
		kind: "hostile", op: v.pick("look", "read", "write", "count", "pop", "refresh", "rotate", "logout"), key: "k0", n: "1", header: header,
	}, v.bare)
}

type chaosCallKey struct{}

// do sends a request. It has been judged when do returns.
func (v *chaosVisitor) do(cl *chaosCall, browser *http.Client) {
	cl.owner = v.number
	ctx, cancel := context.WithTimeout(context.WithValue(v.c.t.Context(), chaosCallKey{}, cl), 3*chaosBound)
	if cl.kind != "verify" && cl.kind != "outage" && v.random.IntN(40) == 0 { // some leave early
		cancel()
		ctx, cancel = context.WithTimeout(context.WithValue(v.c.t.Context(), chaosCallKey{}, cl), chaosBetween(v.random, 0, 8*time.Millisecond))
	}
	defer cancel()
	q := url.Values{"key": {cl.key}, "n": {cl.n}, "wait": {strconv.Itoa(cl.wait)}, "marker": {cl.marker}}
	method := http.MethodPost // which nobody on the way repeats
	if cl.op == "look" {
		method = http.MethodGet
	}
	req, err := http.NewRequestWithContext(ctx, method, v.url.String()+"/"+cl.op+"?"+q.Encode(), nil)
	if err != nil {
		v.c.t.Error(err)
		return
	}
	if cl.cookie != "" {
		cl.header = []string{"session=" + cl.cookie}
	}
	if cl.header != nil {
		req.Header["Cookie"] = cl.header
	}
	sent := ""
	if browser == v.browser {
		sent = v.cookie()
	}
	resp, err := browser.Do(req)
	if err != nil {
		return
	}
	_ = resp.Body.Close() // the transport has read it
	if sent != "" && resp.StatusCode == http.StatusUnauthorized && v.cookie() == sent {
		v.browser.Jar.SetCookies(v.url, []*http.Cookie{{Name: "session", MaxAge: -1}}) // and log in again
	}
}

// A chaosTransport lets the model see each request and each answer: before the
// jar does, and an answer as a whole or not at all.
type chaosTransport struct{ c *chaos }

func (t chaosTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	cl := req.Context().Value(chaosCallKey{}).(*chaosCall)
	token := "" // as it is on the wire, not as net/http reads it
	if lines := req.Header["Cookie"]; len(lines) == 1 {
		token = strings.TrimPrefix(lines[0], "session=")
	}
	t.c.model.asks(cl, token)
	resp, err := t.c.site.Client().Transport.RoundTrip(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	t.c.model.answered(cl, resp, body, err)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
