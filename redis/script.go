package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // how Redis names scripts
	_ "embed"
	"encoding/hex"
	"errors"

	goredis "github.com/redis/go-redis/v9"

	"github.com/mist-contrib/session"
	"github.com/mist-contrib/session/internal/values"
)

// A script is one atomic operation on one record, or on the keys of one user.
type script struct {
	name, source, hash string
	kind               kind
}

// A kind says how a script may be sent.
type kind int

const (
	retryable     kind = iota // changes data, and may be sent again if no reply came
	notRetryable              // changes data, and must not be sent again: others may have changed it since
	notReplicated             // changes nothing that must survive a failover: WAIT is not needed
)

//go:embed scripts/create.lua
var createSource string

//go:embed scripts/authenticate.lua
var authenticateSource string

//go:embed scripts/prove.lua
var proveSource string

//go:embed scripts/refresh.lua
var refreshSource string

//go:embed scripts/clock.lua
var clockSource string

//go:embed scripts/set.lua
var setSource string

//go:embed scripts/delete.lua
var deleteSource string

//go:embed scripts/clear.lua
var clearSource string

//go:embed scripts/compare_and_swap.lua
var compareAndSwapSource string

//go:embed scripts/values.lua
var valuesSource string // comes first in set, delete, compare_and_swap and login

//go:embed scripts/users.lua
var usersSource string // comes first in authenticate, prove, refresh and the scripts below

//go:embed scripts/login.lua
var loginSource string

//go:embed scripts/take.lua
var takeSource string

//go:embed scripts/restore.lua
var restoreSource string

//go:embed scripts/list.lua
var listSource string

//go:embed scripts/revoke.lua
var revokeSource string

//go:embed scripts/end.lua
var endSource string

//nolint:gochecknoglobals // they never change, and Go has no constant structs
var (
	createScript         = newScript("generate", createSource, notRetryable)
	openScript           = newScript("open", usersSource+authenticateSource, notReplicated) // after a failover the client shows the secret again
	rotateScript         = newScript("rotate", usersSource+authenticateSource, retryable)
	bindScript           = newScript("bind", usersSource+authenticateSource, retryable)
	proveScript          = newScript("prove", usersSource+proveSource, retryable)
	refreshScript        = newScript("refresh", usersSource+refreshSource, retryable)
	clockScript          = newScript("now", clockSource, notReplicated)
	setScript            = newScript("set", valuesSource+setSource, notRetryable)
	deleteScript         = newScript("delete", valuesSource+deleteSource, notRetryable)
	clearScript          = newScript("clear", clearSource, notRetryable)
	compareAndSwapScript = newScript("update", valuesSource+compareAndSwapSource, notRetryable)
	compareScript        = newScript("update", valuesSource+compareAndSwapSource, notReplicated)

	loginScript   = newScript("login", usersSource+valuesSource+loginSource, retryable)
	beginScript   = newScript("login", usersSource+valuesSource+loginSource, notRetryable)
	takeScript    = newScript("login", usersSource+takeSource, retryable)
	restoreScript = newScript("login", usersSource+restoreSource, retryable)
	listScript    = newScript("list", usersSource+listSource, notReplicated)
	revokeScript  = newScript("revoke", usersSource+revokeSource, retryable)
	endScript     = newScript("remove", usersSource+endSource, retryable)
)

func newScript(name, source string, k kind) script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // how Redis names scripts
	return script{name: name, source: source, hash: hex.EncodeToString(sum[:]), kind: k}
}

// A noRetryCmd is a command that go-redis does not send again if no reply comes.
type noRetryCmd struct{ *goredis.Cmd }

func (noRetryCmd) NoRetry() bool { return true }

// eval runs a script on a record and returns its reply. args comes from scriptArgs: its first
// four words are free, so eval copies nothing.
func (st *Store) eval(ctx context.Context, s *script, key string, args []any) (any, error) {
	args[0], args[1], args[2], args[3] = "evalsha", s.hash, 1, key
	return st.run(ctx, s, key, args)
}

// evalKeys runs a script on several keys, which must all be in one slot.
func (st *Store) evalKeys(ctx context.Context, s *script, keys []string, words ...any) (any, error) {
	return st.run(ctx, s, keys[0], append(evalArgs("evalsha", s.hash, keys), words...))
}

func evalArgs(command, script string, keys []string) []any {
	return appendWords(append(make([]any, 0, 3+len(keys)), command, script, len(keys)), keys)
}

func appendWords(args []any, words []string) []any {
	for _, word := range words {
		args = append(args, word)
	}
	return args
}

func (st *Store) run(ctx context.Context, s *script, key string, args []any) (any, error) {
	for {
		cmd := goredis.NewCmd(ctx, args...)
		var err error
		switch s.kind {
		case notReplicated:
			err = st.Client.Process(ctx, cmd)
		case retryable:
			err = st.write(ctx, key, cmd)
		case notRetryable:
			err = st.write(ctx, key, noRetryCmd{cmd})
		}
		switch {
		case err == nil, errors.Is(err, errNotReplicated) && s != &endScript && changedNothing(cmd.Val()): // not endScript: an earlier copy may have ended the sessions, on this master alone
			return cmd.Val(), nil
		case goredis.HasErrorPrefix(err, "NOSCRIPT") && args[0] != "eval":
			args[0], args[1] = "eval", s.source // this server does not know the script yet
		case goredis.HasErrorPrefix(err, "TRYAGAIN"), goredis.HasErrorPrefix(err, "MOVED"), goredis.HasErrorPrefix(err, "ASK"): // the slot moves to another server, or has just moved
			if pause(ctx) != nil {
				return nil, st.wrapError(ctx, s.name, err)
			}
		default:
			return nil, st.wrapError(ctx, s.name, err)
		}
	}
}

// changedNothing reports whether a script's reply says that it has changed nothing. Then there is
// nothing to replicate.
func changedNothing(reply any) bool {
	switch reply := reply.(type) {
	case int64:
		return reply <= 0
	case string:
		return true
	case []any: // of login.lua
		verdict, ended, _ := readLogin(reply)
		return verdict == unsure || verdict == notYet && ended == 0
	}
	return false
}

// replyError returns the error for the number with which a script refuses its task.
func replyError(reply any) error {
	switch reply {
	case int64(0):
		return session.ErrNotFound
	case int64(-2):
		return session.ErrReused
	case int64(-3):
		return session.ErrRevoked
	case int64(-4):
		return session.ErrUserLimit
	case int64(-5):
		return session.ErrExists
	case int64(-6):
		return values.CheckCount(values.MaxCount + 1)
	case int64(-7):
		return session.ErrBound
	case int64(-8):
		return session.ErrUnbound
	case int64(-9):
		return session.ErrReplayed
	case int64(-10):
		return session.ErrFull
	case int64(-11):
		return values.CheckSize(0, values.MaxSize+1)
	}
	return errRecord
}

// scriptArgs returns arguments for eval, with capacity for n more.
func scriptArgs(n int) []any {
	return make([]any, 4, 4+n)
}
