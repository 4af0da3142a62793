package sealed_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// TestKeysOfOneID: two keys may have the same id by chance, and both open their seals.
func TestKeysOfOneID(t *testing.T) {
	seen := make(map[string][]byte)
	for range 1 << 17 {
		key := sealed.NewKey()
		s, err := (&sealed.Store{Keys: [][]byte{key}}).Generate(t.Context(), "id")
		if err != nil {
			t.Fatal(err)
		}
		seal := session.Token(s)
		other, found := seen[seal[:5]]
		if !found {
			seen[seal[:5]] = key
			continue
		}
		for i, keys := range [][][]byte{{key, other}, {other, key}} {
			if _, err := (&sealed.Store{Keys: keys}).Open(t.Context(), seal); err != nil {
				t.Errorf("with the key that made the seal at %d: %v", i, err)
			}
		}
		return
	}
	t.Fatal("found no two keys of one id")
}

// TestIDs: a session keeps its id as it was written.
func TestIDs(t *testing.T) {
	id := "0198c0de-feed-4abc-8def-0123456789ab"
	for _, id := range []string{
		id, strings.ToUpper(id), id[:35] + "B", strings.ReplaceAll(id, "-", ""), strings.ReplaceAll(id, "-", "_"),
		strings.Repeat("g", 36), strings.Repeat("-", 36), uuid.Nil.String(), "a", strings.Repeat("a", 128),
	} {
		st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
		s, err := st.Generate(t.Context(), id)
		if err == nil {
			s, err = st.Open(t.Context(), session.Token(s))
		}
		if err != nil || s.ID() != id {
			t.Errorf("%s: got %v, %v", id, s, err)
		}
	}
}

// TestSessionsOfOneRequest: a request may have several sessions, of several stores. Each
// is there once, and a store knows its own.
func TestSessionsOfOneRequest(t *testing.T) {
	ctx := session.WithDelivery(t.Context(), &session.Delivery{MaxToken: 3000, Deliver: func(session.Session) error { return nil }})
	keys := [][]byte{sealed.NewKey()}
	st, other := &sealed.Store{Keys: keys}, &sealed.Store{Keys: keys}
	a, err := st.Generate(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	_, errB := st.Generate(ctx, "b")
	_, errC := other.Generate(ctx, "c")
	_, errA := st.Open(ctx, session.Token(a)) // again: it takes the place of the first
	if err := errors.Join(errA, errB, errC); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		st   *sealed.Store
		id   string
		want error
	}{
		{other, "a", errors.ErrUnsupported},
		{st, "a", nil},
		{st, "a", nil}, // again
		{st, "c", errors.ErrUnsupported},
		{st, "b", nil},
		{st, "b", nil},
		{other, "c", nil},
		{other, "c", nil},
	} {
		if err := tt.st.Remove(ctx, tt.id); !errors.Is(err, tt.want) {
			t.Errorf("Remove(%s): got %v, want %v", tt.id, err, tt.want)
		}
	}
}

// TestLineBreaks: package base64 passes over line breaks, so the shape of a seal has to
// refuse them.
func TestLineBreaks(t *testing.T) {
	st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
	seal := sealFive(t, st)
	for i := range len(seal) + 1 {
		if _, err := st.Open(t.Context(), seal[:i]+"\n"+seal[i:]); !errors.Is(err, session.ErrNotFound) {
			t.Fatalf("line break at %d: got %v, want ErrNotFound", i, err)
		}
	}
}
