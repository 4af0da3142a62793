package sealed_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/cookie"
	"github.com/mist-contrib/session/sealed"
)

// Seals that the first version of the package made, of the sessions in TestGolden. A
// release that cannot open them any more logs everybody out.
const (
	goldenAnonymous = "1ytxglnHybjQFtAgLYdDRcFVUoDU7sYmGUduGJPLgPkdvd1bhykhERFizeDOJKzKQPQnHnqhy5hUAr08q0e8TS9yfZXebBTcmupaau01_IXP2JdToW10"
	goldenUser      = "1ytxgkn1yzhkeMAXuvCnnxOLQlJlVb3voRxSY8CjoSWO43qln8x08LSeyD7OFgllY2d3ikweYZDrHNRFEdqUSzcf2TJfajMD33smhp_jRL1HAsQUluiTkbeCIlD9oMm07AvgzYW7A1H22B0eUWXtJiGSs2J0P7Tw_Yw"
)

// TestGolden: what was sealed with an earlier build opens, with all that was in it, and
// this build makes seals of the same length.
func TestGolden(t *testing.T) {
	store := func() *sealed.Store {
		st := keyed("golden")
		st.Purpose = "golden"
		return st
	}
	request := func(t *testing.T) context.Context { return (&client{name: "session"}).request(t.Context()) }
	for _, tt := range []struct {
		name, seal string
		make       func(t *testing.T, st *sealed.Store, ctx context.Context) (session.Session, error)
		want       func(start time.Time) session.Info
		values     map[string]any
	}{
		{
			"nobody's", goldenAnonymous,
			func(_ *testing.T, st *sealed.Store, ctx context.Context) (session.Session, error) {
				s, err := st.Generate(ctx, "any-id_1")
				if err != nil {
					return nil, err
				}
				return s, s.Set(ctx, "count", 41)
			},
			func(start time.Time) session.Info {
				return session.Info{
					ID: "any-id_1", CreatedAt: start, RotatedAt: start, LastSeen: start,
					IdleDeadline: start.Add(30 * time.Minute), AbsoluteDeadline: start.Add(12 * time.Hour),
				}
			},
			map[string]any{"count": 41},
		},
		{
			"a user's", goldenUser,
			func(t *testing.T, st *sealed.Store, ctx context.Context) (session.Session, error) {
				s, err := st.Login(ctx, "", session.Login{
					User: "älice", Level: 3, IdleTimeout: time.Hour, AbsoluteTimeout: 48 * time.Hour, Persistent: true,
					ID: "f340b261-f217-4d02-8449-ce4f1ddcf523", Values: map[string]any{"theme": "dark"},
				})
				if err != nil {
					return nil, err
				}
				time.Sleep(time.Minute)
				if _, err := st.Rotate(ctx, session.Token(s), 0); err != nil {
					return nil, err
				}
				time.Sleep(time.Minute)
				if err := st.Refresh(ctx, s.ID()); err != nil {
					t.Fatal(err)
				}
				return st.Get(ctx, s.ID())
			},
			func(start time.Time) session.Info {
				return session.Info{
					ID: "f340b261-f217-4d02-8449-ce4f1ddcf523", User: "älice", Level: 3, Persistent: true,
					CreatedAt: start, AuthenticatedAt: start, RotatedAt: start.Add(time.Minute), LastSeen: start.Add(2 * time.Minute),
					IdleDeadline: start.Add(62 * time.Minute), AbsoluteDeadline: start.Add(48 * time.Hour),
				}
			},
			map[string]any{"theme": "dark"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // its clock starts at the same time always
				start := time.Now().Round(0)
				fresh, err := tt.make(t, store(), request(t))
				if err != nil {
					t.Fatal(err)
				}
				golden, err := store().Open(request(t), tt.seal)
				if err != nil {
					t.Fatal(err)
				}
				for when, s := range map[string]session.Session{"an earlier build": golden, "this build": fresh} {
					if got := infoOf(t, s); got != tt.want(start) {
						t.Errorf("%s:\ngot  %+v\nwant %+v", when, got, tt.want(start))
					}
					shows(t, when, s, tt.values)
				}
				if got := len(session.Token(fresh)); got != len(tt.seal) {
					t.Errorf("this build makes seals of %d bytes, an earlier one of %d", got, len(tt.seal))
				}
			})
		})
	}
}

// TestCookie: five ordinary values fit into 300 bytes of a cookie, its name and its
// attributes included, with a user as well.
func TestCookie(t *testing.T) {
	st := &sealed.Store{Keys: [][]byte{sealed.NewKey()}}
	p := &cookie.Propagator{}
	c := new(client)
	c.name, c.room = p.Limit()
	values := map[string]any{"theme": "dark", "lang": "en", "count": 3, "accepted": true, "since": time.Now()}
	for _, l := range []session.Login{{}, {User: "alice@example.com", Persistent: true, AbsoluteTimeout: 90 * 24 * time.Hour}} {
		ctx := c.request(t.Context())
		id := "f340b261-f217-4d02-8449-ce4f1ddcf523"
		s, err := st.Generate(ctx, id)
		if l.User != "" {
			l.ID = id
			s, err = st.Login(ctx, "", l)
		}
		c.take(t, s, err)
		if err := session.SetAll(ctx, s, values); err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := p.Inject(c.seal, w); err != nil {
			t.Fatal(err)
		}
		if got := len(w.Header().Get("Set-Cookie")); got > 300 {
			t.Errorf("user %q: got %d bytes, want at most 300", l.User, got)
		} else {
			t.Logf("user %q: %d bytes", l.User, got)
		}
	}
}
