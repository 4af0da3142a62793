package dbsc_test

import (
	"crypto"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mist-contrib/session/memory"
)

// BenchmarkRefresh is a whole refresh on the server: the proof is checked, the store makes
// the token, and the browser is told.
func BenchmarkRefresh(b *testing.B) {
	for algorithm, key := range map[string]crypto.Signer{"ES256": key256(b), "RS256": rsaKey()} {
		b.Run("algorithm="+algorithm, func(b *testing.B) {
			s := newSite(&memory.Store{})
			s.manager.OnEvent = nil
			b.ReportAllocs()
			var d *device
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				if i%50 == 0 { // more would be too many at once
					d = &device{site: s, key: key}
					login := ask(s, "/login?user=ada")
					d.token = login.Result().Cookies()[0].Value
					d.offered = offer.FindStringSubmatch(login.Header().Get(headerRegistration))[1]
					d.hear(ask(s, "/dbsc/register", headerProof, registration(b, key, d.offered), "Cookie", cookieName+"="+d.token))
				}
				signed := proof(b, key, d.challenge)
				b.StartTimer()
				rec := ask(s, refreshOf(d.id), headerSession, cookieName, headerProof, signed)
				b.StopTimer()
				if rec.Code != http.StatusOK {
					b.Fatalf("got %d", rec.Code)
				}
				d.hear(rec)
				b.StartTimer()
			}
		})
	}
}

// hear keeps the challenge of an answer.
func (d *device) hear(rec *httptest.ResponseRecorder) {
	found := challenged.FindStringSubmatch(rec.Header().Get(headerChallenge))
	d.challenge, d.id = found[1], idOf(d.token)
}

// ask sends a POST request with some headers.
func ask(s *site, path string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, nil)
	for ; len(headers) > 0; headers = headers[2:] {
		req.Header.Set(headers[0], headers[1])
	}
	return s.serve(req)
}
