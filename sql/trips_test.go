package sql_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mist-contrib/session"
)

// TestRoundTrips counts what each call asks a server for, once the connection has its
// statements. SQLite is in the process.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	type trips struct{ postgres, mariadb int64 }
	for _, base := range bases()[:2] {
		t.Run(base.name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			st := base.watched(t, base.fresh(t), func(context.Context, string, bool) { sent.Add(1) })
			st.DB.SetMaxOpenConns(1)
			ctx := t.Context()
			anonymous := func() string { return session.Token(begun(t, st)) }
			login := func(clientToken string, l session.Login) string {
				l.User = "ada"
				s, err := st.Login(ctx, clientToken, l)
				must(t, err)
				return session.Token(s)
			}
			s := begun(t, st)
			clientToken := session.Token(s)
			for _, call := range []struct {
				name string
				want trips
				new  func() string // a token for the call
				do   func(clientToken string) error
			}{
				{"Generate", trips{1, 1}, nil, func(string) error { _, err := st.Generate(ctx, fmt.Sprint("g", sent.Load())); return err }},
				{"Open", trips{1, 1}, nil, func(string) error { _, err := st.Open(ctx, clientToken); return err }},
				{"Get", trips{1, 1}, nil, func(string) error { _, err := st.Get(ctx, s.ID()); return err }},
				{"Get of a value", trips{0, 0}, nil, func(string) error { _, err := s.Get(ctx, "k"); return err }},
				{"Set", trips{1, 1}, nil, func(string) error { return s.Set(ctx, "k", sent.Load()) }},
				{"Update", trips{2, 2}, nil, func(string) error {
					return session.Update(ctx, s, "k", func(any) (any, error) { return sent.Load(), nil })
				}},
				{"Refresh", trips{1, 1}, nil, func(string) error { return st.Refresh(ctx, s.ID()) }},
				{"Rotate", trips{2, 2}, anonymous, func(clientToken string) error { _, err := st.Rotate(ctx, clientToken, time.Minute); return err }},
				{"Remove", trips{1, 1}, nil, func(string) error { return st.Remove(ctx, "nobody") }},
				{"Login from nothing", trips{2, 2}, nil, func(string) error { login("", session.Login{}); return nil }},
				{"Login from an anonymous session", trips{2, 2}, anonymous, func(clientToken string) error { login(clientToken, session.Login{}); return nil }},
				{"Login with values", trips{2, 2}, anonymous, func(clientToken string) error {
					login(clientToken, session.Login{Values: map[string]any{"a": 1}})
					return nil
				}},
				{"Login anew", trips{2, 2}, func() string { return login("", session.Login{}) }, func(clientToken string) error { login(clientToken, session.Login{}); return nil }},
				{"Reauthentication", trips{2, 2}, func() string { return login("", session.Login{}) }, func(clientToken string) error {
					login(clientToken, session.Login{Reauthentication: true})
					return nil
				}},
				{"Login with a limit", trips{2, 5}, nil, func(string) error { login("", session.Login{MaxSessions: 1000}); return nil }},
				{"Login over the limit", trips{2, 6}, nil, func(string) error { login("", session.Login{MaxSessions: 1, EndOldest: true}); return nil }},
				{"UserSessions", trips{1, 1}, nil, func(string) error { _, err := st.UserSessions(ctx, "ada"); return err }},
				{"RemoveUserSessions", trips{2, 2}, nil, func(string) error { _, err := st.RemoveUserSessions(ctx, "ada"); return err }},
			} {
				var got int64
				for range 3 { // the first one also prepares its statements
					token := ""
					if call.new != nil {
						token = call.new()
					}
					before := sent.Load()
					must(t, call.do(token))
					got = sent.Load() - before
				}
				want := call.want.postgres
				if base.name == "mariadb" {
					want = call.want.mariadb
				}
				if got != want {
					t.Errorf("%s: %d round trips, want %d", call.name, got, want)
				}
			}
		})
	}
}
