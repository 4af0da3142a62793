package sealed_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/sealed"
)

// printed returns every way in which somebody may print v.
func printed(t *testing.T, v any) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3v", "%T", "%p", "%!"} {
		out[verb] = fmt.Sprintf(verb, v)
		out["inside a slice, "+verb] = fmt.Sprintf(verb, []any{v})
		out["inside a struct, "+verb] = fmt.Sprintf(verb, struct{ Field any }{v})
	}
	encoded, err := json.Marshal(v)
	if err != nil {
		t.Errorf("json: %v", err)
	}
	out["json"] = string(encoded)
	var text, lines bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&lines, nil)).Info("m", "v", v)
	out["slog, text"], out["slog, json"] = text.String(), lines.String()
	return out
}

// secrets checks that none of the texts holds one of these bytes, in any notation.
func secrets(t *testing.T, texts map[string]string, secret []byte) {
	t.Helper()
	numbers := strings.Trim(fmt.Sprintf("%d", secret[:6]), "[]")
	for how, text := range texts {
		for _, notation := range []string{
			string(secret[:6]), numbers, strings.ReplaceAll(numbers, " ", ","), strings.ReplaceAll(numbers, " ", ", "),
			hex.EncodeToString(secret[:6]), base64.StdEncoding.EncodeToString(secret[:6]), base64.URLEncoding.EncodeToString(secret[:6]),
			strings.ReplaceAll(strings.Trim(fmt.Sprintf("%#v", secret[:6]), "[]byte{}"), ", ", ", "),
		} {
			if strings.Contains(strings.ToLower(text), strings.ToLower(notation)) {
				t.Errorf("%s: tells a secret", how)
			}
		}
	}
}

// TestPrintStore: no key comes out, before the first call or after it.
func TestPrintStore(t *testing.T) {
	st := revocable()
	st.Keys = append(st.Keys, namedKey("b"))
	st.Purpose = "shop"
	for _, when := range []string{"before the first call", "after it"} {
		t.Run(when, func(t *testing.T) {
			texts := printed(t, st)
			for _, key := range []string{"a", "b"} {
				secrets(t, texts, namedKey(key))
			}
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
				if texts[verb] != "sealed.Store" {
					t.Errorf("%s: got %q", verb, texts[verb])
				}
			}
		})
		begun(t, t.Context(), st, nil)
	}
	var none *sealed.Store
	if got := fmt.Sprint(none); got != "sealed.Store" {
		t.Errorf("nil: got %q", got)
	}
}

// TestPrintSession: the id comes out, and no seal, value or key.
func TestPrintSession(t *testing.T) {
	st := keyed("a")
	c := &client{name: "session"}
	ctx := c.request(t.Context())
	s, err := st.Login(ctx, "", session.Login{User: "alice", ID: "public", Values: map[string]any{"k": "private value"}})
	c.take(t, s, err)
	texts := printed(t, s)
	secrets(t, texts, namedKey("a"))
	secrets(t, texts, []byte("private value"))
	secrets(t, texts, []byte(c.seal))
	secrets(t, texts, []byte(c.seal)[6:])
	secrets(t, texts, []byte("alice alice")[:6])
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if texts[verb] != "public" {
			t.Errorf("%s: got %q, want the id", verb, texts[verb])
		}
	}
}
