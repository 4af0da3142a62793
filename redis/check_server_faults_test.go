package redis_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session/internal/redistest"
	"github.com/mist-contrib/session/redis"
)

// quickly asks a server that does not answer, and checks that this is found in
// time.
func quickly(t *testing.T, url string) error {
	t.Helper()
	st := &redis.Store{Client: newClient(t, url), OpTimeout: 300 * time.Millisecond}
	began := time.Now()
	err := st.CheckServer(t.Context())
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	wantFindings(t, err, redis.ErrUnreachable)
	wantNoSecret(t, err)
	return err
}

func TestCheckServerUnreachable(t *testing.T) {
	t.Parallel()
	const user = secretUser + ":" + secretPassword + "@"
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr)
	proxy.Stall(true)
	paused := redistest.Start(t)
	paused.Pause()
	dead := redistest.Start(t)
	dead.Kill()
	for name, url := range map[string]string{
		"dead":          "redis://" + user + dead.Addr,
		"paused":        "redis://" + user + paused.Addr,
		"stalled":       "redis://" + user + proxy.Addr,
		"no such user":  "redis://" + user + s.Addr,
		"no sentinel":   "redis+sentinel://" + user + dead.Addr + "/shop?sentinel_password=" + secretPassword,
		"dead cluster":  "redis+cluster://" + user + dead.Addr,
		"stalled nodes": "redis+cluster://" + user + paused.Addr,
		"not a cluster": "redis+cluster://" + s.Addr,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := quickly(t, url)
			stalls := name == "paused" || name == "stalled" || name == "stalled nodes"
			if stalls && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want also %v", err, context.DeadlineExceeded)
			}
			if refused := goredis.Error(nil); name == "no such user" && !errors.As(err, &refused) {
				t.Errorf("got %v, want also the answer", err)
			}
		})
	}
}

// What ends in the middle is found, whatever it is that ended.
func TestCheckServerStallsOnTheWay(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]error{
		"info":    redis.ErrUnreachable,
		"config":  redis.ErrUnknown, // the server answers, and does not tell
		"hgetall": redis.ErrUnreachable,
	} {
		for name, times := range map[string]int{"once": 1, "always": 1000} {
			t.Run(command+" lost "+name, func(t *testing.T) {
				t.Parallel()
				proxy := redistest.NewProxy(t, redistest.Start(t).Addr)
				st := &redis.Store{Client: newClient(t, "redis://"+proxy.Addr), OpTimeout: 10 * time.Second}
				wantFindings(t, st.CheckServer(t.Context()))
				proxy.Match(redistest.Named(command))
				proxy.LoseReply(times)
				err := st.CheckServer(t.Context())
				if times == 1 { // asked again
					wantFindings(t, err)
					return
				}
				wantFindings(t, err, want)
				proxy.LoseReply(0)
				wantFindings(t, st.CheckServer(t.Context()))
			})
		}
	}
}

func TestCheckServerContext(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	proxy := redistest.NewProxy(t, s.Addr)
	proxy.Stall(true)
	stalled := &redis.Store{Client: newClient(t, "redis://"+proxy.Addr), OpTimeout: time.Minute}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	began := time.Now()
	err := stalled.CheckServer(ctx)
	if !errors.Is(err, context.Canceled) || time.Since(began) > 3*time.Second {
		t.Errorf("cancelled on the way: got %v after %v, want %v", err, time.Since(began), context.Canceled)
	}
	wantFindings(t, err)

	// The deadline of the context holds, not OpTimeout.
	ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err = stalled.CheckServer(ctx)
	wantFindings(t, err, redis.ErrUnreachable)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 6*time.Second {
		t.Errorf("deadline: got %v after %v, want %v", err, time.Since(began), context.DeadlineExceeded)
	}

	count := redistest.Commands(t, s)
	st := &redis.Store{Client: newClient(t, "redis://"+s.Addr)}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for ctx, want := range map[context.Context]error{cancelled: context.Canceled, late: context.DeadlineExceeded} {
		err := st.CheckServer(ctx)
		if !errors.Is(err, want) {
			t.Errorf("before: got %v, want %v", err, want)
		}
		wantFindings(t, err)
	}
	if got := count(); len(got) > 0 {
		t.Errorf("the server was asked: %v", got)
	}
	for name, st := range map[string]*redis.Store{"nil": nil, "no client": {}, "ring": {Client: goredis.NewRing(&goredis.RingOptions{})}} {
		err := st.CheckServer(t.Context())
		if err == nil || err.Error() != st.Check().Error() {
			t.Errorf("%s: got %v, want the error of Check", name, err)
		}
		wantFindings(t, err)
	}
}

// A lostCluster finds its masters only when its context has ended, or not at all.
type lostCluster struct {
	*goredis.ClusterClient
	late bool
	err  error
}

func (c lostCluster) ForEachMaster(ctx context.Context, fn func(context.Context, *goredis.Client) error) error {
	if c.late {
		<-ctx.Done()
	}
	if c.err != nil {
		return c.err
	}
	_ = c.ClusterClient.ForEachMaster(context.WithoutCancel(ctx), func(_ context.Context, node *goredis.Client) error { return fn(ctx, node) })
	return nil
}

func TestCheckServerLosesCluster(t *testing.T) {
	t.Parallel()
	_, client := cluster(t)
	c := client.(*goredis.ClusterClient)
	check := func(lost lostCluster, want ...error) error {
		t.Helper()
		err := (&redis.Store{Client: lost, OpTimeout: 2 * time.Second}).CheckServer(t.Context())
		wantFindings(t, err, want...)
		return err
	}
	_ = check(lostCluster{c, true, nil})
	if err := check(lostCluster{c, false, io.ErrUnexpectedEOF}, redis.ErrUnreachable); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want also the cause", err)
	}
	// What the network says when it is faster than the context.
	if err := check(lostCluster{c, true, os.ErrDeadlineExceeded}, redis.ErrUnreachable); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want also %v", err, context.DeadlineExceeded)
	}
}

// A service may have no such commands, and say so with what it was asked.
func TestCheckServerWithoutCommands(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]error{"info": redis.ErrUnknown, "config": redis.ErrUnknown, "hgetall": redis.ErrUnreachable} {
		s := redistest.Start(t)
		s.MustDo(t, "SET", "app", "of another program")
		client := newClient(t, "redis://"+s.Addr)
		client.AddHook(renamed(command))
		err := (&redis.Store{Client: client, Prefix: "app", OpTimeout: 10 * time.Second}).CheckServer(t.Context())
		wantFindings(t, err, want)
		if err != nil && strings.Contains(err.Error(), "quoted") {
			t.Errorf("%s: the error quotes the answer: %v", command, err)
		}
	}
}

// renamed is a hook of a client that knows a command by another name than the
// server.
type renamed string

func (renamed) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (renamed) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (r renamed) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if cmd.Name() != string(r) {
			return next(ctx, cmd)
		}
		err := next(ctx, goredis.NewCmd(ctx, "renamed", "quoted"))
		cmd.SetErr(err)
		return err
	}
}

// A liar is a hook of a client that changes what the server tells.
type liar struct {
	info string
	save map[string]string
	err  error // of CONFIG
}

func (liar) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (liar) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (l liar) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		switch cmd.Name() {
		case "info":
			cmd.(*goredis.StringCmd).SetVal(l.info)
		case "config":
			cmd.(*goredis.MapStringStringCmd).SetVal(l.save)
			return l.err
		}
		return err
	}
}

// What other servers than those of the tests tell, and what none should.
func TestCheckServerTold(t *testing.T) {
	t.Parallel()
	const (
		old  = "redis_version:6.0.16\r\n"
		now  = "redis_version:6.2.0\r\n"
		rest = "maxmemory_policy:noeviction\r\naof_enabled:0\r\nrole:master\r\n"
	)
	none := map[string]string{"save": ""}
	s := redistest.Start(t)
	for name, c := range map[string]struct {
		liar
		want []error
	}{
		"oldest":               {liar{"# Server\r\n" + now + rest, none, nil}, nil},
		"older":                {liar{old + rest, none, nil}, []error{redis.ErrTooOld}},
		"much older":           {liar{"redis_version:2.8.19\r\n" + rest, none, nil}, []error{redis.ErrTooOld}},
		"two figures":          {liar{"redis_version:10.0.1\r\n" + rest, none, nil}, nil},
		"minor of two figures": {liar{"redis_version:6.10.0\r\n" + rest, none, nil}, nil},
		"before a release":     {liar{"redis_version:7.2-rc1\r\n" + rest, none, nil}, nil},
		"unstable":             {liar{"redis_version:255.255.255\r\n" + rest, none, nil}, nil},
		"Valkey":               {liar{"valkey_version:8.1.1\r\n" + rest, none, nil}, nil},
		"Valkey with another":  {liar{"redis_version:5.0\r\nserver_name:valkey\r\nvalkey_version:9.0.0\r\n" + rest, none, nil}, nil},
		"Redict":               {liar{"redict_version:7.3.6\r\n" + rest, none, nil}, nil},
		"no version":           {liar{rest, none, nil}, []error{redis.ErrUnknown}},
		"strange version":      {liar{"redis_version:new\r\n" + rest, none, nil}, []error{redis.ErrUnknown}},
		"huge version":         {liar{"redis_version:99999999999999999999.2\r\n" + rest, none, nil}, []error{redis.ErrUnknown}},
		"loading":              {liar{now + rest + "loading:1\r\n", none, nil}, []error{redis.ErrUnreachable}},
		"loaded":               {liar{now + rest + "loading:0\r\n", none, nil}, nil},
		"no CR":                {liar{"redis_version:7.0.0\nmaxmemory_policy:noeviction\naof_enabled:0\nrole:master", none, nil}, nil},
		"no policy":            {liar{now + "aof_enabled:0\r\nrole:master\r\n", none, nil}, []error{redis.ErrUnknown}},
		"no role":              {liar{now + "maxmemory_policy:noeviction\r\naof_enabled:1\r\n", none, nil}, []error{redis.ErrUnknown}},
		"strange role":         {liar{now + "maxmemory_policy:noeviction\r\naof_enabled:1\r\nrole:sentinel\r\n", none, nil}, []error{redis.ErrUnknown}},
		"no persistence":       {liar{now + "maxmemory_policy:noeviction\r\nrole:master\r\n", none, nil}, nil},
		"no persistence, save": {liar{now + "maxmemory_policy:noeviction\r\nrole:master\r\n", map[string]string{"save": "60 1"}, nil}, []error{redis.ErrUnknown}},
		"no save":              {liar{now + rest, nil, nil}, []error{redis.ErrUnknown}},
		"another setting":      {liar{now + rest, map[string]string{"port": "1"}, nil}, []error{redis.ErrUnknown}},
		"no CONFIG":            {liar{now + rest, none, io.ErrUnexpectedEOF}, []error{redis.ErrUnknown}},
		"empty":                {liar{"", nil, nil}, []error{redis.ErrUnknown, redis.ErrUnknown, redis.ErrUnknown, redis.ErrUnknown}},
		"binary":               {liar{"\x00\xff:\x00\r\n::\r\n:", nil, nil}, []error{redis.ErrUnknown, redis.ErrUnknown, redis.ErrUnknown, redis.ErrUnknown}},
		"hostile policy":       {liar{now + "maxmemory_policy:\x1b[2Jno\r\naof_enabled:1\r\nrole:master\r\n", none, nil}, []error{redis.ErrEvicts}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, "redis://"+s.Addr)
			client.AddHook(c.liar)
			err := (&redis.Store{Client: client, OpTimeout: 10 * time.Second}).CheckServer(t.Context())
			wantFindings(t, err, c.want...)
			if err != nil && !printable(err.Error()) {
				t.Errorf("%q is not printable", err.Error())
			}
		})
	}
}

// printable reports whether a text is harmless on a terminal, line by line.
func printable(s string) bool {
	for _, r := range s {
		if r != '\n' && (r < ' ' || r == 0x7f || r == '�') {
			return false
		}
	}
	return true
}

// A server that answers nonsense is never a good one.
func TestCheckServerGarbage(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{
		"", "\r\n", "+OK\r\n", "-ERR\r\n", "-\r\n", ":1\r\n", "$-1\r\n", "*-1\r\n", "_\r\n", "*0\r\n", "*1\r\n+a\r\n", "%1\r\n+save\r\n+\r\n",
		"$4\r\nrole\r\n", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n\r\n", "-LOADING data\r\n", "-MOVED 1 127.0.0.1:1\r\n", "-NOAUTH\r\n",
		"-NOPERM no\r\n", "-ERR unknown command\r\n", "-ERR max number of clients reached\r\n",
	} {
		for name, url := range map[string]string{"server": "redis://", "cluster": "redis+cluster://"} {
			t.Run(name+" "+answer, func(t *testing.T) {
				t.Parallel()
				st := &redis.Store{Client: newClient(t, url+nonsense(t, answer, true)), OpTimeout: 300 * time.Millisecond}
				began := time.Now()
				err := st.CheckServer(t.Context())
				if !errors.Is(err, redis.ErrUnreachable) && !errors.Is(err, redis.ErrUnknown) {
					t.Errorf("got %v, want a finding", err)
				}
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("took %v", took)
				}
			})
		}
	}
}
