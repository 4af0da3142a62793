package redis_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/memory"
	"github.com/mist-contrib/session/redis"
)

// A twin is what one of two stores has made of the same steps.
type twin struct {
	session.DeviceStore
	skew   time.Duration
	ids    []string
	tokens []string
}

// index is the place of a token, new or not.
func (w *twin) index(clientToken string) int {
	if !slices.Contains(w.tokens, clientToken) {
		w.tokens = append(w.tokens, clientToken)
	}
	return slices.Index(w.tokens, clientToken)
}

// outcome tells what became of a call.
func (w *twin) outcome(s session.Session, err error) string {
	for name, known := range map[string]error{
		"ErrReused": session.ErrReused, "ErrUnproved": session.ErrUnproved, "ErrBound": session.ErrBound, "ErrUnbound": session.ErrUnbound,
		"ErrReplayed": session.ErrReplayed, "ErrFull": session.ErrFull, "ErrExists": session.ErrExists,
	} {
		if errors.Is(err, known) {
			return name
		}
	}
	switch {
	case errors.Is(err, session.ErrNotFound):
		return "ErrNotFound"
	case err != nil:
		return err.Error()
	}
	info, err := session.Describe(s)
	if err != nil {
		return err.Error()
	}
	device, err := session.DeviceOf(s)
	out := fmt.Sprint(", ", slices.Index(w.ids, s.ID()), device, err, info.Bound)
	for _, at := range []time.Time{info.CreatedAt, info.LastSeen, info.IdleDeadline, info.AbsoluteDeadline, info.RotatedAt, info.ProvedUntil} {
		if !at.IsZero() {
			at = at.Add(-w.skew)
		}
		out += fmt.Sprint(" ", at.UnixMilli())
	}
	if clientToken := session.Token(s); clientToken != "" {
		out += fmt.Sprint(" token ", w.index(clientToken), strings.HasSuffix(clientToken, "DEVICE"))
	}
	return out
}

// TestDevicesAsInMemory plays random steps about devices on both stores.
func TestDevicesAsInMemory(t *testing.T) {
	t.Parallel()
	const skew = 30 * 365 * 24 * time.Hour
	server := redistest.StartSkewed(t, 0)
	ended := make(map[string]int)
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			pass := func(d time.Duration) {
				time.Sleep(d)
				server.StopClock(time.Now().Add(skew))
			}
			pass(time.Hour)
			random := rand.New(rand.NewPCG(seed, 13))
			twins := []*twin{
				{DeviceStore: &memory.Store{IdleTimeout: time.Minute, AbsoluteTimeout: 10 * time.Minute}},
				{DeviceStore: &redis.Store{
					Client: newClient(t, unhurried(server.Addr)), Prefix: fmt.Sprint(seed, ":"), OpTimeout: time.Minute,
					IdleTimeout: time.Minute, AbsoluteTimeout: 10 * time.Minute,
				}, skew: skew},
			}
			ctx := t.Context()
			both := func(what string, call func(w *twin) (session.Session, error)) {
				var out [2]string
				for i, w := range twins {
					out[i] = w.outcome(call(w))
				}
				name, _, _ := strings.Cut(what, " ")
				reason, _, _ := strings.Cut(out[0], ",")
				ended[strings.TrimSpace(name+" "+reason)]++
				if out[0] != out[1] {
					t.Fatalf("seed %d: %s:\nmemory %s\nredis  %s", seed, what, out[0], out[1])
				}
			}
			for i := range 2 {
				both("Login", func(w *twin) (session.Session, error) {
					var s session.Session
					var err error
					if i == 0 {
						s, err = w.Login(ctx, "", session.Login{User: "ada"})
					} else {
						s, err = w.Generate(ctx, "anonymous")
					}
					if err == nil {
						w.ids = append(w.ids, s.ID())
					}
					return s, err
				})
			}
			times := []time.Duration{0, 0, time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond}
			pick := func() time.Duration { return times[random.IntN(len(times))] }
			for range 150 {
				n := random.IntN(len(twins[0].tokens))
				if random.IntN(2) == 0 {
					n = len(twins[0].tokens) - 1 - random.IntN(min(3, len(twins[0].tokens)))
				}
				p := session.Proof{
					Device: []string{"d", "d", "d", "other"}[random.IntN(4)], Challenge: fmt.Sprint(random.IntN(12)),
					Remember: pick(), Lifetime: max(time.Millisecond, pick()), Grace: pick(),
				}
				switch op := random.IntN(20); op {
				case 0, 1, 2, 3, 4:
					both(fmt.Sprint("Open ", n), func(w *twin) (session.Session, error) { return w.Open(ctx, w.tokens[n]) })
				case 5, 6:
					both(fmt.Sprint("Rotate ", n, p.Grace), func(w *twin) (session.Session, error) { return w.Rotate(ctx, w.tokens[n], p.Grace) })
				case 7, 8, 9:
					both(fmt.Sprint("Bind ", n, p), func(w *twin) (session.Session, error) { return w.Bind(ctx, w.tokens[n], p) })
					both(fmt.Sprint("Open ", n), func(w *twin) (session.Session, error) { return w.Open(ctx, w.tokens[n]) }) // after a refusal memory has seen the token, Redis has not
				case 10, 11, 12, 13:
					id := random.IntN(2)
					both(fmt.Sprint("Prove ", id, p), func(w *twin) (session.Session, error) { return w.Prove(ctx, w.ids[id], p) })
				case 14:
					if random.IntN(3) == 0 {
						again := random.IntN(2) == 0
						both(fmt.Sprint("Login ", n, again), func(w *twin) (session.Session, error) {
							return w.Login(ctx, w.tokens[n], session.Login{User: "ada", Reauthentication: again, ID: fmt.Sprint(n)})
						})
					}
				case 15:
					id := random.IntN(2)
					both(fmt.Sprint("Get ", id), func(w *twin) (session.Session, error) { return w.Get(ctx, w.ids[id]) })
				default:
					pass(pick())
				}
			}
		})
	}
	for _, want := range []string{
		"Bind", "Bind ErrBound", "Bind ErrReused", "Bind ErrUnproved", "Prove", "Prove ErrUnbound", "Prove ErrReplayed",
		"Open", "Open ErrUnproved", "Open ErrReused", "Open ErrNotFound", "Rotate", "Rotate ErrNotFound", "Login", "Login ErrNotFound",
	} {
		if ended[want] < 20 {
			t.Errorf("%s came %d times: the test proves little", want, ended[want])
		}
	}
}
