package session_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/dormoron/mist"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/internal/webtest"
	"github.com/mist-contrib/session/memory"
)

// R13, R46: a session that is printed, logged or made JSON by mistake shows no
// token.
func TestSessionsPrintNoToken(t *testing.T) {
	m := &session.Manager{Store: &memory.Store{}, Propagator: &cookie.Propagator{}}
	(&webtest.Browser{}).Visit(t, func(ctx *mist.Context) {
		s, err := m.Login(ctx, "alice")
		if err != nil {
			t.Fatal(err)
		}
		_, secret, _ := strings.Cut(session.Token(s), ".")
		text, _ := json.Marshal(s)
		for _, v := range []any{s, &s, []any{s}, struct{ S session.Session }{s}, ctx.UserValues} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				text = fmt.Appendf(text, verb, v)
			}
		}
		if strings.Contains(string(text), secret) || strings.Contains(string(text), fmt.Sprintf("%x", secret)) {
			t.Error("a session that is printed shows its token")
		}
	})
}
