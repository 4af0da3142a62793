package sealed_test

import (
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

func TestSmoke(t *testing.T) {
	st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
	s, err := st.Generate(t.Context(), "3f0a2b61-f217-4d02-8449-ce4f1ddcf523")
	if err != nil {
		t.Fatal(err)
	}
	if err := session.SetAll(t.Context(), s, map[string]any{"theme": "dark", "lang": "en-GB", "visits": 12, "beta": true, "seen": int64(1790000000)}); err != nil {
		t.Fatal(err)
	}
	tok := session.Token(s)
	t.Log(len(tok), tok)
	s2, err := st.Open(t.Context(), tok)
	if err != nil {
		t.Fatal(err)
	}
	all, _ := session.All(t.Context(), s2)
	for k, v := range all {
		t.Log(k, v)
	}
	l, err := st.Login(t.Context(), tok, session.Login{User: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(len(session.Token(l)), l)
}
