package session_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// R01: a token that differs from a good one in one bit is nobody's, and what has
// not the shape of a token does not reach the store.
func TestFlippedBit(t *testing.T) {
	st := &shapeStore{TokenStore: &memory.Store{}}
	s, err := st.Generate(t.Context(), "6ba7b810-9dad-41d1-80b4-00c04fd430c8")
	if err != nil {
		t.Fatal(err)
	}
	good := session.Token(s)
	open := func(carried string) error {
		m := &session.Manager{Store: st, Propagator: rawPropagator(carried)}
		_, err := m.GetSession(blankContext(t))
		return err
	}
	if err := open(good); err != nil {
		t.Fatalf("the token itself: %v", err)
	}
	for i := range 8 * len(good) {
		flipped := []byte(good)
		flipped[i/8] ^= 1 << (i % 8)
		if err := open(string(flipped)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("bit %d of byte %d: got %v, want ErrNotFound", i%8, i/8, err)
		}
	}
	if st.misshapen != 0 || st.opened < len(good) {
		t.Errorf("the store was asked %d times, %d of them for what is no token", st.opened, st.misshapen)
	}
}

// A shapeStore counts what it is asked to open.
type shapeStore struct {
	session.TokenStore

	opened, misshapen int
}

func (st *shapeStore) Open(ctx context.Context, carried string) (session.Session, error) {
	st.opened++
	if webtest.Tokens.FindString(carried) != carried {
		st.misshapen++
	}
	return st.TokenStore.Open(ctx, carried)
}

// A rawPropagator says that every request carries it.
type rawPropagator string

func (p rawPropagator) Extract(*http.Request) (string, error)    { return string(p), nil }
func (p rawPropagator) Inject(string, http.ResponseWriter) error { return nil }
func (p rawPropagator) Remove(http.ResponseWriter) error         { return nil }

func blankContext(t *testing.T) *mist.Context {
	t.Helper()
	return &mist.Context{
		Request:        httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil),
		ResponseWriter: httptest.NewRecorder(),
	}
}

// R08, T-H1: whoever can read all that a store keeps has no cookie. (That of
// Redis has the same test on the bytes of its server.)
func TestDumpOpensNothing(t *testing.T) {
	const sessions = 1000
	st := &memory.Store{}
	var ids, issued []string
	for i := range sessions {
		s, err := st.Generate(t.Context(), fmt.Sprintf("session-%04d", i))
		if err != nil {
			t.Fatal(err)
		}
		ids, issued = append(ids, s.ID()), append(issued, session.Token(s))
		if i%2 == 0 { // old tokens are kept, too
			if s, err = st.Rotate(t.Context(), session.Token(s), time.Hour); err != nil {
				t.Fatal(err)
			}
			issued = append(issued, session.Token(s))
		}
	}
	found := map[string]bool{}
	dump(reflect.ValueOf(st), map[uintptr]bool{}, func(s string) { found[s] = true })
	all := strings.Join(slices.Collect(maps.Keys(found)), "\x00")
	for _, id := range ids {
		if !strings.Contains(all, id) {
			t.Fatal("an id is not in the dump: it does not look everywhere")
		}
	}
	for _, token := range issued {
		_, secret, _ := strings.Cut(token, ".")
		if strings.Contains(all, secret) {
			t.Fatal("a secret is in the dump")
		}
	}
	tries := 0
	for s := range found {
		for _, try := range []string{s, hex.EncodeToString([]byte(s)), ids[0] + "." + s} {
			tries++
			if _, err := st.Open(t.Context(), try); !errors.Is(err, session.ErrNotFound) {
				t.Fatalf("something in the dump opens a session: %v", err)
			}
		}
	}
	t.Logf("%d sessions, %d strings, %d tries", sessions, len(found), tries)
}

// dump calls found for every string and every run of bytes that can be reached
// from v.
func dump(v reflect.Value, seen map[uintptr]bool, found func(string)) {
	switch v.Kind() {
	case reflect.String:
		found(v.String())
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.Pointer()] {
			seen[v.Pointer()] = true
			dump(v.Elem(), seen, found)
		}
	case reflect.Interface:
		dump(v.Elem(), seen, found)
	case reflect.Struct:
		for _, field := range v.Fields() {
			dump(field, seen, found)
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			dump(entries.Key(), seen, found)
			dump(entries.Value(), seen, found)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			text := make([]byte, v.Len())
			for i := range text {
				text[i] = byte(v.Index(i).Uint())
			}
			found(string(text))
			return
		}
		for i := range v.Len() {
			dump(v.Index(i), seen, found)
		}
	default: // numbers hold no cookie
	}
}
