package session_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/mist-contrib/session/internal/webtest"
)

var soak = flag.Duration("soak", 0, "how long TestSoak goes on; make soak")

// T-L4: a thousand browsers at once, through the Middleware of two sites in one
// process; every answer carries the marker of its own browser, or none for who is
// not logged in. A few requests each, or for as long as -soak says.
func TestSoak(t *testing.T) {
	const (
		browsers = 1000
		atLeast  = 8 // requests of each
	)
	var sites [2]*webtest.Site
	for i := range sites {
		sites[i] = crowdedSite(t, true)
		if transport, ok := sites[i].Client().Transport.(*http.Transport); ok {
			transport.MaxIdleConnsPerHost = browsers
		}
	}
	var (
		began = time.Now()
		tally tally
		all   sync.WaitGroup
	)
	for i := range browsers {
		v := &visitor{
			t: t, site: sites[i%2], other: sites[(i+1)%2], client: sites[i%2].Visitor(t), tally: &tally,
			name: fmt.Sprint("browser-", i), random: rand.New(rand.NewPCG(uint64(i), 3)),
		}
		all.Go(func() {
			for n := 0; n < atLeast || time.Since(began) < *soak; n++ {
				v.act(i % 3)
			}
		})
	}
	all.Wait()
	own, none, rest := tally.own.Load(), tally.none.Load(), tally.rest.Load()
	t.Logf("%d browsers, %v: %d requests, %d shown their own marker, %d none, %d somebody else's",
		browsers, time.Since(began).Round(time.Second/10), own+none+rest+tally.foreign.Load()+tally.lost.Load(), own, none, tally.foreign.Load())
	if n := tally.lost.Load(); n != 0 {
		t.Errorf("%d answers showed nobody to somebody who is logged in", n)
	}
	if own < browsers || none < browsers {
		t.Error("too few of one kind: this shows little")
	}
}
