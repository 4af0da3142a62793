package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// These are the findings of [Store.CheckServer].
var (
	// ErrUnreachable means that the store cannot load sessions: the server does not
	// answer in time, refuses the user, or is still loading its data.
	ErrUnreachable = errors.New("redis: the server cannot be used")

	// ErrTooOld means that the server is older than Redis 6.2.
	ErrTooOld = errors.New("redis: the server is too old")

	// ErrEvicts means that maxmemory-policy is not noeviction: a server that runs out of
	// memory deletes live sessions.
	ErrEvicts = errors.New("redis: the server evicts sessions")

	// ErrSnapshots means that the server saves snapshots but no append-only file: a
	// restart returns to the last snapshot and undoes all later logouts.
	ErrSnapshots = errors.New("redis: a restart of the server undoes logouts")

	// ErrReplica means that the server is a replica: it accepts no writes.
	ErrReplica = errors.New("redis: the server is a replica")

	// ErrUnknown means that the server does not answer a question of CheckServer. Many
	// managed services hide their configuration.
	ErrUnknown = errors.New("redis: the server hides information")
)

// CheckServer looks for settings of the server that are unsafe for sessions. Call it at
// start-up and in health checks. With a Cluster it asks every master. It returns nil, or
// the findings joined by [errors.Join]: [errors.Is] tests for one finding, and
// Unwrap() []error lists all of them.
//
// CheckServer writes nothing and takes at most three round trips, four with a Cluster.
// OpTimeout bounds it like every call. Some errors are not findings, and CheckServer
// returns them alone: an error of [Store.Check], and a context that had ended before the
// call or is cancelled during it.
//
// The server's user needs INFO and, if there is no append-only file, CONFIG GET.
// Otherwise CheckServer reports [ErrUnknown] and names the missing answer. docs/redis.md
// in the repository lists the things that CheckServer does not check.
func (st *Store) CheckServer(ctx context.Context) error {
	ctx, cancel, err := st.begin(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	found := st.askAll(ctx)
	if !errors.Is(errors.Join(found...), ErrUnreachable) { // a server may answer INFO and still load no session
		probe := goredis.NewMapStringStringCmd(ctx, "hgetall", st.prefix+"?") // no session has this id
		if err := st.Client.Process(ctx, probe); err != nil {
			found = append(found, st.finding(ctx, ErrUnreachable, err))
		}
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return errors.Join(found...)
}

// A multiMaster is a Client that can send a command to every master.
type multiMaster interface {
	ForEachMaster(ctx context.Context, fn func(context.Context, *goredis.Client) error) error
}

var _ multiMaster = (*goredis.ClusterClient)(nil)

// askAll returns the findings of all servers.
func (st *Store) askAll(ctx context.Context) []error {
	all, ok := st.Client.(multiMaster)
	if !ok {
		return st.ask(ctx, st.Client)
	}
	var (
		mu    sync.Mutex
		found []error
	)
	// The client first asks one node for the masters. If that node does not answer, half of the time is left.
	deadline, _ := ctx.Deadline() // every call has one, see begin
	half, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancel()
	err := all.ForEachMaster(half, func(_ context.Context, node *goredis.Client) error {
		of := st.ask(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		for _, err := range of {
			found = append(found, fmt.Errorf("%w (node %s)", err, node.Options().Addr))
		}
		return nil
	})
	if err != nil {
		found = append(found, st.finding(half, ErrUnreachable, err))
	}
	return found
}

// ask returns the findings of one server.
func (st *Store) ask(ctx context.Context, server Client) []error {
	info := goredis.NewStringCmd(ctx, "info")
	switch err := server.Process(ctx, info); {
	case err == nil:
	case goredis.IsPermissionError(err), goredis.HasErrorPrefix(err, "unknown command"): // go-redis strips ERR
		return []error{st.finding(ctx, ErrUnknown, err)}
	default:
		return []error{st.finding(ctx, ErrUnreachable, err)}
	}
	tells := fields(info.Val())
	var found []error
	add := func(finding error, format string, args ...any) {
		found = append(found, fmt.Errorf("%w: "+format, append([]any{finding}, args...)...))
	}
	if tells["loading"] == "1" {
		add(ErrUnreachable, "it is loading its data")
	}

	// Valkey and Redict report their own version, and the version of Redis that they derive from.
	version := cmp.Or(tells["valkey_version"], tells["redict_version"], tells["redis_version"])
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		add(ErrUnknown, "INFO has no version")
	} else if major < 6 || major == 6 && minor < 2 {
		add(ErrTooOld, "it is version %d.%d, and the store needs Redis 6.2", major, minor)
	}

	switch policy := tells["maxmemory_policy"]; policy {
	case "noeviction":
	case "":
		add(ErrUnknown, "INFO has no maxmemory_policy")
	default:
		add(ErrEvicts, "maxmemory-policy is %.40q", policy)
	}

	if tells["aof_enabled"] != "1" {
		config := goredis.NewMapStringStringCmd(ctx, "config", "get", "save")
		err := server.Process(ctx, config)
		switch save, told := config.Val()["save"]; {
		case err != nil:
			found = append(found, st.finding(ctx, ErrUnknown, err))
		case told && save == "":
		case told && tells["aof_enabled"] == "0":
			add(ErrSnapshots, "save is set, and appendonly is not")
		default:
			add(ErrUnknown, "it does not tell whether it saves snapshots or an append-only file")
		}
	}

	switch tells["role"] {
	case "master":
	case "slave":
		add(ErrReplica, "a client must write to its master")
	default:
		add(ErrUnknown, "INFO has no role")
	}
	return found
}

// finding returns a finding that also wraps an error of the client.
func (st *Store) finding(ctx context.Context, finding, err error) error {
	return fmt.Errorf("%w: %w", finding, st.wrapError(ctx, "check server", err))
}

// fields parses the reply of INFO.
func fields(info string) map[string]string {
	all := make(map[string]string)
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); ok {
			all[key] = value
		}
	}
	return all
}
