package redis

import (
	"fmt"
	"testing"
)

// A session that is printed by mistake shows its id, and no token and no value.
func TestSessionsPrintNoToken(t *testing.T) {
	s := &requestSession{id: "id", token: "id.SECRET", fields: map[string]string{":key": "VALUE"}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, s); got != "id" {
			t.Errorf("%s: got more than the id, or less", verb)
		}
	}
}
