package redis_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// TestRefreshInterval counts the commands of requests that read and refresh: one each
// while it is not time, whatever the clock of the server says.
func TestRefreshInterval(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"the same clock": 0, "behind": -20 * time.Minute, "ahead": 20 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.StartSkewed(t, ahead)
			w, client := wired(t, server)
			warm(t, client)
			m := &session.Manager{Store: &redis.Store{Client: client, OpTimeout: time.Minute}, Propagator: &cookie.Propagator{}, RefreshInterval: 10 * time.Minute}
			var clientToken string
			request := func(handler func(ctx *mist.Context) error) []string {
				t.Helper()
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				if clientToken != "" {
					r.AddCookie(&http.Cookie{Name: "__Host-Http-session", Value: clientToken})
				}
				w.take(t)
				if err := handler(&mist.Context{Request: r, ResponseWriter: httptest.NewRecorder()}); err != nil {
					t.Fatal(err)
				}
				var names []string
				for _, words := range w.take(t) {
					names = append(names, words[0])
				}
				return names
			}
			var s session.Session
			request(func(ctx *mist.Context) (err error) {
				s, err = m.Login(ctx, "ada")
				clientToken = session.Token(s)
				return err
			})
			request(m.RefreshSession) // learns the time
			for range 5 {
				if got := request(m.RefreshSession); len(got) != 1 || got[0] != "hgetall" {
					t.Errorf("got the commands %q, want one hgetall", got)
				}
			}
			st := m.Store.(*redis.Store)
			long := time.Now().Add(ahead - 11*time.Minute)
			if err := client.HSet(t.Context(), keyOf(st, s.ID()), "t", long.UnixMilli()).Err(); err != nil {
				t.Fatal(err)
			}
			if got := request(m.RefreshSession); len(got) != 2 || got[1] != "evalsha" && got[1] != "eval" {
				t.Errorf("after the interval: got the commands %q, want hgetall and a script", got)
			}
			if seen := described(t, get(t, st, s.ID())).LastSeen; !seen.After(long.Add(10 * time.Minute)) {
				t.Error("it was not refreshed")
			}
		})
	}
}
