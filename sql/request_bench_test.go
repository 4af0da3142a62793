package sql_test

import (
	"cmp"
	"context"
	stdsql "database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
)

// BenchmarkRequest bounds what a session costs a mist request that reads one value, or
// stores one, beside handlers with a bare prepared SELECT of the same columns and a bare
// UPDATE of the same kind of row, through the same pool.
func BenchmarkRequest(b *testing.B) {
	onEach(b, func(b *testing.B, s *subject) {
		b.Helper()
		site := s.site(b)
		for _, callers := range []int{1, 16} {
			b.Run(fmt.Sprintf("read/callers=%d", callers), func(b *testing.B) { against(b, callers, site["read"], site["select"]) })
			b.Run(fmt.Sprintf("write/callers=%d", callers), func(b *testing.B) {
				against(b, callers, site["write"], site["update"], site["select-update"])
			})
		}
	})
}

// site returns what sends requests to a mist server: to a handler with a session, or to
// one with bare statements.
func (s *subject) site(b *testing.B) map[string]side {
	b.Helper()
	carrier := &cookie.Propagator{}
	m := &session.Manager{Store: s.store, Propagator: carrier}
	var written, next atomic.Int64 // what stays as it was is not written
	bareRead := func(ctx context.Context) error {
		var blobs [7]stdsql.RawBytes
		var n [9]int64
		rows, err := s.read.QueryContext(ctx, s.ids[next.Add(1)%subjects])
		if err != nil {
			return err
		}
		for rows.Next() {
			err = rows.Scan(&blobs[0], &n[0], &n[1], &blobs[1], &blobs[2], &n[2], &n[3], &n[4], &n[5], &blobs[3], &n[6], &n[7], &n[8], &blobs[4], &blobs[5], &blobs[6])
		}
		return cmp.Or(err, rows.Close())
	}
	bareWrite := func(ctx context.Context) error {
		s.writer.Lock()
		defer s.writer.Unlock()
		_, err := s.write.ExecContext(ctx, fmt.Appendf(nil, "%0120d", written.Add(1)), s.bare[next.Add(1)%subjects])
		return err
	}
	server, sides := mist.InitHTTPServer(), make(map[string]side)
	for name, handle := range map[string]func(c *mist.Context) error{
		"read": func(c *mist.Context) error {
			opened, err := m.GetSession(c)
			if err == nil {
				_, err = opened.Get(c.Request.Context(), "name")
			}
			return err
		},
		"write": func(c *mist.Context) error {
			opened, err := m.GetSession(c)
			if err == nil {
				err = opened.Set(c.Request.Context(), "name", written.Add(1))
			}
			return err
		},
		"select": func(c *mist.Context) error { return bareRead(c.Request.Context()) },
		"update": func(c *mist.Context) error { return bareWrite(c.Request.Context()) },
		"select-update": func(c *mist.Context) error {
			return cmp.Or(bareRead(c.Request.Context()), bareWrite(c.Request.Context()))
		},
	} {
		server.GET("/"+name, func(c *mist.Context) {
			if err := handle(c); err != nil {
				b.Error(err)
			}
		})
		var requests []*http.Request
		for _, token := range s.tokens {
			rec := httptest.NewRecorder()
			must(b, carrier.Inject(token, rec))
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/"+name, nil)
			for _, c := range rec.Result().Cookies() {
				r.AddCookie(c)
			}
			requests = append(requests, r)
		}
		sides[name] = side{name, func(n int) error {
			server.ServeHTTP(webtest.DiscardWriter{}, requests[n%len(requests)])
			return nil
		}}
	}
	return sides
}

// A side is what a benchmark holds against others.
type side struct {
	name string
	call func(n int) error // n grows from call to call
}

// against has callers call each side in turn, in short rounds, so that all have the same
// luck with the machine. It reports the medians of how many calls of the first side are
// answered in a second, and what share that is of each other's.
func against(b *testing.B, callers int, sides ...side) {
	b.Helper()
	const rounds, round = 21, 50 * time.Millisecond
	rates, shares := make([]float64, rounds), make([][rounds]float64, len(sides))
	for n := range rounds {
		for i, s := range sides {
			rate := s.rate(b, callers, round)
			if i == 0 {
				rates[n] = rate
			}
			shares[i][n] = 100 * rates[n] / rate
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(rates), "calls/s")
	for i, s := range sides[1:] {
		b.ReportMetric(median(shares[i+1][:]), "%of-"+s.name)
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// rate is how many calls are answered in a second.
func (s side) rate(b *testing.B, callers int, d time.Duration) float64 {
	b.Helper()
	var wg sync.WaitGroup
	var answered atomic.Int64
	start := time.Now()
	for caller := range callers {
		wg.Go(func() {
			n := 0
			for ; time.Since(start) < d; n++ {
				if err := s.call(caller*61 + n); err != nil {
					b.Error(err)
				}
			}
			answered.Add(int64(n))
		})
	}
	wg.Wait()
	return float64(answered.Load()) / time.Since(start).Seconds()
}
