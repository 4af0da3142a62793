package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // how Redis names scripts
	_ "embed"
	"encoding/hex"
	"errors"

	goredis "github.com/redis/go-redis/v9"
)

// A script is one operation on one record or index, in one step.
type script struct {
	name, source, hash string
	kind               kind
	keys               int
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

//go:embed scripts/index.lua
var indexSource string

//go:embed scripts/login.lua
var loginSource string

//go:embed scripts/forget.lua
var forgetSource string

//go:embed scripts/slot.lua
var slotSource string

//go:embed scripts/revoke.lua
var revokeSource string

//go:embed scripts/kill.lua
var killSource string

// They never change.
//
//nolint:gochecknoglobals // constants, but for the language
var (
	createScript   = newScript("generate", createSource, once)
	openScript     = newScript("open", presentSource, looks) // what was seen will be seen again
	rotateScript   = newScript("rotate", presentSource, repeatable)
	refreshScript  = newScript("refresh", refreshSource, repeatable)
	clockScript    = newScript("now", clockSource, looks)
	setScript      = newScript("set", setSource, once)
	deleteScript   = newScript("delete", deleteSource, once)
	clearScript    = newScript("clear", clearSource, once)
	exchangeScript = newScript("exchange", exchangeSource, once)
	askScript      = newScript("exchange", exchangeSource, looks)

	indexScript  = newScript("login", indexSource, repeatable)
	loginScript  = newScript("login", loginSource, repeatable).withKeys(2)
	movingScript = newScript("login", loginSource, repeatable)
	forgetScript = newScript("login", forgetSource, looks)
	slotScript   = newScript("login", slotSource, repeatable)
	revokeScript = newScript("revoke", revokeSource, repeatable)
	killScript   = newScript("revoke", killSource, repeatable)
)

func newScript(name, source string, k kind) script {
	sum := sha1.Sum([]byte(source)) //nolint:gosec // how Redis names scripts
	return script{name: name, source: source, hash: hex.EncodeToString(sum[:]), kind: k, keys: 1}
}

// withKeys makes the first words of a script's arguments keys, too, all of one slot.
func (s script) withKeys(n int) script {
	s.keys = n
	return s
}

// A onceCmd is a command that go-redis does not send again when the reply did
// not come.
type onceCmd struct{ *goredis.Cmd }

func (onceCmd) NoRetry() bool { return true }

// eval runs a script on a record and returns its reply. args has room for the
// four words in front, so that nothing is copied: see scriptArgs.
func (st *Store) eval(ctx context.Context, s *script, key string, args []any) (any, error) {
	args[0], args[1], args[2], args[3] = "evalsha", s.hash, s.keys, key
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
		case err == nil, errors.Is(err, errNotReplicated) && refused(cmd.Val()):
			return cmd.Val(), nil
		case !goredis.HasErrorPrefix(err, "NOSCRIPT") || args[0] == "eval":
			return nil, st.failed(ctx, s.name, err)
		}
		args[0], args[1] = "eval", s.source // this server has not seen it yet
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
	case []any: // of index.lua, whose first word says so
		n, ok := first(reply)
		return ok && n <= 0
	}
	return false
}

func first(reply []any) (n int64, ok bool) {
	if len(reply) == 0 {
		return 0, false
	}
	n, ok = reply[0].(int64)
	return n, ok
}

// scriptArgs returns arguments for eval, with room for n more.
func scriptArgs(n int) []any {
	return make([]any, 4, 4+n)
}
