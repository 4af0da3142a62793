package sealed_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/dormoron/mist"
	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/sealed"
)

// fiveValues is what the sessions here hold.
func fiveValues() map[string]any {
	return map[string]any{"theme": "dark", "lang": "en", "visits": 42, "beta": true, "seen": int64(1_764_000_000)}
}

// sealFive returns the seal of a session with five values.
func sealFive(tb testing.TB, st *sealed.Store) string {
	tb.Helper()
	s, err := st.Generate(tb.Context(), uuid.NewString())
	if err != nil {
		tb.Fatal(err)
	}
	if err := session.SetAll(tb.Context(), s, fiveValues()); err != nil {
		tb.Fatal(err)
	}
	return session.Token(s)
}

// openOnce opens a seal and reads one of its values.
func openOnce(tb testing.TB, st *sealed.Store, seal string) session.Session {
	tb.Helper()
	s, err := st.Open(tb.Context(), seal)
	if err != nil {
		tb.Fatal(err)
	}
	if v, err := s.Get(tb.Context(), "theme"); v != "dark" || err != nil {
		tb.Fatalf("got %v, %v, want dark", v, err)
	}
	return s
}

// BenchmarkOpen bounds the load of a session from its seal.
func BenchmarkOpen(b *testing.B) {
	st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
	seal := sealFive(b, st)
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			openOnce(b, st, seal)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				openOnce(b, st, seal)
			}
		})
	})
}

// setOnce writes a value and makes the seal of what is then in the session.
func setOnce(tb testing.TB, s session.Session, visits int) {
	tb.Helper()
	if err := s.Set(tb.Context(), "visits", visits); err != nil {
		tb.Fatal(err)
	}
	if session.Token(s) == "" {
		tb.Fatal("got no seal")
	}
}

// BenchmarkSeal bounds a write and the seal after it.
func BenchmarkSeal(b *testing.B) {
	st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
	s := openOnce(b, st, sealFive(b, st))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		setOnce(b, s, i)
	}
}

// nowhere is a response writer that costs nothing.
type nowhere http.Header

func (w nowhere) Header() http.Header         { return http.Header(w) }
func (w nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w nowhere) WriteHeader(int)             {}

// serving returns a server whose only page counts its visits in the session, and the
// request of a client whose session has five values.
func serving(tb testing.TB, st session.Store) (*mist.HTTPServer, *http.Request) {
	tb.Helper()
	m := &session.Manager{Store: st, Propagator: &cookie.Propagator{}}
	rec := httptest.NewRecorder()
	ctx := &mist.Context{Request: httptest.NewRequest(http.MethodGet, "/", nil), ResponseWriter: rec}
	s, err := m.InitSession(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	if err := session.SetAll(tb.Context(), s, fiveValues()); err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range rec.Result().Cookies() {
		r.AddCookie(c)
	}
	visits := 0
	count := func(ctx *mist.Context) {
		s, err := m.GetSession(ctx)
		if err != nil {
			tb.Error(err)
			return
		}
		visits++
		if err := s.Set(ctx.Request.Context(), "visits", visits); err != nil {
			tb.Error(err)
		}
	}
	server := mist.InitHTTPServer()
	server.Use(m.Middleware())
	server.GET("/", count)
	return server, r
}

// BenchmarkRequest bounds a whole request that loads its session and writes one value,
// beside the same request with the sessions in memory.
func BenchmarkRequest(b *testing.B) {
	for name, st := range map[string]session.Store{
		"memory": &memory.Store{},
		"sealed": &sealed.Store{Keys: [][]byte{sealed.NewKey()}},
	} {
		b.Run("store="+name, func(b *testing.B) {
			server, r := serving(b, st)
			b.ReportAllocs()
			for b.Loop() {
				server.ServeHTTP(nowhere{}, r)
			}
		})
	}
}

// TestAllocations bounds what a session costs each request that has one.
func TestAllocations(t *testing.T) {
	st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
	seal := sealFive(t, st)
	s := openOnce(t, st, seal)
	visits := 1000 // larger numbers take an allocation each
	server, r := serving(t, st)
	w := nowhere{}
	for _, tt := range []struct {
		name string
		most float64
		call func()
	}{
		{"shape", 0, func() { st.ValidToken(seal) }},
		{"open", 11, func() { openOnce(t, st, seal) }},
		{"set and seal", 8, func() { visits++; setOnce(t, s, visits) }},
		{"request", 48, func() { server.ServeHTTP(w, r) }},
	} {
		if got := testing.AllocsPerRun(200, tt.call); got > tt.most {
			t.Errorf("%s: got %v allocations, want at most %v", tt.name, got, tt.most)
		}
	}
}

// TestBytes bounds the seal of a session with five values.
func TestBytes(t *testing.T) {
	const most = 200
	if got := len(sealFive(t, &sealed.Store{Keys: [][]byte{sealed.NewKey()}})); got > most {
		t.Errorf("got %d bytes, want at most %d", got, most)
	}
}
