package sql_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/values"
)

// TestEndedContext calls every method that takes a context with one that has ended. The
// method returns the error of the context and sends nothing.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	t.Cleanup(cancelLate)
	for _, b := range bases() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			st := b.watched(t, b.fresh(t), func(context.Context, string, bool) { sent.Add(1) })
			v := newVictim(t, st, st)
			proof := session.Proof{Device: "device", Challenge: "challenge", Lifetime: time.Minute}
			grow := func(any) (any, error) { return "grown", nil }
			for _, methods := range []struct {
				about string
				of    any
				args  map[string][]any
			}{
				{"the victim", st, map[string][]any{
					"Generate": {"new"}, "Get": {v.id}, "Open": {v.token}, "Refresh": {v.id}, "Remove": {v.id}, "Rotate": {v.token, time.Minute},
					"Login": {"", session.Login{User: victimUser}}, "UserSessions": {victimUser}, "RemoveUserSessions": {victimUser},
					"Migrate": {}, "Sweep": {}, "Bind": {v.token, proof}, "Prove": {v.id, proof},
				}},
				{"what needs no database to be refused", st, map[string][]any{
					"Generate": {"/"}, "Get": {"/"}, "Open": {"/"}, "Refresh": {"/"}, "Remove": {"/"}, "Rotate": {"/", time.Minute},
					"Login": {"/", session.Login{User: victimUser}}, "UserSessions": {""}, "RemoveUserSessions": {""}, "Migrate": {}, "Sweep": {},
					"Bind": {"/", proof}, "Prove": {"/", proof},
				}},
				{"others", st, map[string][]any{
					"Generate": {v.id}, "Get": {"nobody"}, "Open": {"nobody.x"}, "Refresh": {"nobody"}, "Remove": {"nobody"}, "Rotate": {"nobody.x", time.Minute},
					"Login": {v.token, session.Login{User: victimUser, MaxSessions: 1, EndOldest: true}}, "UserSessions": {"nobody"},
					"RemoveUserSessions": {victimUser, v.id}, "Migrate": {}, "Sweep": {}, "Bind": {"nobody.x", proof}, "Prove": {"nobody", proof},
				}},
				{"the session", v.session, map[string][]any{
					"Get": {"k"}, "Set": {"k", "v"}, "SetAll": {map[string]any{"k": "v"}}, "Delete": {"k"}, "Clear": {}, "Pop": {"k"}, "Update": {"k", grow},
					"All": {}, "Now": {}, "Stored": {}, "Write": {&values.Change{Clear: true}},
				}},
			} {
				for method, call := range reflect.ValueOf(methods.of).Methods() {
					if method.Type.NumIn() < 2 || method.Type.In(1) != reflect.TypeFor[context.Context]() {
						continue
					}
					args, ok := methods.args[method.Name]
					if !ok {
						t.Errorf("%s: this test does not know the method", method.Name)
						continue
					}
					for _, ctx := range []context.Context{canceled, late} {
						in := []reflect.Value{reflect.ValueOf(ctx)}
						for _, arg := range args {
							in = append(in, reflect.ValueOf(arg))
						}
						before := sent.Load()
						out := call.Call(in)
						name := fmt.Sprintf("%s of %s, %v", method.Name, methods.about, ctx.Err())
						switch got := out[len(out)-1].Interface().(type) {
						case iter.Seq2[string, any]:
							for key := range got {
								t.Errorf("%s: got the value of %s", name, key)
							}
						case error:
							if !errors.Is(got, ctx.Err()) || errors.Is(got, session.ErrNotFound) {
								t.Errorf("%s: got %v", name, got)
							}
						default:
							t.Errorf("%s: got %v", name, got)
						}
						if n := sent.Load() - before; n != 0 {
							t.Errorf("%s: sent %d requests", name, n)
						}
					}
				}
			}
			survives(t, "ended contexts", st, v)
			if n := count(t, st.DB, "SELECT count(*) FROM session_records"); n != 1 {
				t.Errorf("got %d sessions, want the one from before", n)
			}
			nothingHeld(t, "", st.DB, st.DB)
		})
	}
}
