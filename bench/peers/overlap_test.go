package peers_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/mist-contrib/session/internal/redistest"
)

// overlap lets a user visit a page during a request that has read the session and will write to
// it. It returns what the session shows afterwards.
func overlap(t *testing.T, p *peer, page, key string) any {
	t.Helper()
	first := p.browser()
	first.visit(start)
	keep(first)
	first.visit(login)
	cookie := keep(first)
	second, third := p.browser(), p.browser()
	second.carry(cookie)
	third.carry(cookie)

	p.slow, p.goOn = make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() {
		first.visit(slow)
		close(done)
	}()
	<-p.slow
	second.visit(page)
	close(p.goOn)
	<-done
	third.visit(show + key)
	must(t, p.err())
	return p.shown
}

// TestOverlap: what docs/performance.md says of two requests at once. With packages that write
// the whole session, one undoes the write of the other, or its logout.
func TestOverlap(t *testing.T) {
	server := redistest.Start(t)
	for store, all := range map[string][]func(testing.TB) *peer{"memory": onMemory(), "redis": onRedis(server.Addr)} {
		for _, connect := range all {
			p := connect(t)
			name, _, _ := strings.Cut(p.name, ",")
			want := name == "scs" || name == "gorilla/sessions" || name == "fiber"
			loses := fmt.Sprint(overlap(t, p, write, "visits")) != strconv.FormatInt(p.writes.Load(), 10)
			revives := overlap(t, p, logout, "theme") != nil
			if loses != want || revives != want {
				t.Errorf("%s, %s: a write is lost: %v, a logout undone: %v, want both %v", store, p.name, loses, revives, want)
			}
			p.close(t)
		}
	}
}
