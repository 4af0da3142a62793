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

// A script is one operation on one record, or on what is of one user, in one step.
type script struct {
	name, source, hash string
	kind               kind
}

// A kind is what a script asks of the way to Redis.
type kind int

const (
	repeatable kind = iota // a change that may be sent again when no reply came
	once                   // one that may not: others may have changed the same since
	looks                  // changes nothing that has to outlive a failover
)

//go:embed scripts/create.lua
var createSource string

//go:embed scripts/present.lua
var presentSource string

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

//go:embed scripts/exchange.lua
var exchangeSource string

//go:embed scripts/values.lua
var valuesSource string // what those above begin with, from set.lua on, and login.lua

//go:embed scripts/users.lua
var usersSource string // what those below begin with

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

// They never change.
//
//nolint:gochecknoglobals // constants, but for the language
var (
	createScript   = newScript("generate", createSource, once)
	openScript     = newScript("open", usersSource+presentSource, looks) // what was seen will be seen again
	rotateScript   = newScript("rotate", usersSource+presentSource, repeatable)
	bindScript     = newScript("bind", usersSource+presentSource, repeatable)
	proveScript    = newScript("prove", usersSource+proveSource, repeatable)
	refreshScript  = newScript("refresh", usersSource+refreshSource, repeatable)
	clockScript    = newScript("now", clockSource, looks)
	setScript      = newScript("set", valuesSource+setSource, once)
	deleteScript   = newScript("delete", valuesSource+deleteSource, once)
	clearScript    = newScript("clear", clearSource, once)
	exchangeScript = newScript("exchange", valuesSource+exchangeSource, once)
	askScript      = newScript("exchange", valuesSource+exchangeSource, looks)

	loginScript   = newScript("login", usersSource+valuesSource+loginSource, repeatable)
	beginScript   = newScript("login", usersSource+valuesSource+loginSource, once)
	takeScript    = newScript("login", usersSource+takeSource, repeatable)
	restoreScript = newScript("login", usersSource+restoreSource, repeatable)
	listScript    = newScript("list", usersSource+listSource, looks)
	revokeScript  = newScript("revoke", usersSource+revokeSource, repeatable)
	endScript     = newScript("remove", usersSource+endSource, repeatable)
)

func newScript(name, source string, k kind) script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // how Redis names scripts
	return script{name: name, source: source, hash: hex.EncodeToString(sum[:]), kind: k}
}

// A onceCmd is a command that go-redis does not send again when the reply did
// not come.
type onceCmd struct{ *goredis.Cmd }

func (onceCmd) NoRetry() bool { return true }

// eval runs a script on a record and returns its reply. args has room for the
// four words in front, so that nothing is copied: see scriptArgs.
func (st *Store) eval(ctx context.Context, s *script, key string, args []any) (any, error) {
	args[0], args[1], args[2], args[3] = "evalsha", s.hash, 1, key
	return st.run(ctx, s, key, args)
}

// evalKeys runs a script on several keys, which are all in one slot.
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
		case looks:
			err = st.Client.Process(ctx, cmd)
		case repeatable:
			err = st.write(ctx, key, cmd)
		case once:
			err = st.write(ctx, key, onceCmd{cmd})
		}
		switch {
		case err == nil, errors.Is(err, errNotReplicated) && s != &endScript && refused(cmd.Val()): // it may have ended before, on this server alone
			return cmd.Val(), nil
		case goredis.HasErrorPrefix(err, "NOSCRIPT") && args[0] != "eval":
			args[0], args[1] = "eval", s.source // this server has not seen it yet
		case goredis.HasErrorPrefix(err, "TRYAGAIN"), goredis.HasErrorPrefix(err, "MOVED"), goredis.HasErrorPrefix(err, "ASK"): // the slot is on its way to another server, or just was
			if pause(ctx) != nil {
				return nil, st.failed(ctx, s.name, err)
			}
		default:
			return nil, st.failed(ctx, s.name, err)
		}
	}
}

// refused reports whether a script's reply says that it has changed nothing:
// no replica has to have that.
func refused(reply any) bool {
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

// refusal is the error that the number of a script means which has not done what it is
// for.
func refusal(reply any) error {
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

// scriptArgs returns arguments for eval, with room for n more.
func scriptArgs(n int) []any {
	return make([]any, 4, 4+n)
}
