package peers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/internal/sqltest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/redis"
	"github.com/mist-contrib/session/sql"
	"github.com/mist-contrib/session/sql/postgres"
)

// A load is what a session holds beside the two values that are read and written.
type load struct {
	name          string
	values, bytes int
}

func loads() []load {
	const full = 32
	return []load{
		{"5 values of 10 bytes", 3, 10},
		{"100 values of 10 bytes", 98, 10},
		{"1 000 values of 10 bytes", 998, 10},
		{"256 KiB in 32 values", full, 256<<10/full - 50},
		{"2 MiB, `MaxSize`, in 32 values", full, session.MaxSize/full - 50},
	}
}

// BenchmarkLoad measures what the size of a session costs a request that reads one small value,
// or reads one and writes one.
func BenchmarkLoad(b *testing.B) {
	server := redistest.Start(b)
	client, err := redis.NewClient("redis://" + server.Addr)
	must(b, err)
	defer func() { must(b, client.Close()) }()
	db, err := postgres.Open(sqltest.SharedPostgres(b).Database(b))
	must(b, err)
	defer func() { must(b, db.Close()) }()
	none := func() float64 { return 0 }
	onProcessor, onClock := contest{clock: processor, trips: none}, contest{clock: wall(), trips: none}
	for b.Loop() {
		t := newTable("a session of", "memory: read", "read and write", "Redis: read", "read and write", "PostgreSQL: read", "read and write")
		for _, l := range loads() {
			t.row(slices.Concat([]string{l.name},
				l.costs(b, &memory.Store{}, &onProcessor),
				l.costs(b, &redis.Store{Client: client}, &onClock),
				l.costs(b, &sql.Store{DB: db}, &onClock))...)
		}
		t.print("This module, µs of a request (memory: CPU µs)")
	}
}

func (l load) costs(b *testing.B, st session.TokenStore, c *contest) []string {
	b.Helper()
	p := ours("this module", st, false)
	must(b, check(p))
	user := p.browser()
	user.visit(start)
	_, token, _ := strings.Cut(keep(user), "=")
	s, err := st.Open(b.Context(), token)
	must(b, err)
	values := map[string]any{"user": "ada"}
	for i := range l.values {
		values[fmt.Sprintf("value%04d", i)] = strings.Repeat("x", l.bytes)
	}
	must(b, session.SetAll(b.Context(), s, values))
	var result []string
	for _, page := range []string{read, write} {
		result = append(result, micros(c.repeated(p, user, page)))
		must(b, p.err())
	}
	return result
}

// repeated returns what a page costs one user, in rounds of some milliseconds.
func (c *contest) repeated(p *peer, user browser, page string) float64 {
	const budget, round, least, most = 400 * time.Millisecond, 4 * time.Millisecond, 5, 1000
	first := c.pass([]browser{user}, page)
	n := min(max(int(float64(round)/first.ns), 1), most)
	users, bare := slices.Repeat([]browser{user}, n), slices.Repeat([]browser{p.bare()}, n)
	var took []float64
	for began := time.Now(); len(took) < least || time.Since(began) < budget; {
		took = append(took, c.pass(users, page).ns-c.pass(bare, page).ns)
	}
	return median(took)
}
